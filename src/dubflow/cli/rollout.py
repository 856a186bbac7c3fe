"""``dubflow rollout``: a new version goes live step by step, and back with one command."""

from __future__ import annotations

import getpass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dubflow.cli.model_packages import Licences, TrustedKeys, policy_of
from dubflow.cli.output import DryRun, Json, emit, print_table
from dubflow.cli.serving import State
from dubflow.errors import ExitCode, WrongUse

if TYPE_CHECKING:
    from rich.console import Console

    from dubflow.platform.rollout.opening import Asked
    from dubflow.platform.rollout.records import Decision, RolloutLog, Standing

app = typer.Typer(
    help="A new version goes live step by step.", no_args_is_help=True, rich_markup_mode=None, add_completion=False
)


class WhereName(StrEnum):
    """Where versions run."""

    LOCAL = "local"
    CLUSTER = "cluster"


Where = Annotated[WhereName, typer.Option(help="The server of this machine, or the cluster's InferenceService.")]
Name = Annotated[str | None, typer.Option(help="Model in the registry; locally the one that the server follows.")]
Registry = Annotated[
    str | None, typer.Option(help="MLflow's database or server, for a cluster; locally the server's own.")
]
By = Annotated[str | None, typer.Option(help="Who does it; by default whoever is logged in.")]


@app.callback()
def rollout() -> None:
    """A new version goes live step by step, and back with one command."""


@app.command()
def start(
    which: Annotated[str, typer.Argument(help="Version: a number, or challenger.")] = "challenger",
    where: Where = WhereName.LOCAL,
    name: Name = None,
    verdict: Annotated[Path | None, typer.Option(help="File of the gate's verdict, for the end.")] = None,
    override: Annotated[str, typer.Option(help="Instead: why it may go live without the gate; needs --by.")] = "",
    storage_uri: Annotated[str | None, typer.Option(help="Of the candidate's export, for a cluster.")] = None,
    preset: Annotated[str, typer.Option(help="Its section `rollout`: stages, margins, dubs.")] = "tiny",
    state: State = None,
    registry: Registry = None,
    trusted_key: TrustedKeys = None,
    verdict_key: Annotated[
        list[Path] | None,
        typer.Option(envvar="DUBFLOW_VERDICT_KEYS", help="Public key (PEM) that must have signed the verdict."),
    ] = None,
    licences: Licences = None,
    by: By = None,
    as_json: Json = False,
    dry_run: DryRun = False,
) -> None:
    """Put a version beside the champion with the first share; `promote` judges it and goes on.

    Before that the registry is asked whether it would take the promotion, so that nobody learns it at the end.
    """
    from dubflow.config import load_preset
    from dubflow.platform.rollout.opening import open_rollout
    from dubflow.platform.rollout.policy import RolloutPolicy

    if override and not by:
        raise WrongUse("cli.needs_name", "An override needs the name of whoever decides.", "Give --by NAME.")
    who = by or getpass.getuser()
    asked = _asked(where, state, name, registry, trusted_key, verdict_key, licences)
    opened = open_rollout(asked, _say)
    contest = opened.releases.contest(
        opened.model, which, asked.where, load_preset(preset, "rollout", RolloutPolicy),
        by=who, verdict=verdict, override=override, storage_uri=storage_uri,
    )  # fmt: skip
    if dry_run:
        text = f"Version {contest.candidate} would go against {contest.champion}; nothing was done (--dry-run)"
        emit({"dry_run": True, **contest.model_dump(mode="json")}, as_json, lambda console: console.print(text))
        return
    _answer(opened.rollout.start(contest, who), opened.rollout.log, as_json)


@app.command()
def status(where: Where = WhereName.LOCAL, name: Name = None, state: State = None, as_json: Json = False) -> None:
    """Where the rollout stands, and every decision with its reasons."""
    from dubflow.platform.rollout.opening import log_of

    log = log_of(_asked(where, state, name))
    _answer(log.standing(), log, as_json, history=True)


