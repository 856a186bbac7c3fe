"""What is served, and promotion over HTTP: the gate's rules hold, with real verdicts and MLflow's own database."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from dubflow.judging.gate import signing as verdicts
from dubflow.registry.models import Registry
from dubflow.registry.package.signing import generate_key
from dubflow.registry.promoting import Override, promote
from dubflow.registry.registering import register
from dubflow.registry.tracking_store import DATABASE, store_of
from dubflow.serving.state import Refused, read_state, update_state
from gateway.api import Api, running, serving_state
from registry.databases import empty_database
from registry.packages import MODEL, card, packed, verdict_of, written


def test_what_is_served_is_told(api: Api) -> None:
    none = api.ask("GET", "/v1/models")
    assert (none.status_code, none.json()["code"]) == (503, "serving.no_state")
    assert api.client.get("/readyz").status_code == 503
    folder = api.settings.state
    serving_state(folder)
    refused = Refused(version=5, code="serving.golden_failed", headline="It says nothing.", at="2026-01-01T00:00:00Z")
    update_state(folder, lambda state: state.with_changes(refused=(refused,)))
    told = api.ask("GET", "/v1/models").json()
    assert (told["current"]["version"], told["previous"], told["mode"]) == (4, None, "in_process")
    assert told["refused"] == [{"version": 5, "code": "serving.golden_failed", "at": refused.at}]
    assert str(folder) not in json.dumps(told)
    ready = api.client.get("/readyz")
    assert (ready.status_code, ready.json()["fine"]) == (200, True)
    assert set(ready.json()["checks"]) == {"database", "storage", "model"}
    assert read_state(folder).current is not None


def test_it_is_not_ready_where_its_storage_is_gone(api: Api) -> None:
    serving_state(api.settings.state)
    shutil.rmtree(api.settings.state / "files", ignore_errors=True)
    (api.settings.state / "files").write_text("no folder")
    told = api.client.get("/readyz")
    assert told.status_code == 503
    assert told.json()["checks"] == {"database": "fine", "storage": "storage.failed", "model": "fine"}
    assert api.client.get("/healthz").status_code == 200


@dataclass
class Release:
    """An app over a registry with a champion (1) and a challenger (2), and a verdict for that."""

    api: Api
    registry: Registry
    verdict: dict[str, Any]
    keys: Path
    packages: tuple[Any, Any]

    def promote(self, verdict: dict[str, Any] | None = None, **more: Any) -> Any:
        """The answer to a promotion."""
        body = {"verdict": self.verdict if verdict is None else verdict, **more}
        return self.api.ask("POST", "/v1/models/promote", "promoter", json=body)


@pytest.fixture
def release(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Release]:
    kept = Path(request.config.rootpath) / ".pytest_cache" / "d" / "mlflow"
    kept.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(empty_database(kept, tmp_path), tmp_path / DATABASE)
    generate_key(tmp_path / "package")
    for name in ("verdict", "other"):
        verdicts.generate_key(tmp_path / name)
    registry = Registry(store_of(None, tmp_path / "models"), lambda _: None)
    packages = tuple(packed(tmp_path / f"model {seed}", tmp_path / "package", seed) for seed in (1, 2))
    for package in packages:
        register(registry, package.folder, by="pipeline")
    promote(registry, MODEL, 1, None, by="ann", override=Override("the first"))
    made = verdict_of(card(packages[1], 0.1, 2), card(packages[0], 0.3, 1))
    signed = json.loads(written(made, tmp_path / "signed.json", tmp_path / "verdict").read_text())
    with running(
        tmp_path / "state",
        registry=f"sqlite:///{tmp_path / DATABASE}",
        model=MODEL,
        verdict_keys=(tmp_path / "verdict.pub",),
        package_keys=(tmp_path / "package.pub",),
    ) as api:
        yield Release(api, registry, signed, tmp_path, (packages[0], packages[1]))


@pytest.mark.slow
def test_a_signed_verdict_promotes_and_a_rollback_undoes_it(release: Release) -> None:
    tried = release.promote(dry_run=True)
    assert (tried.status_code, release.registry.state(MODEL).champion) == (200, 1)
    done = release.promote(reason="fewer wrong words", seen=1)
    assert done.status_code == 200, done.text
    assert (done.json()["champion"], done.json()["before"], done.json()["action"]) == (2, 1, "promote")
    entry = release.registry.history(MODEL)[-1]
    assert entry.by.startswith("ops/")
    assert (entry.reason, entry.override) == ("fewer wrong words", False)
    raced = release.api.ask("POST", "/v1/models/rollback", "promoter", json={"seen": 1})
    assert (raced.status_code, raced.json()["code"]) == (409, "registry.lost_race")
    back = release.api.ask("POST", "/v1/models/rollback", "promoter", json={"reason": "complaints", "seen": 2})
    assert (back.status_code, back.json()["champion"]) == (200, 1)
    assert release.registry.state(MODEL).champion == 1


@pytest.mark.slow
def test_nobody_gets_around_the_gate(release: Release) -> None:
    unsigned = {**release.verdict, "signature": None}
    changed = json.loads(json.dumps(release.verdict))
    changed["verdict"]["headline"] = "promote, promote"
    worse = verdict_of(card(release.packages[1], 0.4, 2), card(release.packages[0], 0.3, 1))
    foreign = verdict_of(card(release.packages[1], 0.1, 2), card(release.packages[0], 0.3, 1))
    for verdict, code in (
        (unsigned, "judging.not_signed"),
        (changed, "judging.bad_signature"),
        (_signed(release, worse, "verdict"), "registry.verdict_refuses"),
        (_signed(release, foreign, "other"), "judging.other_signer"),
        ({}, "judging.unknown_format"),
    ):
        refused = release.promote(verdict)
        assert refused.status_code in (400, 422), refused.text
        assert refused.json()["code"] == code
    for more in ({"override": True}, {"by": "root"}, {"model": "another"}):
        assert release.promote(**more).json()["code"] == "gateway.bad_request"
    assert release.registry.state(MODEL).champion == 1
    assert release.api.ask("POST", "/v1/models/promote", "one", json={"verdict": release.verdict}).status_code == 403


def _signed(release: Release, verdict: Any, key: str) -> dict[str, Any]:
    path = written(verdict, release.keys / "made.json", release.keys / key)
    found: dict[str, Any] = json.loads(path.read_text())
    return found
