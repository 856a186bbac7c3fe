"""What kfp.local gets: nothing that it cannot run, and nothing that is not there."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from dubflow.platform.pipelines.definitions import pipeline_names, read_pipeline
from dubflow.platform.pipelines.local_form import local_form


def local_spec(name: str) -> dict[str, Any]:
    spec: dict[str, Any] = yaml.safe_load(local_form(read_pipeline(name).text))
    return spec


def unfed(spec: dict[str, Any]) -> list[tuple[str, str]]:
    """Artifacts that a part hands on although a caller does not give them: kfp.local fails there."""
    components = spec["components"]
    missing = []
    for caller in (spec["root"], *components.values()):
        for task in caller.get("dag", {}).get("tasks", {}).values():
            given = set(task.get("inputs", {}).get("artifacts", {}))
            part = task["componentRef"]["name"]
            for inner in components[part].get("dag", {}).get("tasks", {}).values():
                wanted = {
                    one.get("componentInputArtifact") for one in inner.get("inputs", {}).get("artifacts", {}).values()
                }
                missing += [(part, key) for key in wanted - {None} - given]
    return missing


@pytest.mark.parametrize("name", pipeline_names())
def test_no_part_waits_for_an_artifact_that_nobody_gives(name: str) -> None:
    assert unfed(local_spec(name)) == []


def test_what_nobody_gives_is_taken_away_through_every_depth() -> None:
    optional = {"inputDefinitions": {"artifacts": {"heads": {"isOptional": True}, "model": {}}}}
    handed = {"heads": {"componentInputArtifact": "heads"}, "model": {"componentInputArtifact": "model"}}
    tasks = {"inner": {"componentRef": {"name": "comp-inner"}, "inputs": {"artifacts": handed}}}
    deeper = {"deeper": {"componentRef": {"name": "comp-deeper"}, "inputs": {"artifacts": handed}}}
    given = {"model": {"taskOutputArtifact": {"outputArtifactKey": "artifact", "producerTask": "importer"}}}
    spec = {
        "pipelineInfo": {"name": "toy"},
        "root": {"dag": {"tasks": {"part": {"componentRef": {"name": "comp-part"}, "inputs": {"artifacts": given}}}}},
        "components": {
            "comp-part": {**optional, "dag": {"tasks": tasks}},
            "comp-inner": {**optional, "dag": {"tasks": deeper}},
            "comp-deeper": {**optional, "executorLabel": "exec-deeper"},
        },
    }
    assert unfed(spec) == [("comp-part", "heads")]
    local = yaml.safe_load(local_form(yaml.safe_dump(spec)))
    assert unfed(local) == []
    for part in ("comp-part", "comp-inner"):
        (task,) = local["components"][part]["dag"]["tasks"].values()
        assert list(task["inputs"]["artifacts"]) == ["model"]


def test_an_artifact_that_is_given_is_handed_on() -> None:
    parts = local_spec("train-dubber")["components"]
    registers = [
        task["inputs"]["artifacts"]
        for part in parts.values()
        for name, task in part.get("dag", {}).get("tasks", {}).items()
        if name == "register"
    ]
    assert registers
    assert all({"heads", "voices", "model"} <= set(given) for given in registers)


@pytest.mark.slow
@pytest.mark.parametrize("name", pipeline_names())
def test_nothing_is_repeated_here(name: str) -> None:
    spec = local_spec(name)
    tasks = [
        task
        for part in (spec["root"], *spec["components"].values())
        for task in part.get("dag", {}).get("tasks", {}).values()
    ]
    assert tasks
    assert not any("retryPolicy" in task for task in tasks)
