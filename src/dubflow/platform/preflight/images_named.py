"""Every image that an overlay names, wherever it stands: pods, steps of pipelines, settings that end in ``_IMAGE``."""

from __future__ import annotations

from collections.abc import Iterator

from dubflow.platform.preflight.container_settings import named
from dubflow.platform.preflight.resources import Manifests, at, mapping


def images_named(manifests: Manifests) -> Iterator[tuple[str, str]]:
    """Places, and the images that stand there; empty where a container has none."""
    for pod in manifests.pods:
        for container in pod.every_container:
            yield named(pod, container), str(container.get("image") or "")
    for one in manifests.of("PipelineVersion"):
        executors = at(one.spec, "pipelineSpec", "deploymentSpec", "executors")
        for name, executor in mapping(executors).items():
            image = at(executor, "container", "image")
            if image is not None:
                yield f"{one.where}, {str(name).removeprefix('exec-')}", str(image)
    for one in manifests.of("ConfigMap"):
        for key, value in mapping(one.body.get("data")).items():
            if str(key).endswith("_IMAGE") and value:
                yield f"{one.where}, {key}", str(value)
