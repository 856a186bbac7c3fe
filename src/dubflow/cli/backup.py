"""``dubflow backup``: copies of the registry and of the jobs, and the way back."""

from __future__ import annotations

from dataclasses import asdict
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dubflow.cli.model_packages import TrustedKeys, say
from dubflow.cli.output import DryRun, Json, emit, print_table
from dubflow.cli.serving import State

if TYPE_CHECKING:
    from rich.console import Console

    from dubflow.platform.backup.proving import Proof
    from dubflow.platform.backup.settings import Part
    from dubflow.storage import Objects

app = typer.Typer(
    help="Copies of the registry and of the jobs.", no_args_is_help=True, rich_markup_mode=None, add_completion=False
)


class PartName(StrEnum):
    """What is copied."""

    REGISTRY = "registry"
    JOBS = "jobs"


Store = Annotated[str, typer.Argument(help="Where backups lie: a folder, file:///… or s3://bucket/prefix.")]
Backup = Annotated[str, typer.Option("--backup", help="Id of a backup, or newest.")]
Parts = Annotated[
    list[PartName] | None, typer.Option("--part", help="registry (MLflow and its files) or jobs (gateway); both.")
]


@app.callback()
def backup() -> None:
    """Copies of the registry and of the jobs, and the way back.

    Databases and files are those that DUBFLOW_MLFLOW_*, DUBFLOW_BACKUP_* and DUBFLOW_GATEWAY_* name. Keys and secrets
    are not copied.
    """


@app.command()
def create(
    out: Annotated[str, typer.Option(help="Where backups lie: a folder, file:///… or s3://bucket/prefix.")],
    part: Parts = None,
    state: State = None,
    as_json: Json = False,
    dry_run: DryRun = False,
) -> None:
    """Copy databases and files while everything runs; bytes that an earlier backup has are not copied again."""
    from dubflow.platform.backup.creating import create_backup
    from dubflow.platform.backup.databases import shown
    from dubflow.platform.backup.settings import sources
    from dubflow.progress import reporting

    parts = _parts(part)
    found = sources(parts, state=state)
    if dry_run:
        what = [shown(one.address) for one in found.databases] + [one.address for one in found.trees]
        say({"dry_run": True, "sources": what, "out": out}, as_json,
            f"Would be copied to {out}: {', '.join(what)}; nothing was written (--dry-run)")  # fmt: skip
        return
    with reporting("backup", None, "files") as progress:
        made = create_backup(_store(out), found, parts, progress)
    files = sum(len(tree.files) for tree in made.trees)
    text = (
        f"Backup {made.id}: {len(made.databases)} databases, {files} files, {made.bytes:,} bytes, "
        f"{made.copied_bytes:,} of files new ({made.seconds:g} s)"
    )
    answer = made.model_dump(mode="json", exclude={"trees": {"__all__": {"files"}}}) | {
        "files": files,
        "bytes": made.bytes,
    }
    say(answer, as_json, text)


@app.command("list")
def list_backups(store: Store, as_json: Json = False) -> None:
    """Backups that are whole, oldest first."""
    from dubflow.platform.backup.manifest import backups, read_backup

    opened = _store(store)
    found = [read_backup(opened, one) for one in backups(opened)]
    rows = [
        (one.id, ", ".join(one.parts), sum(len(tree.files) for tree in one.trees), one.bytes, one.copied_bytes,
         ", ".join(f"{model.model} {model.champion}" for database in one.databases for model in database.facts.models))
        for one in found
    ]  # fmt: skip
    columns = ("id", "parts", "files", "bytes", "new", "champions")
    answer = {"store": store, "backups": [dict(zip(columns, row, strict=True)) for row in rows]}
    emit(answer, as_json, lambda console: print_table(console, f"Backups in {store}", columns, rows))


@app.command()
def verify(store: Store, which: Backup = "newest", as_json: Json = False) -> None:
    """Read every byte of a backup and hold it to its digest."""
    from dubflow.platform.backup.manifest import read_backup
    from dubflow.platform.backup.restoring import verify_backup
    from dubflow.progress import reporting

    opened = _store(store)
    made = read_backup(opened, which)
    with reporting("verify", None, "files") as progress:
        size = verify_backup(opened, made, progress)
    say({"id": made.id, "bytes": size}, as_json, f"Backup {made.id} is whole: {size:,} bytes read")


@app.command()
def prune(
    store: Store,
    keep: Annotated[int, typer.Option(min=1, help="How many of the newest stay.")] = 30,
    as_json: Json = False,
    dry_run: DryRun = False,
) -> None:
    """Remove old backups, and the bytes that no other backup names."""
    from dubflow.platform.backup.pruning import prune_backups

    done = prune_backups(_store(store), keep, dry_run=dry_run)
    verb = "would go" if dry_run else "went"
    text = f"{len(done.backups)} backups {verb}, {done.objects} objects of {done.bytes:,} bytes with them"
    say({"dry_run": dry_run, **asdict(done)}, as_json, text)


@app.command()
def restore(
    store: Store,
    which: Backup = "newest",
    part: Parts = None,
    state: State = None,
    trusted_key: TrustedKeys = None,
    as_json: Json = False,
    dry_run: DryRun = False,
) -> None:
    """Bring a backup into empty databases and places, and prove that it is what was copied.

    Every champion is read to its last byte; with --trusted-key its signature is checked as well.
    """
    from dubflow.platform.backup.databases import shown
    from dubflow.platform.backup.manifest import read_backup
    from dubflow.platform.backup.proving import prove_registry
    from dubflow.platform.backup.restoring import restore_backup
    from dubflow.platform.backup.settings import sources
    from dubflow.progress import reporting

    parts, opened = _parts(part), _store(store)
    made, targets = read_backup(opened, which), sources(parts, state=state)
    if dry_run:
        where = [shown(one.address) for one in targets.databases] + [one.address for one in targets.trees]
        say({"dry_run": True, "id": made.id, "targets": where}, as_json,
            f"Backup {made.id} would be restored to {', '.join(where)}; nothing was changed (--dry-run)")  # fmt: skip
        return
    with reporting("restore", None, "files") as progress:
        done = restore_backup(opened, made, targets, parts, progress)
    proofs: tuple[Proof, ...] = ()
    if "registry" in parts and done.models:
        from dubflow.registry.models import open_registry

        proofs = prove_registry(open_registry(), done.models, trusted_key or ())
    answer = {
        **{name: value for name, value in asdict(done).items() if name != "models"},
        "models": [one.model_dump(mode="json") for one in done.models],
        "champions": [asdict(one) for one in proofs],
    }

    def human(console: Console) -> None:
        console.print(
            f"Backup {done.backup}: {done.files} files, {done.bytes:,} bytes in {done.seconds:g} s; "
            f"jobs: {', '.join(f'{count} {state}' for state, count in sorted(done.jobs.items())) or 'none'}",
            highlight=False,
        )
        rows = [(one.model, one.champion, one.package[:16], one.signed_by or "not checked") for one in proofs]
        print_table(console, "Champions", ("model", "version", "package", "signed by"), rows)

    emit(answer, as_json, human)


def _parts(given: list[PartName] | None) -> tuple[Part, ...]:
    from dubflow.platform.backup.settings import PARTS

    return PARTS if not given else tuple(one for one in PARTS if one in {part.value for part in given})


def _store(where: str) -> Objects:
    from dubflow.storage import Objects

    return Objects(where if "://" in where else Path(where).absolute().as_uri())
