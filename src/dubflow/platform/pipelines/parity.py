"""What a pipeline asks for that kfp.local does not do: named, so that a run here is never taken for one there.

Every kind of request that the compiled pipelines hold stands in one of the two tables; one that stands in neither is a
gap nobody has thought of, and a test fails on it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Set
from typing import Any

from dubflow.platform.pipelines.definitions import Definition

HONOURED = {
    "task.cachingOptions": "equal inputs take an earlier result",
    "task.dependentTasks": "order",
    "task.inputs": "what passes between steps",
    "task.taskInfo": "names",
    "task.triggerPolicy": "conditions, and the last step after a failure",
    "task.parameterIterator": "a step for each element of a list",
    "task.artifactIterator": "a step for each artifact of a list",
    "task.componentRef": "which step",
    "container.args": "what a step is told",
    "container.command": "what a step runs",
    "executor.importer": "what lies there already",
}
IGNORED = {
    "container.image": "images: steps run in this environment",
    "container.resources": "limits of processor, memory and GPUs: steps take what the machine has",
    "task.iteratorPolicy": "how many elements at once: at most two",
    "task.retryPolicy": "repetition of lost pods: there is none here; a step repeats what failed by our doing",
    "platform.activeDeadlineSeconds": "time limits of steps",
    "platform.configMapAsEnv": "settings from a ConfigMap: the environment is taken as it is",
    "platform.pvcMount": "the claim: the workspace is a folder",
    "platform.secretAsEnv": "secrets: the environment is taken as it is",
    "platform.secretAsVolume": "keys from secrets: the environment names files of this machine",
    "platform.tolerations": "nodes with GPUs that are kept free for who needs them",
    "platform.securityContext": "who a step runs as: whoever started the run",
}


def requests(definition: Definition) -> frozenset[str]:
    """Kinds of what the compiled pipeline asks for."""
    return frozenset(_requests(definition))


def ignored_here(definition: Definition) -> tuple[str, ...]:
    """In plain words, what a run on this machine leaves out of this pipeline."""
    return tuple(IGNORED[kind] for kind in sorted(requests(definition)) if kind in IGNORED)


def gaps(definition: Definition) -> tuple[str, ...]:
    """Kinds that stand in neither table."""
    return tuple(sorted(requests(definition) - HONOURED.keys() - IGNORED.keys()))


def _requests(definition: Definition) -> Iterator[str]:
    parameters = {one.name for one in definition.parameters}
    for _, task in definition.tasks:
        yield from (f"task.{kind}" for kind in task)
        yield from _conditions(task, parameters)
    for executor in definition.spec["deploymentSpec"]["executors"].values():
        yield from (f"executor.{kind}" for kind in executor if kind != "container")
        yield from (f"container.{kind}" for kind in executor.get("container", {}))
    yield from (f"platform.{kind}" for kind in _platform(definition.platform))


def _conditions(task: Mapping[str, Any], parameters: Set[str]) -> Iterator[str]:
    # kfp.local finds the value of a pipeline's parameter and of a task's only output, which KFP calls Output, and takes
    # any other for false.
    for channel in re.findall(r"pipelinechannel--([\w-]+)", task.get("triggerPolicy", {}).get("condition", "")):
        if not channel.endswith("-Output") and channel not in parameters:
            yield f"condition.{channel}"


def _platform(platform: Mapping[str, Any]) -> Iterator[str]:
    kubernetes = platform.get("platforms", {}).get("kubernetes", {})
    for executor in kubernetes.get("deploymentSpec", {}).get("executors", {}).values():
        yield from executor
