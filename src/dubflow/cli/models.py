"""``dubflow models``: packages, versions, and who is champion."""

from __future__ import annotations

import getpass
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dubflow.cli import model_packages
from dubflow.cli.model_packages import Licences, TrustedKeys, described, policy_of, say
from dubflow.cli.output import DryRun, Json, emit, print_table
from dubflow.errors import WrongUse

if TYPE_CHECKING:
    from rich.console import Console

    from dubflow.registry.history import Entry
    from dubflow.registry.models import Registry

app = typer.Typer(
    help="Packages, versions, and who is champion.", no_args_is_help=True, rich_markup_mode=None, add_completion=False
)

Where = Annotated[
    str | None,
    typer.Option("--registry", help="MLflow's database or server; DUBFLOW_MLFLOW_URI, else mlflow.db of DUBFLOW_HOME."),
]
Model = Annotated[str, typer.Argument(help="Name of the model.")]
Which = Annotated[str, typer.Argument(help="Version: a number, champion, challenger or previous.")]
By = Annotated[str | None, typer.Option(help="Who does it; by default whoever is logged in.")]
Reason = Annotated[str, typer.Option(help="Why; stands in the history.")]
Seen = Annotated[int | None, typer.Option(help="Champion that you decided about; refused where it is another by now.")]
app.command("key")(model_packages.key)
app.command("package")(model_packages.package)
app.command("verify")(model_packages.verify)


@app.command()
def register(
    folder: Annotated[Path, typer.Argument(help="Folder of a package.")],
    run: Annotated[str | None, typer.Option(help="MLflow's id of the run that made it.")] = None,
    run_of: Annotated[
        Path | None, typer.Option(help="Instead: folder of the training; its run, where this registry has it.")
    ] = None,
    trusted_key: TrustedKeys = None,
    licences: Licences = None,
    by: By = None,
    reason: Reason = "",
    registry: Where = None,
    as_json: Json = False,
    dry_run: DryRun = False,
) -> None:
    """Copy a package into the registry as a new version, which becomes the challenger."""
    from dubflow.registry.licences import check_licences
    from dubflow.registry.package.opening import open_package, read_package
    from dubflow.registry.registering import register as registered
    from dubflow.registry.registering import run_in

    policy = policy_of(licences)
    if dry_run:
        opened = open_package(folder, trusted_key) if trusted_key else read_package(folder)
        if policy is not None:
            check_licences(opened.manifest.licences, policy)
        say(described(opened), as_json, f"{opened.name} would get a new version; nothing was written (--dry-run)")
        return
    opened_registry = _open(registry)
    if run is None and run_of is not None:
        run = run_in(opened_registry, run_of)
    made = registered(
        opened_registry,
        folder,
        by=by or getpass.getuser(),
        trusted_keys=trusted_key or (),
        licences=policy,
        run=run,
        reason=reason,
    )
    found = "was there already" if made.found else "is the challenger"
    say(asdict(made), as_json, f"{made.model} {made.version} {found} (package {made.package})")


@app.command("list")
def list_models(
    model: Annotated[str | None, typer.Argument(help="Only this model.")] = None,
    registry: Where = None,
    as_json: Json = False,
) -> None:
    """Models and their versions."""
    found = _open(registry)
    names = found.names() if model is None else (model,)
    versions = [version for name in names for version in found.versions(name)]
    columns = ("model", "version", "alias", "world", "created", "package", "licences")
    rows = [
        (one.model, one.version, ", ".join(one.aliases), one.tags.get("dubflow.world"), one.created,
         (one.package or "")[:12], one.tags.get("dubflow.licences"))
        for one in versions
    ]  # fmt: skip
    answer = {"registry": found.store.shown, "versions": [{**asdict(one), "tags": dict(one.tags)} for one in versions]}
    if rows:
        emit(answer, as_json, lambda console: print_table(console, f"Models of {found.store.shown}", columns, rows))
    else:
        say(answer, as_json, f"{found.store.shown} has no models yet.")


@app.command()
def show(model: Model, which: Which = "champion", registry: Where = None, as_json: Json = False) -> None:
    """A version: what it is, what it was made of, and how it came to be what it is."""
    from dubflow.registry.package.opening import read_package

    found = _open(registry)
    version = found.version(model, which)
    with found.files(version) as folder:
        opened = read_package(folder)
        made_of = opened.lineage().counts()
    entries = [one for one in found.history(model) if version.version in (one.version, one.before)]
    answer = {
        **asdict(version),
        "tags": dict(version.tags),
        "facts": opened.facts.model_dump(mode="json"),
        "licences": [one.model_dump() for one in opened.manifest.licences],
        "lineage": made_of,
        "files": [one.model_dump() for one in opened.manifest.files],
        "history": [one.model_dump(mode="json") for one in entries],
    }

    def human(console: Console) -> None:
        facts = [(name, _short(value)) for name, value in answer["facts"].items()]
        about = [
            ("alias", ", ".join(version.aliases) or "none"),
            ("package", version.package),
            ("created", version.created),
        ]
        about += [("source", version.source), ("run", version.run), ("made of", _short(made_of))]
        print_table(console, f"{model} {version.version}", ("", ""), [*about, *facts])
        parts = [(one.part, one.licence, one.note) for one in opened.manifest.licences]
        print_table(console, "Licences", ("part", "licence", "note"), parts)
        _print_history(console, entries)

    emit(answer, as_json, human)


