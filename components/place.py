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

# What a cluster gives to every step. Each is optional: a step says what it misses when it needs it.
SERVICES = "dubflow-services"
"""Secret with the addresses of MLflow and of the models' history, which may hold passwords."""
STORAGE = "dubflow-storage"
"""Secret with the keys to the storage of checkpoints and artifacts."""
SETTINGS = "dubflow-pipelines"
"""ConfigMap with the settings of steps."""
TRUSTED = "dubflow-trusted-keys"
"""Secret with the public keys that packages and verdicts must be signed by: whoever changes them is trusted."""
SIGNING = "dubflow-signing"
"""Secret with the private keys; only steps that sign have it."""
TRUSTED_AT, SIGNING_AT = "/etc/dubflow/trusted", "/etc/dubflow/signing"
OF_SERVICES = {"mlflow_uri": "DUBFLOW_MLFLOW_URI", "registry_journal": "DUBFLOW_REGISTRY_JOURNAL"}
OF_STORAGE = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")
OF_SETTINGS = (
    "AWS_ENDPOINT_URL", "AWS_REGION", "DUBFLOW_CHECKPOINTS",
    "DUBFLOW_PACKAGE_KEY", "DUBFLOW_TRUSTED_KEYS", "DUBFLOW_VERDICT_KEY", "DUBFLOW_VERDICT_KEYS",
    "DUBFLOW_TRAINJOB_NAMESPACE", "DUBFLOW_TRAINJOB_RUNTIME", "DUBFLOW_TRAINJOB_IMAGE", "DUBFLOW_TRAINJOB_CLAIM",
    "DUBFLOW_TRAINJOB_QUEUE", "DUBFLOW_TRAINJOB_STORAGE_SECRET", "DUBFLOW_TRAINJOB_CPU", "DUBFLOW_TRAINJOB_MEMORY",
    "DUBFLOW_DEPLOY_NAMESPACE", "DUBFLOW_DEPLOY_RUNTIME", "DUBFLOW_DEPLOY_SERVICE_ACCOUNT", "DUBFLOW_DEPLOY_IMAGE",
    "DUBFLOW_DEPLOY_LEAST",
)  # fmt: skip


@dataclass(frozen=True)
class Place:
    """What a task asks of a cluster.

    Attributes:
        image: key of :data:`IMAGES`. cpu, memory: as Kubernetes writes them. gpus: of nvidia.com/gpu.
        retries: repetitions after a lost pod; what fails by its own error repeats itself, or not, inside the step.
        timeout_s: after which the pod is ended.
        cached: whether equal inputs take an earlier result. What asks a registry is asked again each time.
        signs: whether the private keys are there.
    """

    image: Literal["data", "train", "serve"]
    cpu: str = "2"
    memory: str = "4Gi"
    gpus: int = 0
    retries: int = 2
    timeout_s: int = 6 * 3600
    cached: bool = True
    signs: bool = False


def put(task: PipelineTask, place: Place) -> PipelineTask:
    """Give a task its place."""
    task.set_cpu_limit(place.cpu).set_memory_limit(place.memory)
    task.set_cpu_request(place.cpu).set_memory_request(place.memory)
    if place.gpus:
        task.set_accelerator_type("nvidia.com/gpu").set_accelerator_limit(place.gpus)
        kubernetes.add_toleration(task, key="nvidia.com/gpu", operator="Exists", effect="NoSchedule")
    task.set_retry(num_retries=place.retries, backoff_duration="30s", backoff_factor=2)
    task.set_caching_options(enable_caching=place.cached)
    kubernetes.set_timeout(task, place.timeout_s)
    kubernetes.mount_pvc(task, pvc_name=CLAIM, mount_path=WORKSPACE)
    kubernetes.use_secret_as_env(task, SERVICES, OF_SERVICES, optional=True)
    kubernetes.use_secret_as_env(task, STORAGE, {name: name for name in OF_STORAGE}, optional=True)
    kubernetes.use_config_map_as_env(task, SETTINGS, {name: name for name in OF_SETTINGS}, optional=True)
    kubernetes.use_secret_as_volume(task, TRUSTED, TRUSTED_AT, optional=True)
    if place.signs:
        kubernetes.use_secret_as_volume(task, SIGNING, SIGNING_AT, optional=True)
    kubernetes.set_security_context(task, run_as_non_root=True)
    return task
