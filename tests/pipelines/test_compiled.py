"""What is checked in is what the definitions compile to, and keeps the house's rules."""

from __future__ import annotations

import ast
from pathlib import Path
from typing import Any

import pytest

from dubflow.platform.pipelines.compiling import PIPELINES, compiled_text
from dubflow.platform.pipelines.definitions import Definition, ir_folder, parse, pipeline_names, read_pipeline
from dubflow.platform.pipelines.parity import IGNORED, gaps, ignored_here, requests

pytestmark = pytest.mark.slow

MOST_LINES = 40


@pytest.fixture(scope="module", params=PIPELINES)
def definition(request: pytest.FixtureRequest) -> Definition:
    return read_pipeline(request.param)


def test_all_are_checked_in() -> None:
    assert pipeline_names() == tuple(sorted(name.replace("_", "-") for name in PIPELINES))


@pytest.mark.parametrize("name", PIPELINES)
def test_the_compiled_form_is_that_of_the_definition(repository: Path, name: str) -> None:
    there = (ir_folder() / f"{name}.yaml").read_text(encoding="utf-8")
    assert compiled_text(repository, name) == there, "run `dubflow compile`"


def test_nothing_is_asked_for_that_nobody_thought_of(definition: Definition) -> None:
    assert gaps(definition) == ()


def test_a_new_kind_of_request_is_a_gap() -> None:
    """What the tables do not name is found, in tasks, containers, on Kubernetes and in conditions."""
    text = read_pipeline("train-dubber").text
    changed = text.replace("retryPolicy:", "spotPolicy:", 1).replace("resources:", "hugePages:", 1)
    changed = changed.replace("pvcMount:", "hostPath:", 1).replace(
        "pipelinechannel--gate-Output", "pipelinechannel--gate-x"
    )
    found = gaps(parse(changed))
    assert found == ("condition.gate-x", "container.hugePages", "platform.hostPath", "task.spotPolicy")


def test_what_is_ignored_here_is_said(definition: Definition) -> None:
    said = ignored_here(definition)
    assert len(said) == len(requests(definition) & IGNORED.keys()) > 0
    assert any("GPU" in line for line in said)


def tasks_of(definition: Definition) -> dict[str, Any]:
    """Tasks that run a container."""
    components = definition.spec["components"]
    return {
        f"{name} of {task['componentRef']['name']}": (task, components[task["componentRef"]["name"]])
        for name, task in definition.tasks
        if "executorLabel" in components[task["componentRef"]["name"]]
    }


def test_every_step_has_image_resources_retries_and_a_time_limit(definition: Definition) -> None:
    executors = definition.spec["deploymentSpec"]["executors"]
    limits = definition.platform["platforms"]["kubernetes"]["deploymentSpec"]["executors"]
    for name, (task, component) in tasks_of(definition).items():
        label = component["executorLabel"]
        if "importer" in executors[label]:
            continue
        container = executors[label]["container"]
        assert container["image"].startswith("dubflow/"), name
        assert {"resourceCpuLimit", "resourceMemoryLimit"} <= container["resources"].keys(), name
        assert task["retryPolicy"]["maxRetryCount"] >= 1, name
        assert task["retryPolicy"]["backoffFactor"] == 2, name
        assert int(limits[label]["activeDeadlineSeconds"]) > 0, name
        assert limits[label]["pvcMount"][0]["mountPath"] == "/workspace", name
        assert not any("pip" in word and "install" in word for word in container["command"]), name


def test_training_asks_for_a_gpu_and_gating_does_not() -> None:
    definition = read_pipeline("train-dubber")
    executors = definition.spec["deploymentSpec"]["executors"]
    gpus = {
        name: executors[f"exec-{name}"]["container"]["resources"].get("accelerator") for name in ("train-tts", "gate")
    }
    assert gpus["gate"] is None
    assert (gpus["train-tts"]["resourceType"], gpus["train-tts"]["resourceCount"]) == ("nvidia.com/gpu", "1")


def test_the_registry_is_asked_again_each_time() -> None:
    """A cached answer to who is champion would be a wrong one; a cached training is a saved one."""
    for name, (task, _) in tasks_of(read_pipeline("train-dubber")).items():
        asks = name.split(" of ")[0] in (
            "register", "evaluate-champion", "promote", "smoke-dub", "export-serving", "deploy",
        )  # fmt: skip
        assert bool(task["cachingOptions"].get("enableCache")) is not asks, name


def test_what_is_promoted_is_served_at_last_where_that_is_asked_for() -> None:
    for name in ("release", "train-dubber", "nightly"):
        definition = read_pipeline(name)
        (asked,) = (one for one in definition.parameters if one.name == "deploy")
        assert asked.default is False, "nobody's cluster is changed by accident"
        steps = dict(definition.tasks)
        branch = definition.spec["components"][steps["deploy"]["componentRef"]["name"]]
        assert set(branch["inputDefinitions"]["artifacts"]) == {"exported"}
        (last,) = (one for one in steps.values() if "deploy" in one.get("triggerPolicy", {}).get("condition", ""))
        assert "smoke-dub" in last["dependentTasks"], "what does not dub is not deployed"
        assert steps["deploy"]["dependentTasks"] == ["export-serving"]
    assert not any("deploy" in one for one, _ in read_pipeline("train-lora").tasks), "no server speaks adapters yet"


def components(repository: Path) -> list[Path]:
    return sorted(path for path in (repository / "components").glob("*/component.py"))


def test_components_are_short_and_call_the_package_once(repository: Path) -> None:
    found = components(repository)
    assert len(found) >= 13
    for path in found:
        text = path.read_text(encoding="utf-8")
        assert len(text.splitlines()) < MOST_LINES, path
        function = next(node for node in ast.parse(text).body if isinstance(node, ast.FunctionDef))
        imports = [node for node in ast.walk(function) if isinstance(node, ast.ImportFrom)]
        assert [str(node.module).startswith("dubflow.platform.steps") for node in imports] == [True], path
        called = imports[0].names[0].name
        calls = [
            node for node in ast.walk(function) if isinstance(node, ast.Call) and getattr(node.func, "id", "") == called
        ]
        assert len(calls) == 1, path
        assert "PLACE = Place(" in text, path
        assert function.name == path.parent.name, path
