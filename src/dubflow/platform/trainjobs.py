"""A training on several nodes, as a TrainJob of Kubeflow Trainer: the very command that runs on one machine.

The builder is a plain function from words to a manifest, checked in tests against the resource's own schema. Running
one is create, watch, and take over what is there already, because the pod that waits may be lost and come back.
"""

from __future__ import annotations

import re
import shlex
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

from dubflow.corpora.cache import content_key
from dubflow.errors import OurFault
from dubflow.platform.training_command import LAUNCHER_ENVIRONMENT, launcher_of

GROUP, VERSION, PLURAL = "trainer.kubeflow.org", "v1alpha1", "trainjobs"
_NAME = re.compile(r"[^a-z0-9]+")
_TOLD_EVERY_S = 60.0
_STORAGE_KEYS = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")


class TrainJobSettings(BaseSettings):
    """What a cluster decides; from the environment, prefix ``DUBFLOW_TRAINJOB_``."""

    model_config = SettingsConfigDict(env_prefix="DUBFLOW_TRAINJOB_", extra="ignore", frozen=True)

    namespace: str = Field("dubflow-training", description="Where jobs are made.")
    runtime: str = Field("dubflow-torch", description="ClusterTrainingRuntime that they are made from.")
    image: str = Field("dubflow/train-python:0.1.0", description="Where empty, the runtime's own.")
    claim: str = Field("dubflow-workspace", description="Claim that every node mounts at /workspace.")
    queue: str = Field("", description="Local queue of Kueue; none where empty.")
    cpu: str = Field("8", description="Of a node.")
    memory: str = Field("64Gi", description="Of a node.")
    poll_s: float = Field(10.0, gt=0, description="Seconds between looks at a job.")
    storage_secret: str = Field("", description="Secret with the keys to checkpoints' storage; none where empty.")
    retries: int = Field(3, ge=0, description="How often torchrun starts all processes again after one was lost.")


class JobsApi(Protocol):
    """The part of Kubernetes' API that is used, as its Python client spells it (``CustomObjectsApi``)."""

    def create_namespaced_custom_object(self, group: str, version: str, namespace: str, plural: str, body: Any) -> Any:
        """Create; raises with ``status`` 409 where one of that name is there."""

    def get_namespaced_custom_object(self, group: str, version: str, namespace: str, plural: str, name: str) -> Any:
        """Read."""


def job_name(words: Sequence[str]) -> str:
    """The same words, the same job: one that is there already is taken over."""
    return f"dubflow-{_NAME.sub('-', words[1])}-{content_key({'words': list(words)})[:10]}"


