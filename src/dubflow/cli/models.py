"""``dubflow models``: packages, versions, and who is champion."""

from __future__ import annotations

import getpass
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dubflow.cli.output import DryRun, Json, emit, print_table
from dubflow.errors import WrongUse

if TYPE_CHECKING:
    from rich.console import Console

    from dubflow.registry.history import Entry
    from dubflow.registry.licences import LicencePolicy
    from dubflow.registry.models import Registry
    from dubflow.registry.package.opening import ModelPackage

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
TrustedKeys = Annotated[
    list[Path] | None,
    typer.Option("--trusted-key", envvar="DUBFLOW_TRUSTED_KEYS", help="Public key (PEM) that may sign packages."),
]
Licences = Annotated[
    str | None,
    typer.Option(envvar="DUBFLOW_LICENCES", help="Licence policy of the deployment: commercial, research or a file."),
]


@app.command()
def key(
    out: Annotated[Path, typer.Argument(help="File of the private key; .pub beside it.")], as_json: Json = False
) -> None:
    """Make a pair of keys for signing packages."""
    from dubflow.registry.package.signing import fingerprint, generate_key

    public = generate_key(out)
    answer = {"private": str(out), "public": str(public), "fingerprint": fingerprint(public)}
    _say(answer, as_json, f"Private key {out} (keep it secret), public key {public}")


@app.command()
def package(
    stored: Annotated[str, typer.Argument(help="Folder of a stored model, or starter.")],
    out: Annotated[Path, typer.Option(help="Folder of the package.")],
    signing_key: Annotated[Path | None, typer.Option("--key", help="Private key (PEM) that signs it.")] = None,
    name: Annotated[str | None, typer.Option(help="Of the model in the registry; diflow-STAGE by default.")] = None,
    corpus: Annotated[
        list[Path] | None, typer.Option(help="Corpus it was trained on, for lineage and licences.")
    ] = None,
    licence: Annotated[list[str] | None, typer.Option(help="PART=LICENCE, such as 'corpus grid=CC BY 4.0'.")] = None,
    teacher: Annotated[str | None, typer.Option(help="Stored model of stage 1 it was distilled from.")] = None,
    as_json: Json = False,
) -> None:
    """Pack a stored model: weights, facts, card, licences and lineage, signed."""
    from dubflow.corpora.manifest import read_manifest
    from dubflow.diflow.stored import find_model
    from dubflow.registry.package.diflow import build_package

    made = build_package(
        find_model(stored),
        out,
        signing_key,
        name=name,
        corpora=[read_manifest(folder) for folder in corpus or ()],
        licences=_parts(licence or ()),
        teacher=None if teacher is None else find_model(teacher),
    )
    signed = "signed" if signing_key is not None else "not signed"
    _say(_package(made), as_json, f"Package {out}: {made.name}, {signed}\nDigest {made.digest}")


@app.command()
def verify(
    folder: Annotated[Path, typer.Argument(help="Folder of a package.")],
    trusted_key: TrustedKeys = None,
    licences: Licences = None,
    as_json: Json = False,
) -> None:
    """Check signature, every file and the licences of a package; nothing of it is loaded."""
    from dubflow.registry.licences import check_licences
    from dubflow.registry.package.opening import open_package

    opened = open_package(folder, trusted_key or ())
    policy = _policy(licences)
    if policy is not None:
        check_licences(opened.manifest.licences, policy)
    text = f"{folder} is whole and signed by {(opened.signed_by or '')[:16]}…: {opened.name}, digest {opened.digest}"
    _say(_package(opened), as_json, text)


@app.command()
def register(
    folder: Annotated[Path, typer.Argument(help="Folder of a package.")],
    run: Annotated[str | None, typer.Option(help="MLflow's id of the run that made it.")] = None,
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

    policy = _policy(licences)
    if dry_run:
        opened = open_package(folder, trusted_key) if trusted_key else read_package(folder)
        if policy is not None:
            check_licences(opened.manifest.licences, policy)
        _say(_package(opened), as_json, f"{opened.name} would get a new version; nothing was written (--dry-run)")
        return
    made = registered(
        _open(registry),
        folder,
        by=by or getpass.getuser(),
        trusted_keys=trusted_key or (),
        licences=policy,
        run=run,
        reason=reason,
    )
    found = "was there already" if made.found else "is the challenger"
    _say(asdict(made), as_json, f"{made.model} {made.version} {found} (package {made.package})")


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
        _say(answer, as_json, f"{found.store.shown} has no models yet.")


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
    title = f"{model}: what differs" if rows else f"{model}: they are the same package"
    emit(answer, as_json, lambda console: print_table(console, title, ("", *names), shown))


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
            "registry.needs_name", "An override needs the name of whoever decides.", "Give --by NAME --reason WHY."
        )
    entry = promoted(
        _open(registry),
        model,
        which,
        verdict,
        by=by or getpass.getuser(),
        rules=Rules(trusted_key or (), verdict_key or (), _policy(licences), policy or None),
        override=Override(reason) if override else None,
        reason=reason,
        dry_run=dry_run,
    )
    _say_entry(entry, as_json, dry_run)


@app.command()
def rollback(
    model: Model,
    by: By = None,
    reason: Reason = "",
    registry: Where = None,
    as_json: Json = False,
    dry_run: DryRun = False,
) -> None:
    """Put the champion before this one back."""
    from dubflow.registry.promoting import rollback as rolled_back

    entry = rolled_back(_open(registry), model, by=by or getpass.getuser(), reason=reason, dry_run=dry_run)
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
    _say(_package(fetched), as_json, f"{model} {which}: {out} (digest {fetched.digest})")


def _open(uri: str | None) -> Registry:
    from dubflow.registry.models import open_registry

    return open_registry(uri)


def _policy(name: str | None) -> LicencePolicy | None:
    from dubflow.registry.licences import load_licence_policy

    return None if name is None else load_licence_policy(name)


def _parts(given: Sequence[str]) -> list[Any]:
    from dubflow.registry.licences import tag_of
    from dubflow.registry.package.manifest import PartLicence

    parts = []
    for text in given:
        part, equals, licence = text.partition("=")
        if not (part.strip() and equals and licence.strip()):
            raise WrongUse(
                "registry.bad_licence", f"{text!r} names no part and licence.", "Write 'corpus grid=CC-BY-4.0'."
            )
        parts.append(PartLicence(part=part.strip(), licence=tag_of(licence)))
    return parts


def _package(package: ModelPackage) -> dict[str, Any]:
    return {"folder": str(package.folder), "signed_by": package.signed_by, **package.manifest.model_dump(mode="json")}


def _say(answer: dict[str, Any], as_json: bool, text: str) -> None:
    emit(answer, as_json, lambda console: console.print(text, markup=False, highlight=False))


def _say_entry(entry: Entry, as_json: bool, dry_run: bool) -> None:
    would = "would be" if dry_run else "is"
    before = f"version {entry.before}" if entry.before is not None else "nobody"
    text = f"{entry.model}: version {entry.champion} {would} champion ({entry.action}; before it {before})"
    more = "; nothing was written (--dry-run)" if dry_run else ""
    _say({"dry_run": dry_run, **entry.model_dump(mode="json")}, as_json, text + more)


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
