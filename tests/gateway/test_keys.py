"""Keys: shown once, kept as hashes, ended when they end; scopes and tenants hold over every route."""

from __future__ import annotations

import json
import re
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from dubflow.cli.keys import app
from dubflow.errors import BadInput, WrongUse
from dubflow.gateway.database import Database
from dubflow.gateway.keys import SCOPES, KeyStore
from gateway.api import Api, running


class Clock:
    """Time as a test says."""

    def __init__(self) -> None:
        self.now = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def store(tmp_path: Path, clock: Clock) -> Iterator[KeyStore]:
    database = Database(f"sqlite:///{tmp_path}/gateway.db", clock)
    yield KeyStore(database)
    database.close()


def test_a_key_is_good_until_it_is_revoked(store: KeyStore) -> None:
    text, record = store.create("studio", ("submit", "read"), name="editing")
    assert store.check(text) == record
    assert record.scopes == {"submit", "read"}
    ended = store.revoke(record.id)
    assert ended.revoked is not None
    assert store.revoke(text).revoked == ended.revoked  # the whole key names it too; once ended stays as it was
    with pytest.raises(WrongUse, match=r"gateway\.bad_key"):
        store.check(text)
    with pytest.raises(BadInput, match=r"gateway\.unknown_key"):
        store.revoke("0" * 16)


def test_a_key_ends_with_its_days(store: KeyStore, clock: Clock) -> None:
    text, _ = store.create("studio", ("read",), days=1)
    clock.now += 86_399
    store.check(text)
    clock.now += 1
    with pytest.raises(WrongUse, match=r"gateway\.bad_key"):
        store.check(text)


def test_neither_key_nor_secret_lies_in_the_database(store: KeyStore, tmp_path: Path) -> None:
    text, record = store.create("studio", ("read",))
    secret = text.rsplit("_", 1)[-1]
    store.database.close()
    stored = b"".join(one.read_bytes() for one in tmp_path.iterdir())
    assert record.id.encode() in stored
    assert secret.encode() not in stored
    assert bytes.fromhex(secret) not in stored


def test_equal_secrets_would_have_other_hashes(store: KeyStore, tmp_path: Path) -> None:
    for _ in range(3):
        store.create("studio", ("read",))
    with sqlite3.connect(tmp_path / "gateway.db") as connection:
        rows = connection.execute("SELECT salt, digest FROM api_keys").fetchall()
    assert len({salt for salt, _ in rows}) == len({digest for _, digest in rows}) == 3


@pytest.mark.parametrize("change", ["", "x", "0", " ", "\0"])
def test_a_key_that_differs_anywhere_is_no_key(store: KeyStore, change: str) -> None:
    text, _ = store.create("studio", ("read",))
    wrong = [text[:-1] + change, text + change + "0", text.replace("dubflow_", "dubflow-"), text.upper(), change]
    wrong = [one for one in wrong if one != text]  # a key may happen to end with the change
    other = "1" if text[-1] == "0" else "0"
    for one in (*wrong, text[:-1] + other, text[:8] + other * 16 + text[24:]):
        with pytest.raises(WrongUse, match=r"gateway\.bad_key"):
            store.check(one)


def test_use_is_noted_without_making_a_request_wait(store: KeyStore, clock: Clock) -> None:
    text, record = store.create("studio", ("read",))
    store.check(text)
    assert store.get(record.id).used is None
    assert store.flush_uses() == 1
    used = store.get(record.id).used
    assert used is not None
    assert used.timestamp() == clock.now
    assert store.flush_uses() == 0


def test_what_is_no_key_is_refused(store: KeyStore) -> None:
    for wish, code in (
        ({"tenant": "No Tenant"}, "bad_tenant"),
        ({"tenant": "../up"}, "bad_tenant"),
        ({"scopes": ()}, "bad_scope"),
        ({"scopes": ("read", "root")}, "bad_scope"),
        ({"days": 0.0}, "bad_expiry"),
        ({"days": float("nan")}, "bad_expiry"),
        ({"name": "a\nb"}, "bad_key_name"),
    ):
        given = {"tenant": "studio", "scopes": ("read",), **wish}
        tenant, scopes = given.pop("tenant"), given.pop("scopes")
        with pytest.raises(WrongUse, match=f"gateway.{code}"):
            store.create(tenant, scopes, **given)  # type: ignore[arg-type]


def _guarded(api: Api) -> list[tuple[str, str]]:
    """Method and path of every operation that asks for a key."""
    paths = api.app.openapi()["paths"]
    found = [(method.upper(), path) for path, one in paths.items() for method in one if "security" in one[method]]
    assert len(found) > 15
    return found


