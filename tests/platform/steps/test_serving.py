"""Deployment: the server that runs here is waited for, none is started, and what it refuses is said."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from dubflow.atomic import write_json
from dubflow.errors import BadInput, OurFault, WrongUse
from dubflow.locking import alone_in
from dubflow.platform.steps import serving as steps
from dubflow.platform.steps.serving import MANIFEST, deploy_export
from dubflow.serving.export import FILE, Exported
from dubflow.serving.state import Refused, ServingState, now, write_state
from serving.releasing import heard

HELD = WrongUse("a.held", "It is held.")


@pytest.fixture
def exported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("DUBFLOW_GATEWAY_STATE", str(tmp_path / "serve"))
    monkeypatch.setenv("DUBFLOW_DEPLOY_WAIT_S", "0.2")
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    monkeypatch.setenv("DUBFLOW_WORKSPACE", "")
    export = Exported(
        version=3, package="a" * 64, kind="diflow", engine="e", world="embedded", languages=("en",), heard=heard("e"),
        seconds=1, made=now(),
    )  # fmt: skip
    write_json(tmp_path / "exported" / FILE, export.model_dump(mode="json"))
    return tmp_path / "exported"


def deploy(exported: Path, uri: str = "") -> dict[str, Any]:
    home = exported.parent
    return deploy_export(str(home / "deployed"), str(home / "workspace"), str(exported), uri, "dubber")


def state(exported: Path, **changes: Any) -> Path:
    folder = exported.parent / "serve"
    write_state(folder, ServingState(**{"mode": "triton", "model": "dubber", **changes}))
    return folder


def served(exported: Path) -> Any:
    return Exported.model_validate_json((exported / FILE).read_text()).served(exported)


def test_where_no_server_runs_none_is_started(exported: Path, capsys: pytest.CaptureFixture[str]) -> None:
    state(exported, current=served(exported))
    assert deploy(exported)["where"] == "nowhere"
    assert "none is started" in capsys.readouterr().err


def test_a_server_of_another_model_is_not_meant(exported: Path) -> None:
    with alone_in(state(exported, model="other", current=served(exported)), HELD):
        assert deploy(exported)["where"] == "nowhere"


def test_a_running_server_that_serves_the_version_is_found(exported: Path) -> None:
    with alone_in(state(exported, current=served(exported)), HELD):
        told = deploy(exported)
    assert (told["where"], told["version"], told["mode"]) == ("server", 3, "triton")
    assert json.loads((exported.parent / "deployed" / "served.json").read_text())["where"] == "server"


def test_one_that_does_not_come_to_serve_it_is_our_fault(exported: Path) -> None:
    with alone_in(state(exported), HELD), pytest.raises(OurFault, match="not_served"):
        deploy(exported)


def test_a_refusal_of_the_server_is_the_models_doing(exported: Path) -> None:
    refused = Refused(version=3, package="a" * 64, code="serving.no_speech", headline="It is mute.", at=now())
    with alone_in(state(exported, refused=(refused,)), HELD), pytest.raises(BadInput, match="mute"):
        deploy(exported)


def test_on_a_cluster_the_manifest_is_applied_and_kept(exported: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[Any] = []

    class Api:
        def create_namespaced_custom_object(self, *words: Any) -> None:
            made.append(words[-1])

    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "10.0.0.1")
    monkeypatch.setattr(steps, "cluster_api", Api)
    told = deploy(exported, "s3://bucket/run/exported")
    assert (told["where"], told["new"]) == ("cluster", True)
    assert made == [json.loads((exported.parent / "deployed" / MANIFEST).read_text())]
    with pytest.raises(WrongUse, match="bad_storage"):
        deploy(exported, str(exported))
