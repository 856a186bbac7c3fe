"""Where a component runs: image, resources, how often and how long."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from kfp import kubernetes
from kfp.dsl import PipelineTask

VERSION = "0.1.0"
IMAGES = {name: f"dubflow/{name}-python:{VERSION}" for name in ("data", "train", "serve")}
"""Images by what is in them; the settings of a cluster put its registry and a digest in their place."""
CLAIM, WORKSPACE = "dubflow-workspace", "/workspace"
SECRET = "dubflow-services"  # noqa: S105 - the name of one, which holds addresses and keys of MLflow and its storage


@dataclass(frozen=True)
class Place:
    """What a task asks of a cluster.

    Attributes:
        image: key of :data:`IMAGES`. cpu, memory: as Kubernetes writes them. gpus: of nvidia.com/gpu.
        retries: repetitions after a lost pod; what fails by its own error repeats itself, or not, inside the step.
        timeout_s: after which the pod is ended.
        cached: whether equal inputs take an earlier result. What asks a registry is asked again each time.
    """

    image: Literal["data", "train", "serve"]
    cpu: str = "2"
    memory: str = "4Gi"
    gpus: int = 0
    retries: int = 2
    timeout_s: int = 6 * 3600
    cached: bool = True


def put(task: PipelineTask, place: Place) -> PipelineTask:
    """Give a task its place."""
    task.set_cpu_limit(place.cpu).set_memory_limit(place.memory)
    task.set_cpu_request(place.cpu).set_memory_request(place.memory)
    if place.gpus:
        task.set_accelerator_type("nvidia.com/gpu").set_accelerator_limit(place.gpus)
    task.set_retry(num_retries=place.retries, backoff_duration="30s", backoff_factor=2)
    task.set_caching_options(enable_caching=place.cached)
    kubernetes.set_timeout(task, place.timeout_s)
    kubernetes.mount_pvc(task, pvc_name=CLAIM, mount_path=WORKSPACE)
    kubernetes.use_secret_as_env(task, SECRET, {"mlflow_uri": "DUBFLOW_MLFLOW_URI"}, optional=True)
    return task
