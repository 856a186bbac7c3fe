"""``dubflow run``, ``dubflow compile`` and ``dubflow runs``: pipelines and what became of them."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dubflow.cli.output import DryRun, Json, emit, print_table
from dubflow.errors import WrongUse

if TYPE_CHECKING:
    from rich.console import Console

    from dubflow.platform.pipelines.definitions import Definition
    from dubflow.platform.pipelines.records import RunRecord

runs = typer.Typer(help="Runs of pipelines.", no_args_is_help=True)


class Where(StrEnum):
    """Places that a pipeline runs in."""

    LOCAL = "local"
    CLUSTER = "cluster"


Home = Annotated[
    Path, typer.Option(envvar="DUBFLOW_RUNS", help="Folder of runs on this machine, their cache and unfinished work.")
]
RunId = Annotated[str, typer.Argument(metavar="RUN", help="Id of the run; `dubflow runs list` names them.")]
HOME = Path("runs/pipelines")


def run(
    pipeline: Annotated[str, typer.Argument(help="A pipeline's name; `dubflow run list` names them.")],
    where: Annotated[Where, typer.Option(help="On this machine (kfp.local), or on a Kubeflow cluster.")] = Where.LOCAL,
    parameter: Annotated[
        list[str] | None, typer.Option("--parameter", "-p", help="NAME=VALUE; repeatable. Lists as JSON.")
    ] = None,
    daily: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Parameter that gets today's number: days since 1970-01-01, by UTC."),
    ] = None,
    home: Home = HOME,
    follow: Annotated[bool, typer.Option("--follow", help="On a cluster, wait for the end; here that is so.")] = False,
    as_json: Json = False,
    dry_run: DryRun = False,
) -> None:
    """Run a pipeline.

    Here, equal inputs take an earlier run's result, and a run that was stopped goes on with `dubflow runs resume`.
    """
    from dubflow.platform.pipelines.definitions import pipeline_names, read_pipeline

    if pipeline == "list":
        found = [read_pipeline(name) for name in pipeline_names()]
        rows = [(one.name, one.description) for one in found]
        answer = {"pipelines": [{"name": name, "description": text} for name, text in rows]}
        emit(answer, as_json, lambda console: print_table(console, "", ("pipeline", "what it does"), rows))
        return
    definition = read_pipeline(pipeline)
    given = dict(_pair(one) for one in parameter or ())
    if daily is not None:
        given = {daily: str(_today()), **given}
    arguments = definition.arguments(given)
    if dry_run:
        from dubflow.platform.pipelines.parity import ignored_here

        left_out = ignored_here(definition) if where is Where.LOCAL else ()
        plan = {"pipeline": definition.name, "where": where.value, "arguments": arguments, "ignored_here": left_out}
        emit(plan, as_json, lambda console: _print_plan(console, definition, arguments, left_out))
        return
    if where is Where.CLUSTER:
        from dubflow.platform.pipelines.cluster import submit

        record = submit(definition, arguments, home, follow=follow)
    else:
        from dubflow.platform.pipelines.listening import to_standard_error
        from dubflow.platform.pipelines.local import start

        record = start(definition, arguments, home, to_standard_error)
    _answer(record, home, as_json)


def compile_all(
    out: Annotated[Path, typer.Option(help="Folder of the compiled pipelines.")] = Path("pipelines/ir"),
    check: Annotated[bool, typer.Option("--check", help="Change nothing; exit code 3 where something would.")] = False,
    as_json: Json = False,
) -> None:
    """Compile the pipelines of a checkout, after a change to pipelines/ or components/."""
    from dubflow.errors import ExitCode
    from dubflow.platform.manifests.generated import follow
    from dubflow.platform.pipelines.compiling import compile_pipelines

    made = compile_pipelines(out, write=not check)
    states = [(one.name, str(one.path), one.changed) for one in made]
    # What a cluster is given of them lies in the same checkout, and is never older.
    states += [("for a cluster", str(one.path), one.changed) for one in follow(out, write=not check)]
    rows = [(name, path, "changed" if changed else "as it was") for name, path, changed in states]
    answer = {"pipelines": [{"name": name, "path": path, "changed": changed} for name, path, changed in states]}
    emit(answer, as_json, lambda console: print_table(console, "", ("pipeline", "file", "state"), rows))
    if check and any(changed for _, _, changed in states):
        raise typer.Exit(ExitCode.BAD_INPUT)


@runs.callback()
def runs_() -> None:
    """Runs of pipelines."""


@runs.command("list")
def list_runs(home: Home = HOME, as_json: Json = False) -> None:
    """Every run, the newest first."""
    from dubflow.platform.pipelines.records import list_records

    found = list_records(home)
    rows = [(one.id, one.where, one.state, f"{_done(one)}/{len(one.steps)}", one.created) for one in found]
    columns = ("run", "where", "state", "steps done", "begun (UTC)")
    answer = {"runs": [one.model_dump(mode="json") for one in found]}
    emit(answer, as_json, lambda console: print_table(console, "" if rows else "No runs.", columns, rows))


@runs.command()
def show(run_id: RunId, home: Home = HOME, as_json: Json = False) -> None:
    """One run: its steps and its arguments; of a run on a cluster, as the cluster tells it now."""
    from dubflow.platform.pipelines.records import read_record

    record = read_record(home, run_id)
    if record.where == "cluster":
        from dubflow.platform.pipelines.cluster import refresh

        record = refresh(record, home)
    _answer(record, home, as_json)


@runs.command()
def cancel(run_id: RunId, home: Home = HOME, as_json: Json = False) -> None:
    """End a run; what its steps finished is kept."""
    from dubflow.platform.pipelines.records import read_record

    if read_record(home, run_id).where == "cluster":
        from dubflow.platform.pipelines.cluster import cancel as cancel_remote

        record = cancel_remote(run_id, home)
    else:
        from dubflow.platform.pipelines.local import cancel as cancel_local

        record = cancel_local(run_id, home)
    _answer(record, home, as_json)


@runs.command()
def resume(run_id: RunId, home: Home = HOME, as_json: Json = False) -> None:
    """Go on with a run that failed, was cancelled or died, at the step that it failed at."""
    from dubflow.platform.pipelines.records import read_record

    if read_record(home, run_id).where == "cluster":
        from dubflow.platform.pipelines.cluster import resume as resume_remote

        record = resume_remote(run_id, home)
    else:
        from dubflow.platform.pipelines.listening import to_standard_error
        from dubflow.platform.pipelines.local import resume as resume_local

        record = resume_local(run_id, home, to_standard_error)
    _answer(record, home, as_json)


def _today() -> int:
    from datetime import UTC, date, datetime

    return (datetime.now(UTC).date() - date(1970, 1, 1)).days


def _pair(text: str) -> tuple[str, str]:
    name, sign, value = text.partition("=")
    if not sign or not name:
        raise WrongUse("cli.bad_parameter", f"{text!r} is no NAME=VALUE.", "For example -p seed=2.")
    return name, value


def _done(record: RunRecord) -> int:
    return sum(state in ("succeeded", "cached") for state in record.steps.values())


def _answer(record: RunRecord, home: Path, as_json: bool) -> None:
    folder = home / record.id
    answer = record.model_dump(mode="json") | {"folder": str(folder)}
    emit(answer, as_json, lambda console: _print_record(console, record, folder))


def _print_record(console: Console, record: RunRecord, folder: Path) -> None:
    print_table(console, f"{record.id}: {record.state}", ("step", "state"), list(record.steps.items()))
    if record.arguments:
        print_table(console, "Arguments", ("name", "value"), [(k, str(v)) for k, v in record.arguments.items()])
    if record.ignored:
        console.print("Not as on a cluster: " + "; ".join(record.ignored) + ".", markup=False, highlight=False)
    console.print(f"Folder: {folder}", markup=False, highlight=False)


def _print_plan(console: Console, definition: Definition, arguments: dict[str, Any], left_out: tuple[str, ...]) -> None:
    rows = [(one.name, str(arguments.get(one.name, one.default))) for one in definition.parameters]
    print_table(console, f"{definition.name}: {definition.description}", ("parameter", "value"), rows)
    for line in left_out:
        console.print(f"Not as on a cluster: {line}.", markup=False, highlight=False)
    console.print("Nothing was started (--dry-run).", markup=False, highlight=False)
