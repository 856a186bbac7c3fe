"""``dubflow serve``: a server that dubs, with Triton, a gateway and workers."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dubflow.cli.model_packages import Licences, TrustedKeys, say
from dubflow.cli.output import DryRun, Json, emit, print_table
from dubflow.cli.serving import State
from dubflow.errors import ExitCode, WrongUse

if TYPE_CHECKING:
    from rich.console import Console

    from dubflow.platform.serving_stack import StackPlan
    from dubflow.platform.serving_status import StackStatus
    from dubflow.serving.state import ServingState

app = typer.Typer(help="A server that dubs.", no_args_is_help=True, rich_markup_mode=None, add_completion=False)


class ModeName(StrEnum):
    """Where models run."""

    AUTO = "auto"
    TRITON = "triton"
    IN_PROCESS = "in-process"


@app.callback()
def serve() -> None:
    """A server that dubs."""


@app.command()
def up(
    state: State = None,
    model: Annotated[
        str | None,
        typer.Option(help="Serve this one, without a registry: starter, a stored model, a package or an export."),
    ] = None,
    name: Annotated[str | None, typer.Option(help="Serve the champion of this model of the registry.")] = None,
    registry: Annotated[
        str | None,
        typer.Option(help="MLflow's database or server; else DUBFLOW_MLFLOW_URI, or mlflow.db of DUBFLOW_HOME."),
    ] = None,
    trusted_key: TrustedKeys = None,
    verdict_key: Annotated[
        list[Path] | None,
        typer.Option(help="Public key (PEM) that must have signed the verdict of a promotion over HTTP."),
    ] = None,
    licences: Licences = None,
    mode: Annotated[ModeName, typer.Option(help="auto: Triton where it can run, else in-process.")] = ModeName.AUTO,
    port: Annotated[int | None, typer.Option(min=0, max=65535, help="Of the gateway; 0 takes a free one.")] = None,
    workers: Annotated[int, typer.Option(min=0, max=64, help="Processes that do jobs.")] = 1,
    no_gateway: Annotated[bool, typer.Option("--no-gateway", help="The model alone, without HTTP and jobs.")] = False,
    preset: Annotated[str, typer.Option(help="Its section `serving`: instances, batching, patience.")] = "tiny",
    detach: Annotated[bool, typer.Option("--detach", help="Go on in the background once it serves.")] = False,
    wait: Annotated[float, typer.Option(min=1, help="With --detach: seconds to wait until it serves.")] = 180.0,
    as_json: Json = False,
    dry_run: DryRun = False,
) -> None:
    """Start a server, and stay until Ctrl-C or `dubflow serve down`.

    Whoever is champion of --name serves, and whoever becomes it follows within seconds. Without --name: the starter.
    """
    from dubflow.config import load_preset
    from dubflow.platform.serving_stack import plan_stack, run_stack
    from dubflow.platform.serving_stack import say as tell
    from dubflow.platform.serving_status import is_up, start_detached
    from dubflow.serving.options import ServeOptions, Tuning
    from dubflow.serving.state import default_directory

    if model is not None and name is not None:
        raise WrongUse("cli.wrong_use", "A server has either --model or --name.", "Leave one out.")
    if registry is not None and name is None:
        raise WrongUse("cli.wrong_use", "--registry names no model in it.", "Give --name as well.")
    options = ServeOptions(
        model=None if name is not None else model or "starter",
        registry=registry,
        name=name,
        trusted_keys=tuple(path.absolute() for path in trusted_key or ()),
        verdict_keys=tuple(path.absolute() for path in verdict_key or ()),
        licences=licences,
        tuning=load_preset(preset, "serving", Tuning),
    )
    directory = state or default_directory()
    plan = plan_stack(directory, options, mode=mode.value, port=port, workers=workers, gateway=not no_gateway)
    if dry_run:
        answer = {"dry_run": True, "already_up": is_up(plan.directory), **plan.model_dump(mode="json")}
        emit(answer, as_json, lambda console: _print_plan(console, plan))
        return
    if detach:
        found = start_detached(plan, wait, tell)
        _answer_ready(found, plan, as_json)
        return
    run_stack(plan, tell, lambda found: _answer_ready(found, plan, as_json))


@app.command()
def down(
    state: State = None,
    patience: Annotated[float, typer.Option(min=0, help="Seconds for what runs to finish; then it is killed.")] = 60.0,
    as_json: Json = False,
    dry_run: DryRun = False,
) -> None:
    """End a server: jobs that run are finished or handed back, and nothing of it stays."""
    from dubflow.platform.serving_status import is_up, stop_stack
    from dubflow.serving.state import default_directory

    directory = state or default_directory()
    if dry_run:
        found = is_up(directory)
        text = f"The server of {directory} would be ended" if found else f"No server runs in {directory}"
        say({"dry_run": True, "was_up": found}, as_json, f"{text}; nothing was done (--dry-run)")
        return
    was_up = stop_stack(directory, patience)
    text = f"The server of {directory} has ended" if was_up else f"No server runs in {directory}"
    say({"dry_run": False, "was_up": was_up, "state": str(directory)}, as_json, text)


@app.command()
def status(state: State = None, as_json: Json = False) -> None:
    """What is served, how, and how it is doing; exit code 3 where it is not up or not well."""
    from dubflow.platform.serving_status import status_of
    from dubflow.serving.state import default_directory

    found = status_of(state or default_directory())
    answer = {"fine": found.fine, **found.model_dump(mode="json")}
    emit(answer, as_json, lambda console: _print_status(console, found))
    if not found.fine:
        raise typer.Exit(ExitCode.BAD_INPUT)


@app.command()
def logs(
    state: State = None,
    of: Annotated[str | None, typer.Option(help="One process: triton, keeper, gateway, worker-0, supervisor.")] = None,
    lines: Annotated[int, typer.Option(min=0, help="Of each log.")] = 20,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on until Ctrl-C.")] = False,
    as_json: Json = False,
) -> None:
    """What the processes of a server have said."""
    from dubflow.platform.serving_status import follow as following
    from dubflow.platform.serving_status import last_lines, log_files
    from dubflow.serving.state import default_directory

    if follow and as_json:
        raise WrongUse("cli.wrong_use", "--json answers with one document; --follow has no end.", "Leave one out.")
    files = log_files(state or default_directory(), of)
    ends = {name: last_lines(path, lines) for name, path in files.items()}
    shown = [(name, line) for name, told in ends.items() for line in told]
    emit({"logs": ends}, as_json, lambda console: _print_lines(console, shown))
    for name, line in following(files) if follow else ():
        typer.echo(f"{name}: {line}")


@app.command()
def export(
    package: Annotated[Path, typer.Argument(help="Folder of a package, or of a stored model.")],
    out: Annotated[Path, typer.Option(help="New folder of the export.")],
    version: Annotated[int, typer.Option(min=0, help="Of the registry; 0 for a model from none.")] = 0,
    trusted_key: TrustedKeys = None,
    licences: Licences = None,
    preset: Annotated[str, typer.Option(help="Its section `serving`: instances and batching.")] = "tiny",
    mounted_at: Annotated[
        Path | None, typer.Option(help="Where the export will lie on the machine that serves.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Check a package by dubbing the golden clip with it, and lay it out as a model repository for Triton."""
    from dubflow.cli.model_packages import policy_of
    from dubflow.config import load_preset
    from dubflow.serving.exporting import export_package
    from dubflow.serving.options import Tuning

    made = export_package(
        package,
        out,
        version,
        trusted_keys=trusted_key or (),
        policy=policy_of(licences),
        settings=load_preset(preset, "serving", Tuning).triton,
        mounted_at=mounted_at,
    )
    heard = "in-process" if made.triton_s is None else f"in-process and on Triton ({made.triton_s:g} s)"
    text = f"{out}: version {made.version} of {made.engine}; the golden clip was dubbed {heard} (world: {made.world})"
    say({"out": str(out), **made.model_dump(mode="json")}, as_json, text)