@pytest.fixture(scope="module")
def asked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    with running(tmp_path_factory.mktemp("state"), burst=10_000) as made:
        yield made


def _path(template: str, dub: str = "dub_0", consent: str = "con_0") -> str:
    return template.replace("{dub}", dub).replace("{consent}", consent)


def test_every_route_asks_for_a_key_and_its_scope(asked: Api) -> None:
    none, _ = asked.parts.keys.create("one", ("admin",))
    for method, template in _guarded(asked):
        path = _path(template)
        without = asked.client.request(method, path)
        assert (without.status_code, without.json()["code"]) == (401, "gateway.no_key"), path
        assert without.headers["www-authenticate"].startswith("Bearer")
        wrong = asked.client.request(method, path, headers={"Authorization": "Bearer dubflow_0_0"})
        assert (wrong.status_code, wrong.json()["code"]) == (401, "gateway.bad_key"), path
        if template != "/v1/health/deep":
            lacking = asked.client.request(method, path, headers={"Authorization": f"Bearer {none}"})
            assert (lacking.status_code, lacking.json()["code"]) == (403, "gateway.missing_scope"), path
    assert asked.ask("GET", "/v1/health/deep", "reader").json()["code"] == "gateway.missing_scope"


def test_what_belongs_to_another_tenant_is_not_found_over_every_route(asked: Api, clip: Path) -> None:
    upload = asked.upload(clip)
    dub = asked.submit(upload).json()["id"]
    terms = {
        "person": "Maria", "how": "form", "given": "2026-01-01T00:00:00Z", "scope": "tests", "languages": ["en"],
        "expires": "2099-01-01T00:00:00Z", "recorded_by": "a test", "reference_sha256": "a" * 64,
    }  # fmt: skip
    consent = asked.ask("POST", "/v1/consents", json=terms).json()["id"]
    with_ids = [(method, path) for method, path in _guarded(asked) if "{" in path]
    assert len(with_ids) >= 10
    for method, template in with_ids:
        path = _path(template, dub, consent)
        foreign = asked.ask(method, path, "two")
        unknown = asked.ask(method, _path(template), "two")
        assert foreign.status_code == unknown.status_code == 404, path
        # Not even the words differ, but for the id that was asked for.
        texts = [re.sub(r"(dub|con)_\w+", "ID", one.json()["message"]) for one in (foreign, unknown)]
        assert texts[0] == texts[1], path
    assert asked.submit(upload, "two").json()["code"] == "gateway.no_upload"
    assert asked.ask("GET", "/v1/dubs", "two").json()["dubs"] == []
    assert asked.ask("GET", "/v1/consents", "two").json()["consents"] == []
    assert asked.ask("GET", f"/v1/dubs/{dub}").json()["state"] == "queued"  # and nobody cancelled it


def test_every_scope_is_used_somewhere(asked: Api) -> None:
    hints = set()
    none, _ = asked.parts.keys.create("x", ("admin",))
    reader = asked.keys["reader"]
    for method, template in _guarded(asked):
        for key in (none, reader):
            answer = asked.client.request(method, _path(template), headers={"Authorization": f"Bearer {key}"})
            if answer.status_code == 403:
                hints |= {one for one in SCOPES if f"'{one}'" in answer.json()["message"]}
    assert hints == set(SCOPES)


def test_the_verbs_make_list_and_end_keys(tmp_path: Path) -> None:
    def verb(*words: str, code: int = 0) -> dict[str, Any]:
        answer = CliRunner().invoke(app, [*words, "--state", str(tmp_path), "--json"])
        assert answer.exit_code == code, answer.output
        found: dict[str, Any] = json.loads(answer.output) if answer.output else {"error": answer.exception}
        return found

    create = ("create", "--tenant", "studio", "--scopes", "submit, read")
    assert verb(*create, "--dry-run") == {"dry_run": True, "tenant": "studio", "scopes": ["read", "submit"]}
    assert verb("list") == {"keys": []}
    made = verb(*create, "--name", "editing", "--days", "30")
    (listed,) = verb("list")["keys"]
    assert made["key"].startswith(f"dubflow_{listed['id']}_")
    assert "key" not in listed
    assert verb("list", "--tenant", "other") == {"keys": []}
    database = Database(f"sqlite:///{tmp_path}/gateway.db")
    KeyStore(database).check(made["key"])
    assert verb("revoke", listed["id"], "--dry-run")["revoked"] is None
    assert verb("revoke", listed["id"])["revoked"] is not None
    with pytest.raises(WrongUse, match=r"gateway\.bad_key"):
        KeyStore(database).check(made["key"])
    database.close()
    wrong = verb("create", "--tenant", "studio", "--scopes", "root", code=1)["error"]
    assert isinstance(wrong, WrongUse)
