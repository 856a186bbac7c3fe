"""A pod's way from the storage to the first dub: fetched and checked, asked by others, probed by the machine."""

from __future__ import annotations

import http.server
import json
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from dubflow.atomic import write_json
from dubflow.diflow.facts import find_model
from dubflow.errors import BadInput, WrongUse
from dubflow.registry.package.manifest import PACKAGE
from dubflow.registry.package.signing import generate_key
from dubflow.serving import probe
from dubflow.serving.export import FILE, MODEL, Exported
from dubflow.serving.fetching import fetch_export
from dubflow.serving.listening import Listening, load_listening
from dubflow.serving.repository import UNREGISTERED
from dubflow.serving.source import FolderSource
from dubflow.serving.state import FILE as STATE
from dubflow.serving.state import STARTER_VERSION
from dubflow.storage import below
from registry.packages import packed
from serving.releasing import describe


@pytest.fixture(scope="module")
def key(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return generate_key(tmp_path_factory.mktemp("keys") / "release")


@pytest.fixture
def stored(tmp_path: Path, key: Path) -> Path:
    """An export of version 7 as it lies in a storage."""
    folder = tmp_path / "storage" / "exports" / "7"
    package = packed(tmp_path / "package", key.with_suffix(""), 1)
    shutil.copytree(package.folder, folder / MODEL)
    write_json(folder / FILE, describe(folder / MODEL).model_copy(update={"version": 7}).model_dump(mode="json"))
    (folder / "repository").mkdir()
    (folder / "repository" / "not-needed").write_text("x")
    return folder


def fetched(stored: Path, key: Path | None, **more: Any) -> Exported | None:
    out = stored.parents[2] / "served"
    return fetch_export(stored.as_uri(), out, trusted_keys=[] if key is None else [key], **more)


def test_what_a_trusted_key_signed_is_brought_and_served_under_its_version(stored: Path, key: Path) -> None:
    found = fetched(stored, key, version=7, package=describe(stored / MODEL).package)
    assert found is not None
    out = stored.parents[2] / "served"
    assert sorted(path.name for path in out.iterdir()) == [FILE, MODEL]
    source = FolderSource(out, [key])
    wanted = source.wanted()
    assert (wanted.version, wanted.package) == (7, found.package)
    source.bring(wanted, out.parent / "brought")
    assert (out.parent / "brought" / PACKAGE).read_bytes() == (stored / MODEL / PACKAGE).read_bytes()


def test_a_container_that_is_started_again_brings_it_again(stored: Path, key: Path) -> None:
    out = stored.parents[2] / "served"
    (out / "half").mkdir(parents=True)
    assert fetched(stored, key) == fetched(stored, key)
    assert not (out / "half").exists()


def test_nothing_else_is_brought(stored: Path, key: Path, tmp_path: Path) -> None:
    out = tmp_path / "served"
    with pytest.raises(WrongUse, match="no_trusted_key"):
        fetched(stored, None)
    stranger = generate_key(tmp_path / "stranger")
    with pytest.raises(BadInput):
        fetched(stored, stranger)
    with pytest.raises(BadInput, match="other_package"):
        fetched(stored, key, version=8)
    with pytest.raises(BadInput, match="other_package"):
        fetched(stored, key, package="b" * 64)
    with pytest.raises(BadInput, match="object_missing"):
        fetch_export(below(tmp_path.as_uri(), "storage", "exports", "8"), out, trusted_keys=[key])
    (stored / MODEL / "model.safetensors").write_bytes(b"other weights")
    with pytest.raises(BadInput):
        fetched(stored, key)
    assert not out.exists()


def test_an_export_that_names_another_package_than_it_has_is_refused(stored: Path, key: Path) -> None:
    facts = json.loads((stored / FILE).read_text())
    write_json(stored / FILE, facts | {"package": "c" * 64})
    with pytest.raises(BadInput, match="other_package"):
        fetched(stored, key)


def test_the_starter_needs_no_storage(tmp_path: Path) -> None:
    assert fetch_export("starter", tmp_path / "served", trusted_keys=[]) is None
    wanted = FolderSource(find_model(str(tmp_path / "served"))).wanted()
    assert (wanted.version, wanted.package) == (STARTER_VERSION, None)


def test_a_server_listens_on_loopback_unless_it_is_told_otherwise(monkeypatch: pytest.MonkeyPatch) -> None:
    assert load_listening() == Listening()
    assert (Listening().host, Listening().ports, Listening().key) == ("127.0.0.1", (0, 0, 0), None)
    monkeypatch.setenv("DUBFLOW_TRITON_HOST", "0.0.0.0")
    monkeypatch.setenv("DUBFLOW_TRITON_GRPC_PORT", "9000")
    assert load_listening().ports == (0, 9000, 0)
    monkeypatch.setenv("DUBFLOW_TRITON_KEY", "too short")
    with pytest.raises(WrongUse, match="bad_listening") as caught:
        load_listening()
    assert "too short" not in str(caught.value)


class Kubelet:
    """A state, and a server that calls models ready."""

    def __init__(self, folder: Path, address: str, ready: set[str]) -> None:
        self.folder, self.address, self.ready = folder, address, ready

    def state(self, version: int, **changes: Any) -> None:
        health = {"fine": True, "reason": ""}
        found = {"current": {"version": version}, "health": health, "http": self.address}
        (self.folder / STATE).write_text(json.dumps(found | changes))
        for model in ("front", "codec"):
            (self.folder / "repository" / model / str(version or UNREGISTERED)).mkdir(parents=True, exist_ok=True)

    @property
    def fine(self) -> bool:
        return probe.main(["--state", str(self.folder)]) == 0


@pytest.fixture
def kubelet(tmp_path: Path) -> Iterator[Kubelet]:
    ready: set[str] = set()

    class Answers(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200 if self.path in ready else 400)
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            return

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Answers)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield Kubelet(tmp_path, f"127.0.0.1:{server.server_port}", ready)
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.mark.parametrize("version", [0, 7])
def test_ready_is_the_very_version_and_every_model_of_it(kubelet: Kubelet, version: int) -> None:
    number = version or UNREGISTERED
    assert not kubelet.fine, "no state"
    kubelet.state(version)
    kubelet.ready |= {f"/v2/models/front/versions/{number}/ready", "/v2/health/ready"}
    assert not kubelet.fine, "one of two models"
    kubelet.ready.add("/v2/models/codec/versions/8/ready")
    assert not kubelet.fine, "another version"
    kubelet.ready.add(f"/v2/models/codec/versions/{number}/ready")
    assert kubelet.fine


def test_a_version_that_did_not_speak_is_not_ready(kubelet: Kubelet) -> None:
    kubelet.ready |= {f"/v2/models/{name}/versions/7/ready" for name in ("front", "codec")}
    kubelet.state(7)
    assert kubelet.fine
    for changes in ({"health": None}, {"health": {"fine": False, "reason": "mute"}}, {"current": None}, {"http": None}):
        kubelet.state(7, **changes)
        assert not kubelet.fine
    kubelet.state(9)
    kubelet.ready.clear()
    assert not kubelet.fine


def test_a_server_that_answers_is_alive_whatever_it_serves(kubelet: Kubelet) -> None:
    alive = ["--state", str(kubelet.folder), "--alive"]
    assert probe.main(alive) == 1, "no state"
    kubelet.state(7, current=None, health=None)
    assert probe.main(alive) == 1, "no answer"
    kubelet.ready.add("/v2/health/live")
    assert probe.main(alive) == 0
    kubelet.state(7, http=None)
    assert probe.main(alive) == 1, "no server"