@app.command()
def fetch(
    source: Annotated[
        str,
        typer.Argument(envvar="DUBFLOW_SERVED_SOURCE", help="Address of an export (s3://…, file:///…), or starter."),
    ] = "starter",
    out: Annotated[Path, typer.Option(help="Folder for it; what lies there is replaced.")] = Path("served"),
    version: Annotated[
        int | None, typer.Option(min=0, envvar="DUBFLOW_SERVED_VERSION", help="That it must be.")
    ] = None,
    package: Annotated[
        str | None, typer.Option(envvar="DUBFLOW_SERVED_PACKAGE", help="Digest of the package that it must be.")
    ] = None,
    trusted_key: TrustedKeys = None,
    licences: Licences = None,
    as_json: Json = False,
) -> None:
    """Bring an export from its storage and check its signature, for `dubflow serve up --model`; a pod's first step."""
    from dubflow.cli.model_packages import policy_of
    from dubflow.serving.fetching import fetch_export

    found = fetch_export(
        source,
        out,
        trusted_keys=trusted_key or (),
        version=version,
        package=package,
        policy=policy_of(licences),
    )
    what = "the shipped starter" if found is None else f"version {found.version} of {found.engine}, signed and whole"
    facts = {} if found is None else found.model_dump(mode="json")
    say({"out": str(out), "source": source, **facts}, as_json, f"{out}: {what}")