@app.command()
def diff(
    model: Model,
    left: Which = "champion",
    right: Which = "challenger",
    registry: Where = None,
    as_json: Json = False,
) -> None:
    """What differs between two versions: facts, licences and files."""
    from dubflow.registry.package.differences import differences

    found = _open(registry)
    versions = [found.version(model, which) for which in (left, right)]
    first, second = (found.read_files(version).manifest for version in versions)
    rows = differences(first, second)
    names = [f"{left} ({versions[0].version})", f"{right} ({versions[1].version})"]
    answer = {
        "left": versions[0].version,
        "right": versions[1].version,
        "differences": [{"name": name, "left": one, "right": other} for name, one, other in rows],
    }
    shown = [(name, _short(one), _short(other)) for name, one, other in rows]
    if rows:
        emit(answer, as_json, lambda console: print_table(console, f"{model}: what differs", ("", *names), shown))
    else:
        say(answer, as_json, f"{model}: {names[0]} and {names[1]} are the same package.")


@app.command()
def promote(
    model: Model,
    which: Which = "challenger",
    verdict: Annotated[Path | None, typer.Option(help="File of the gate's verdict.")] = None,
    override: Annotated[
        bool, typer.Option("--override", help="Against or without the gate; needs --by and --reason.")
    ] = False,
    by: By = None,
    reason: Reason = "",
    seen: Seen = None,
    trusted_key: TrustedKeys = None,
    verdict_key: Annotated[
        list[Path] | None,
        typer.Option(envvar="DUBFLOW_VERDICT_KEYS", help="Public key (PEM) that must have signed the verdict."),
    ] = None,
    policy: Annotated[list[str] | None, typer.Option(help="Name of a gate policy that counts; any by default.")] = None,
    licences: Licences = None,
    registry: Where = None,
    as_json: Json = False,
    dry_run: DryRun = False,
) -> None:
    """Make a version champion by a verdict of the gate; the one until then becomes previous."""
    from dubflow.registry.promoting import Override, Rules
    from dubflow.registry.promoting import promote as promoted

    if override and not by:
        raise WrongUse(
            "cli.needs_name", "An override needs the name of whoever decides.", "Give --by NAME --reason WHY."
        )
    entry = promoted(
        _open(registry),
        model,
        which,
        verdict,
        by=by or getpass.getuser(),
        rules=Rules(trusted_key or (), verdict_key or (), policy_of(licences), policy or None),
        override=Override(reason) if override else None,
        reason=reason,
        seen=seen,
        dry_run=dry_run,
    )
    _say_entry(entry, as_json, dry_run)


@app.command()
def rollback(
    model: Model,
    by: By = None,
    reason: Reason = "",
    seen: Seen = None,
    registry: Where = None,
    as_json: Json = False,
    dry_run: DryRun = False,
) -> None:
    """Put the champion before this one back."""
    from dubflow.registry.promoting import rollback as rolled_back

    who = by or getpass.getuser()
    entry = rolled_back(_open(registry), model, by=who, reason=reason, seen=seen, dry_run=dry_run)
    _say_entry(entry, as_json, dry_run)


@app.command()
def history(model: Model, registry: Where = None, as_json: Json = False) -> None:
    """Every change of a model's aliases: who, when, from what to what, by which verdict, why."""
    entries = _open(registry).history(model)
    answer = {"model": model, "entries": [one.model_dump(mode="json") for one in entries]}
    emit(answer, as_json, lambda console: _print_history(console, entries))


@app.command()
def fetch(
    model: Model,
    out: Annotated[Path, typer.Option(help="New folder for the package.")],
    which: Which = "champion",
    trusted_key: TrustedKeys = None,
    registry: Where = None,
    as_json: Json = False,
) -> None:
    """Copy a version's package out of the registry, once signature and every file have been checked."""
    fetched = _open(registry).fetch(model, which, out, trusted_key or ())
    say(described(fetched), as_json, f"{model} {which}: {out} (digest {fetched.digest})")


def _open(uri: str | None) -> Registry:
    from dubflow.registry.models import open_registry

    return open_registry(uri)


def _say_entry(entry: Entry, as_json: bool, dry_run: bool) -> None:
    would = "would be" if dry_run else "is"
    before = f"version {entry.before}" if entry.before is not None else "nobody"
    text = f"{entry.model}: version {entry.champion} {would} champion ({entry.action}; before it {before})"
    more = "; nothing was written (--dry-run)" if dry_run else ""
    say({"dry_run": dry_run, **entry.model_dump(mode="json")}, as_json, text + more)


def _print_history(console: Console, entries: Sequence[Entry]) -> None:
    columns = ("", "when", "who", "what", "version", "champion", "verdict", "why")
    rows = [
        (one.number, one.at, one.by, f"{one.action}{' (override)' if one.override else ''}", one.version,
         f"{one.before or 'none'} → {one.champion or 'none'}", (one.verdict or "")[:12], one.reason)
        for one in entries
    ]  # fmt: skip
    print_table(console, "History", columns, rows)


def _short(value: object) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{name} {one}" for name, one in value.items())
    if isinstance(value, list | tuple):
        return ", ".join(map(str, value))
    return "" if value is None else str(value)
