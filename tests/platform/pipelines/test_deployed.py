"""What a pipeline's last steps do here: an export that spoke, and a running server that serves it, on kfp.local."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from dubflow.platform.pipelines.local import start
from dubflow.platform.serving_stack import plan_stack
from dubflow.platform.serving_status import start_detached, stop_stack
from dubflow.registry.models import open_registry
from dubflow.registry.package.signing import generate_key
from dubflow.registry.promoting import Override, promote
from dubflow.registry.registering import register
from dubflow.registry.tracking_store import DATABASE
from dubflow.serving.environment import why_not
from dubflow.serving.options import ServeOptions, Tuning
from dubflow.serving.patience import WatchSettings
from last_steps import last_steps
from starters import NAME, starter_package

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(bool(why_not()), reason=f"Triton cannot run here: {why_not()}"),
]
WITHIN_S = 240.0


def test_what_was_promoted_is_exported_and_served(
    template: Path, repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = tmp_path / "key"
    public = generate_key(key)
    database = tmp_path / "home" / DATABASE
    database.parent.mkdir()
    shutil.copyfile(template, database)
    address = f"sqlite:///{database}"
    registry = open_registry(address, lambda _: None)
    package = starter_package(tmp_path, key, 1, 0.0)
    assert register(registry, package.folder, by="ada", trusted_keys=[public]).version == 1
    promote(registry, NAME, 1, None, by="ada", override=Override("the first of all"))
    directory = tmp_path / "serve"
    options = ServeOptions(
        model=None, name=NAME, registry=address, trusted_keys=(public,),
        tuning=Tuning(watch=WatchSettings(deep_s=600, ahead=False)),
    )  # fmt: skip
    monkeypatch.setenv("DUBFLOW_GATEWAY_STATE", str(directory))
    monkeypatch.setenv("DUBFLOW_TRUSTED_KEYS", str(public))
    arguments = {"package": str(package.folder), "registry": address, "name": NAME, "version": 1}
    monkeypatch.syspath_prepend(repository)
    definition = last_steps(tmp_path)
    said: list[str] = []
    try:
        start_detached(plan_stack(directory, options, port=0, gateway=False), WITHIN_S, said.append)
        run = start(definition, arguments, tmp_path / "runs", said.append)
    finally:
        stop_stack(directory, 30)
    assert run.state == "succeeded", said
    assert {run.steps[one] for one in ("export-serving", "deploy")} == {"succeeded"}
    (told,) = (path for path in (tmp_path / "runs").rglob("served.json") if path.parent.name == "deployed")
    found = json.loads(told.read_text())
    assert (found["where"], found["version"], found["model"]) == ("server", 1, NAME)
