"""The ``dubflow`` program.

Verbs import what they need when they run, so that ``dubflow --help`` stays quick; a test counts the modules.
"""

from __future__ import annotations

import errno
import os
import signal
import sys
from types import FrameType
from typing import Annotated

import typer

from dubflow import __version__
from dubflow.cli import (
    adapter,
    backup,
    benchmark,
    capacity,
    codec,
    corpus,
    demo,
    doctor,
    dub,
    evaluate,
    gate,
    keys,
    metrics,
    models,
    output,
    pipelines,
    plan,
    preflight,
    prepare,
    probe,
    provenance,
    rollout,
    serve,
    synthesize,
    tables,
    talkers,
    train,
)
from dubflow.errors import EXTRAS, DubflowError, ExitCode, OurFault, WrongUse, missing_extra

app = typer.Typer(
    name="dubflow",
    help="Train, judge, release and serve video-dubbing models.",
    epilog="Exit codes: 0 fine, 2 wrong use, 3 bad input, 4 our fault.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # formatting help with rich would triple the time to the first line
    add_completion=False,
)
app.command("doctor")(doctor.doctor)
app.command("demo")(demo.demo)
app.command("probe")(probe.probe)
app.add_typer(talkers.app, name="talkers")
app.add_typer(corpus.app, name="corpus")
app.command("prepare")(prepare.prepare)
app.add_typer(codec.app, name="codec")
app.command("dub")(dub.dub)
app.command("provenance")(provenance.provenance)
app.add_typer(train.app, name="train")
app.command("plan")(plan.plan)
app.command("capacity")(capacity.capacity)
app.command("preflight")(preflight.preflight)
app.add_typer(synthesize.app, name="synthesize")
app.add_typer(benchmark.app, name="benchmark")
app.command("evaluate")(evaluate.evaluate)
app.command("gate")(gate.gate)
app.command("metrics")(metrics.metrics)
app.command("tables")(tables.tables)
app.command("run")(pipelines.run)
app.command("compile")(pipelines.compile_all)
app.add_typer(pipelines.runs, name="runs")
app.add_typer(models.app, name="models")
app.add_typer(serve.app, name="serve")
app.add_typer(rollout.app, name="rollout")
app.add_typer(backup.app, name="backup")
app.add_typer(keys.app, name="keys")
app.add_typer(adapter.app, name="adapter")


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"dubflow {__version__}")
        raise typer.Exit


@app.callback()
def main(
    version: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True, help="Print it.")] = False,
) -> None:
    """Train, judge, release and serve video-dubbing models."""


_STOPPED = "Stopped. Finished items are kept; run the same command to go on."
_TERMINATED = 128 + signal.SIGTERM


def run() -> None:
    """Entry point: runs a verb and turns whatever it raises into an exit code and a readable message."""
    signal.signal(signal.SIGTERM, _terminate)
    sys.exit(_run())


def _run() -> int:
    try:
        code = app(standalone_mode=False)
    except DubflowError as error:
        output.print_error(error, output.wants_json())
        return int(error.exit_code)
    except typer.TyperException as error:
        return _wrong_use(error)
    except (KeyboardInterrupt, typer.Abort):
        typer.echo(_STOPPED, err=True)
        return int(ExitCode.INTERRUPTED)
    except SystemExit as end:
        if end.code == _TERMINATED:
            typer.echo(_STOPPED, err=True)
        raise
    except ModuleNotFoundError as error:
        return _missing_module(error)
    except OSError as error:
        return _refused_by_system(error)
    except Exception as error:
        return _unexpected(error)
    if code == ExitCode.INTERRUPTED:
        typer.echo(_STOPPED, err=True)
    return int(code) if isinstance(code, int) else int(ExitCode.FINE)


def _wrong_use(error: typer.TyperException) -> int:
    message = error.format_message()
    if not message:  # a noun without a verb: its help has been printed already
        return int(ExitCode.WRONG_USE)
    context = getattr(error, "ctx", None)
    command = context.command_path if context is not None else "dubflow"
    output.print_error(WrongUse("cli.wrong_use", message, f"See `{command} --help`."), output.wants_json())
    return int(ExitCode.WRONG_USE)


def _missing_module(error: ModuleNotFoundError) -> int:
    """A verb whose extra was not installed is wrong use; any other missing module is a defect."""
    module = (error.name or "").partition(".")[0]
    if module not in EXTRAS:
        return _unexpected(error)
    wrong = missing_extra(module)
    output.print_error(wrong, output.wants_json())
    return int(wrong.exit_code)


_NOT_ALLOWED = {errno.EACCES, errno.EPERM, errno.EROFS, errno.EISDIR, errno.ENOTDIR, errno.ENAMETOOLONG}
_NO_ROOM = {errno.ENOSPC, errno.EDQUOT}


def _refused_by_system(error: OSError) -> int:
    """A path that cannot be used is wrong use, a full disk is the machine's doing, anything else a defect."""
    where = error.filename or "a file"
    if error.errno in _NOT_ALLOWED:
        refused: DubflowError = WrongUse(
            "cli.path_refused", f"{where} cannot be used: {error.strerror}.", "Name another path or change its rights."
        )
    elif error.errno in _NO_ROOM:
        refused = OurFault(
            "cli.disk_full", f"{where} cannot be written: {error.strerror}.", "Make room and run it again; it goes on."
        )
    else:
        return _unexpected(error)
    output.print_error(refused, output.wants_json())
    return int(refused.exit_code)


def _unexpected(error: Exception) -> int:
    import traceback

    if os.environ.get("DUBFLOW_TRACEBACK") == "1":
        traceback.print_exception(error)
    frames = traceback.extract_tb(error.__traceback__)
    where = f" at {os.path.basename(frames[-1].filename)}:{frames[-1].lineno}" if frames else ""  # noqa: PTH119
    fault = OurFault(
        "cli.unexpected",
        f"{type(error).__name__}{where}: {error}",
        "This is a defect of dubflow. Run again with DUBFLOW_TRACEBACK=1 and report what it prints.",
    )
    output.print_error(fault, output.wants_json())
    return int(fault.exit_code)


def _terminate(number: int, frame: FrameType | None) -> None:
    # A polite end (a pod being evicted, a time-out) takes the same way out as Ctrl-C: clean-up handlers run.
    raise SystemExit(128 + number)