@app.command()
def promote(
    once: Annotated[bool, typer.Option("--once", help="Judge one stage only.")] = False,
    where: Where = WhereName.LOCAL,
    name: Name = None,
    state: State = None,
    registry: Registry = None,
    trusted_key: TrustedKeys = None,
    verdict_key: Annotated[list[Path] | None, typer.Option(envvar="DUBFLOW_VERDICT_KEYS", help="As for start.")] = None,
    licences: Licences = None,
    by: By = None,
    as_json: Json = False,
) -> None:
    """Judge the candidate, stage by stage, until it is champion, held, or sent back; also after a kill.

    Exit code 3 where it is not champion in the end (with --once: where it went no further).
    """
    from dubflow.platform.rollout.opening import open_rollout

    opened = open_rollout(_asked(where, state, name, registry, trusted_key, verdict_key, licences), _say)
    who, before = by or getpass.getuser(), opened.rollout.log.standing()
    now = opened.rollout.advance(who) if once else opened.rollout.run(who)
    _answer(now, opened.rollout.log, as_json)
    if now.phase != "promoted" and not (once and now.percent > before.percent):
        raise typer.Exit(ExitCode.BAD_INPUT)


@app.command()
def rollback(
    reason: Annotated[str, typer.Option(help="Why; stands in the records.")] = "",
    where: Where = WhereName.LOCAL,
    name: Name = None,
    state: State = None,
    registry: Registry = None,
    by: By = None,
    as_json: Json = False,
    dry_run: DryRun = False,
) -> None:
    """Back to the champion, at once, without judging; also after the promotion."""
    from dubflow.platform.rollout.opening import log_of, open_rollout

    asked = _asked(where, state, name, registry)
    if dry_run:
        now = log_of(asked).standing()
        candidate = None if now.contest is None else now.contest.candidate
        text = "Nothing is rolled out here" if candidate is None else f"Version {candidate} would go back"
        answer = {"dry_run": True, "phase": now.phase, "candidate": candidate}
        emit(answer, as_json, lambda console: console.print(f"{text}; nothing was done (--dry-run)"))
        return
    opened = open_rollout(asked, _say)
    _answer(opened.rollout.rollback(by or getpass.getuser(), reason), opened.rollout.log, as_json)


def _asked(
    where: WhereName,
    state: Path | None,
    name: str | None,
    registry: str | None = None,
    package_keys: list[Path] | None = None,
    verdict_keys: list[Path] | None = None,
    licences: str | None = None,
) -> Asked:
    from dubflow.platform.rollout.opening import Asked
    from dubflow.serving.state import default_directory

    return Asked(
        where=where.value,
        state=state or default_directory(),
        model=name,
        registry=registry,
        package_keys=package_keys or (),
        verdict_keys=verdict_keys or (),
        licences=policy_of(licences),
    )


def _answer(now: Standing, log: RolloutLog, as_json: bool, *, history: bool = False) -> None:
    entries = log.entries()
    contest = now.contest
    answer: dict[str, Any] = {
        "phase": now.phase,
        "percent": now.percent,
        "looks": now.looks,
        "carried_out": now.carried_out,
        "contest": None if contest is None else contest.model_dump(mode="json"),
        "log": str(log.file),
    }
    shown = entries if history else [one for one in entries if one.action != "done"][-1:]
    answer["decisions"] = [one.model_dump(mode="json") for one in shown]

    def human(console: Console) -> None:
        if contest is None:
            console.print("Nothing was rolled out here yet: dubflow rollout start", highlight=False)
            return
        pending = "" if now.carried_out else ", not yet carried out: dubflow rollout promote goes on"
        console.print(
            f"Version {contest.candidate} of {contest.model} against {contest.champion}: "
            f"{now.phase.replace('_', ' ')}, {now.percent} %{pending}",
            highlight=False,
        )
        _print_decisions(console, shown)

    emit(answer, as_json, human)


def _print_decisions(console: Console, entries: list[Decision] | tuple[Decision, ...]) -> None:
    rows = [(one.number, one.at, one.by, one.action, one.percent, " ".join(one.reasons)) for one in entries]
    print_table(console, "Decisions", ("", "when", "who", "what", "%", "why"), rows)


def _say(text: str) -> None:
    typer.echo(text, err=True)