def train_job(
    words: Sequence[str],
    *,
    nodes: int,
    devices: int,
    settings: TrainJobSettings | None = None,
    environment: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    """The manifest of a training.

    Args:
        words: of ``dubflow``, as :func:`dubflow.platform.training_command.training_words` makes them.
        nodes: pods. devices: processes and GPUs of each.
        environment: variables of the processes, beside those that Trainer sets for torchrun (``PET_*``).
    """
    settings = settings or TrainJobSettings()
    command = ["python", *launcher_of(nodes, devices, settings.retries)[1:], "-m", "dubflow", *words, "--json"]
    resources = {"cpu": settings.cpu, "memory": settings.memory, "nvidia.com/gpu": str(devices)}
    labels = {"app.kubernetes.io/name": "dubflow", "app.kubernetes.io/component": "training"}
    if settings.queue:
        labels["kueue.x-k8s.io/queue-name"] = settings.queue
    variables = {"DUBFLOW_WORKSPACE": "/workspace", **LAUNCHER_ENVIRONMENT, **(environment or {})}
    plain = [{"name": name, "value": value} for name, value in sorted(variables.items())]
    return {
        "apiVersion": f"{GROUP}/{VERSION}",
        "kind": "TrainJob",
        "metadata": {"name": job_name(words), "namespace": settings.namespace, "labels": labels},
        "spec": {
            "runtimeRef": {"apiGroup": GROUP, "kind": "ClusterTrainingRuntime", "name": settings.runtime},
            "trainer": {
                **({"image": settings.image} if settings.image else {}),
                "command": command,
                "numNodes": nodes,
                "numProcPerNode": devices,
                "resourcesPerNode": {"requests": resources, "limits": resources},
                "env": [*plain, *_keys(settings)],
            },
            "runtimePatches": [{"manager": "dubflow.dev/pipelines", "trainingRuntimeSpec": _patch(settings)}],
        },
    }


def run_train_job(
    manifest: Mapping[str, Any],
    api: JobsApi,
    *,
    poll_s: float,
    say: Callable[[str], None],
    sleep: Callable[[float], None] = time.sleep,
) -> None:
    """Create the job, or take over one of its name that is there, and wait until it is complete.

    Raises:
        OurFault: ``platform.train_job_failed`` with what the cluster said.
    """
    name, namespace = manifest["metadata"]["name"], manifest["metadata"]["namespace"]
    try:
        api.create_namespaced_custom_object(GROUP, VERSION, namespace, PLURAL, manifest)
        say(f"TrainJob {namespace}/{name}: {shlex.join(manifest['spec']['trainer']['command'])}")
    except Exception as error:
        if getattr(error, "status", None) != 409:
            raise _failed(name, str(error)) from error
        say(f"TrainJob {namespace}/{name} is there already; waiting for it")
    told, waited = "", 0.0
    while True:
        found = api.get_namespaced_custom_object(GROUP, VERSION, namespace, PLURAL, name)
        conditions = {one["type"]: one for one in found.get("status", {}).get("conditions", ())}
        if conditions.get("Complete", {}).get("status") == "True":
            return
        if (failed := conditions.get("Failed", {})).get("status") == "True":
            raise _failed(name, f"{failed.get('reason', '')} {failed.get('message', '')}".strip())
        now = ", ".join(sorted(kind for kind, one in conditions.items() if one.get("status") == "True")) or "waiting"
        if now != told or waited >= _TOLD_EVERY_S:
            say(f"TrainJob {name}: {now}")
            told, waited = now, 0.0
        sleep(poll_s)
        waited += poll_s


def cluster_api() -> JobsApi:
    """Kubernetes as this pod, or this person's configuration, reaches it.

    Raises:
        OurFault: ``platform.no_cluster``.
    """
    from kubernetes import client, config

    try:
        config.load_incluster_config()
    except config.ConfigException:
        try:
            config.load_kube_config()
        except config.ConfigException as error:
            raise OurFault("platform.no_cluster", f"No cluster is reachable: {error}.", "See KUBECONFIG.") from error
    api: JobsApi = client.CustomObjectsApi()
    return api


def _keys(settings: TrainJobSettings) -> list[dict[str, Any]]:
    """Variables whose values stay in the secret."""
    names = _STORAGE_KEYS if settings.storage_secret else ()
    return [
        {"name": name, "valueFrom": {"secretKeyRef": {"name": settings.storage_secret, "key": name}}} for name in names
    ]


def _patch(settings: TrainJobSettings) -> dict[str, Any]:
    """The workspace, in the pods of the runtime's replicated job ``node``."""
    mount = {"name": "workspace", "mountPath": "/workspace"}
    volume = {"name": "workspace", "persistentVolumeClaim": {"claimName": settings.claim}}
    pod = {"volumes": [volume], "containers": [{"name": "node", "volumeMounts": [mount]}]}
    job = {"name": "node", "template": {"spec": {"template": {"spec": pod}}}}
    return {"template": {"spec": {"replicatedJobs": [job]}}}


def _failed(name: str, why: str) -> OurFault:
    return OurFault(
        "platform.train_job_failed",
        f"TrainJob {name} failed: {why}.",
        "Its pods' logs say more; the training goes on from its last checkpoint when it is started again.",
    )