def _answer_ready(found: ServingState, plan: StackPlan, as_json: bool) -> None:
    answer: dict[str, Any] = {"state": str(plan.directory), "serving": found.model_dump(mode="json")}
    current = found.current
    version = "nothing yet" if current is None else f"version {current.version} ({current.engine})"
    how = "Triton" if found.mode == "triton" else f"in-process ({found.why})"
    where = f" at http://{found.gateway}" if found.gateway else ""
    say(answer, as_json, f"{found.model}: {version} is served{where}, by {how}\nFolder: {plan.directory}")


def _print_plan(console: Console, plan: StackPlan) -> None:
    options = plan.options
    what = f"champion of {options.name}" if options.name else str(options.model)
    rows = [
        ("folder", str(plan.directory)),
        ("served", what),
        ("by", "Triton" if plan.mode == "triton" else f"in-process: {plan.why}"),
        ("gateway", f"port {plan.port}, {plan.workers} workers" if plan.gateway else "none"),
    ]
    print_table(console, "Would be started", ("", ""), rows)
    console.print("Nothing was started (--dry-run).", markup=False, highlight=False)


def _print_status(console: Console, found: StackStatus) -> None:
    state = found.state
    rows = [("server", f"up since {found.since} (process {found.pid})" if found.up else "not up")]
    if state is not None:
        rows += [("served by", "Triton" if state.mode == "triton" else f"in-process: {state.why}")]
        for role, one in (("current", state.current), ("previous", state.previous)):
            told = "none" if one is None else f"version {one.version} of {state.model}, since {one.since}, {one.world}"
            rows.append((role, told))
        health = state.health
        if health is not None:
            told = f"dubbed the golden clip in {health.seconds:g} s" if health.fine else health.reason
            rows.append(("last deep look", f"{health.at}: {told}"))
        gateway = (
            f"http://{state.gateway}{'' if found.listening else ' (does not listen)'}" if state.gateway else "none"
        )
        rows += [("gateway", gateway), ("Triton", f"grpc {state.grpc}, http {state.http}" if state.grpc else "none")]
        rows += [("refused", f"version {one.version}: {one.headline} [{one.code}]") for one in state.refused]
        counts = ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in state.counts.model_dump().items())
        rows.append(("so far", counts))
    print_table(console, str(found.directory), ("", ""), rows)
    if found.processes:
        columns = ("process", "id", "state", "restarts", "ended last")
        facts = [(one.name, one.pid or "", one.state, one.restarts, one.ended) for one in found.processes]
        console.print()
        print_table(console, "", columns, facts)
    for notice in state.notices[-5:] if state is not None else ():
        console.print(notice, markup=False, highlight=False)


def _print_lines(console: Console, lines: list[tuple[str, str]]) -> None:
    for name, line in lines:
        console.print(f"{name}: {line}", markup=False, highlight=False, soft_wrap=True)
