"""MLflow is away: what is served goes on answering, the watcher says so, and follows again once it is back."""

from __future__ import annotations

import shutil
import time
from pathlib import Path

import pytest

from chaos.service import Client, Record, new_key, told, until
from dubflow.diflow.stored import find_model
from dubflow.platform.serving_stack import LOGS, plan_stack, port_of
from dubflow.platform.serving_status import start_detached, stop_stack
from dubflow.registry.models import Registry
from dubflow.registry.package.diflow import build_package
from dubflow.registry.package.signing import generate_key
from dubflow.registry.promoting import Override, promote
from dubflow.registry.registering import register
from dubflow.registry.tracking_store import DATABASE, store_of
from dubflow.serving.golden import CLIP
from dubflow.serving.options import ServeOptions
from dubflow.serving.state import read_state
from registry.databases import empty_database

pytestmark = pytest.mark.slow

NAME = "dubber"
WITHIN_S = 120.0
DRAFT = {"quality": "draft", "options": {"no_face": "speak"}}


class Releases:
    """A registry with the starter in it, once or more often: packages differ by their cards."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.key = generate_key(home / "key")
        self.registry = Registry(store_of(None, home / "models"), lambda _: None)

    def register(self, number: int) -> None:
        model, package = self.home / f"m{number}", self.home / f"p{number}"
        shutil.copytree(find_model("starter"), model)
        with (model / "card.md").open("a") as card:
            card.write(f"\nModel {number}.\n")
        build_package(model, package, self.key.with_suffix(""), name=NAME)
        register(self.registry, package, by="ada", trusted_keys=[self.key])

    def promote(self, version: int) -> None:
        promote(self.registry, NAME, version, None, by="ada", override=Override("for a test"))


def test_what_is_served_outlives_its_registry(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, record_property: Record
) -> None:
    pytest.importorskip("mlflow", reason="MLflow is not installed (extra tracking)")
    assert request.config.cache is not None
    kept = Path(request.config.cache.mkdir("mlflow"))
    home, directory = tmp_path / "home", tmp_path / "serve"
    home.mkdir()
    monkeypatch.setenv("DUBFLOW_HOME", str(home))
    database = home / DATABASE
    shutil.copyfile(empty_database(kept, tmp_path), database)
    releases = Releases(home)
    releases.register(1)
    releases.promote(1)
    options = ServeOptions(model=None, name=NAME, trusted_keys=(releases.key,))
    try:
        start_detached(plan_stack(directory, options, mode="in-process", port=0), WITHIN_S, lambda _: None)
        port = port_of(read_state(directory))
        assert port is not None
        client = Client(port, new_key(directory))
        upload = client.upload(CLIP)
        log = directory / LOGS / "keeper.log"
        before = log.read_text()
        database.rename(home / "away.db")
        said = until(lambda: len(log.read_text()) > len(before), WITHIN_S)
        jobs = [client.insist(upload, f"away-{number}", **DRAFT) for number in range(3)]
        ended = client.ended(jobs, WITHIN_S)
        assert [(job["state"], job["served_version"], job["attempts"]) for job in ended] == [("done", 1, 1)] * 3
        assert client.ready()
        assert not database.exists(), "nobody has made an empty one in its place"
        state = read_state(directory)
        assert state.current is not None
        assert (state.current.version, state.refused) == (1, ())
        told_lines = log.read_text()[len(before) :].strip().splitlines()
        assert len(told_lines) <= 2, "said, and not again at every look"
        (home / "away.db").rename(database)
        releases.register(2)
        releases.promote(2)
        began = time.monotonic()
        until(lambda: getattr(read_state(directory).current, "version", None) == 2, WITHIN_S)
        followed = time.monotonic() - began
        last = client.insist(upload, "back", **DRAFT)
        assert client.ended([last], WITHIN_S)[0]["served_version"] == 2
    finally:
        stop_stack(directory, 60)
    told(record_property, f"said after {said:.1f} s; 3 of 3 jobs done by version 1 meanwhile; back, and version 2 "
         f"serves {followed:.1f} s after it was promoted")  # fmt: skip
