"""``dubflow keys``: API keys of the gateway."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dubflow.cli.output import DryRun, Json, emit, print_table

if TYPE_CHECKING:
    from rich.console import Console

    from dubflow.gateway.keys import KeyStore

app = typer.Typer(help="API keys of the gateway.", no_args_is_help=True, rich_markup_mode=None, add_completion=False)
State = Annotated[Path | None, typer.Option(help="Folder of the server's state; by default serve in DUBFLOW_HOME.")]
Tenant = Annotated[str, typer.Option(help="Whose key it is; tenants do not see each other.")]


@app.command()
def create(
    tenant: Tenant,
    scopes: Annotated[str, typer.Option(help="What it may do: submit, read, admin, promote, by commas.")],
    name: Annotated[str, typer.Option(help="What it is for; stands in lists.")] = "",
    days: Annotated[float | None, typer.Option(help="Days until it ends; never without.")] = None,
    state: State = None,
    as_json: Json = False,
    dry_run: DryRun = False,
) -> None:
    """Make a key. It is shown once and kept only as a hash."""
    from dubflow.gateway.keys import check_wish

    wish = check_wish(tenant, [scope.strip() for scope in scopes.split(",") if scope.strip()], name, days)
    if dry_run:
        told = {"dry_run": True, "tenant": tenant, "scopes": sorted(wish)}
        emit(told, as_json, lambda console: _say(console, f"{tenant} would get a key for {', '.join(sorted(wish))}."))
        return
    text, record = _store(state).create(tenant, wish, name=name, days=days)

    def human(console: Console) -> None:
        _say(console, text)
        _say(console, f"Key {record.id} of {tenant} for {', '.join(sorted(wish))}. It is not shown again.")

    emit({"key": text, **record.as_dict()}, as_json, human)


@app.command("list")
def list_keys(
    tenant: Annotated[str | None, typer.Option(help="Only this one's.")] = None,
    state: State = None,
    as_json: Json = False,
) -> None:
    """Keys, oldest first; never the keys themselves."""
    found = [one.as_dict() for one in _store(state).list(tenant)]
    columns = ("id", "tenant", "name", "scopes", "created", "expires", "revoked", "used")
    rows = [[",".join(one[c]) if c == "scopes" else one[c] for c in columns] for one in found]
    emit({"keys": found}, as_json, lambda console: print_table(console, "API keys", columns, rows))


@app.command()
def revoke(
    key: Annotated[str, typer.Argument(help="Id of the key.")],
    state: State = None,
    as_json: Json = False,
    dry_run: DryRun = False,
) -> None:
    """End a key now; requests with it are refused from here on."""
    store = _store(state)
    record = store.get(key) if dry_run else store.revoke(key)
    told = "would be revoked; nothing was changed (--dry-run)" if dry_run else "is revoked"
    answer = {"dry_run": dry_run, **record.as_dict()}
    emit(answer, as_json, lambda console: _say(console, f"Key {record.id} of {record.tenant} {told}."))


def _store(state: Path | None) -> KeyStore:
    from dubflow.gateway.database import Database
    from dubflow.gateway.keys import KeyStore
    from dubflow.gateway.settings import load_settings

    return KeyStore(Database(load_settings(state=state).database_url))


def _say(console: Console, text: str) -> None:
    console.print(text, markup=False, highlight=False, soft_wrap=True)
