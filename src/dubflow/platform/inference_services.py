"""An exported version as an InferenceService of KServe: what a cluster is asked to run.

The builder is a plain function from facts to a manifest, checked in tests against the resource's own schema. KServe
rolls a changed service over by itself and keeps the old pods until the new ones answer.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

from dubflow.errors import OurFault, WrongUse
from dubflow.serving.export import Exported

GROUP, VERSION, PLURAL = "serving.kserve.io", "v1beta1", "inferenceservices"
MOUNT = "/mnt/models"
"""Where KServe puts what ``storageUri`` names."""


class DeploySettings(BaseSettings):
    """What a cluster decides; from the environment, prefix ``DUBFLOW_DEPLOY_``."""

    model_config = SettingsConfigDict(env_prefix="DUBFLOW_DEPLOY_", extra="ignore", frozen=True)

    where: str = Field("auto", pattern="^(auto|local|cluster)$", description="auto: cluster inside of one.")
    namespace: str = Field("dubflow", description="Where the service is made.")
    runtime: str = Field("dubflow-triton", description="ServingRuntime with the image that has dubflow in it.")
    service_account: str = Field("dubflow-serving", description="With the keys to the models' storage.")
    cpu: str = Field("4", description="Of a pod.")
    memory: str = Field("16Gi", description="Of a pod.")
    gpus: int = Field(1, ge=0, description="Of a pod.")
    shared_memory: str = Field("2Gi", description="Of a pod's /dev/shm, through which Triton's processes speak.")
    least: int = Field(1, ge=0, description="Pods at the least.")
    most: int = Field(4, ge=1, description="Pods at the most.")
    wait_s: float = Field(120.0, gt=0, description="How long a running server here may take to serve the version.")


class ServicesApi(Protocol):
    """The part of Kubernetes' API that is used, as its Python client spells it (``CustomObjectsApi``)."""

    def create_namespaced_custom_object(self, group: str, version: str, namespace: str, plural: str, body: Any) -> Any:
        """Create; raises with ``status`` 409 where one of that name is there."""

    def patch_namespaced_custom_object(
        self, group: str, version: str, namespace: str, plural: str, name: str, body: Any
    ) -> Any:
        """Merge into the one that is there."""


def inference_service(
    exported: Exported, name: str, storage_uri: str, settings: DeploySettings | None = None
) -> dict[str, Any]:
    """The manifest of a version.

    Args:
        exported: what is served. name: of the model, and of the service. storage_uri: of the export's folder, as
            KServe's storage initializer takes it (``s3://``, ``gs://``, ``pvc://``).

    Raises:
        WrongUse: ``platform.bad_storage`` for a folder of this machine, which no pod can reach.
    """
    settings = settings or DeploySettings()
    if storage_uri.partition("://")[0] not in ("s3", "gs", "pvc", "hdfs", "https"):
        raise WrongUse(
            "platform.bad_storage",
            f"{storage_uri!r} is no storage that KServe can read a model from.",
            "Keep artifacts in s3://, gs:// or on a claim (pvc://).",
        )
    quantities = {"cpu": settings.cpu, "memory": settings.memory}
    if settings.gpus:
        quantities["nvidia.com/gpu"] = str(settings.gpus)
    locked = {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}, "readOnlyRootFilesystem": True}
    rooms = {"shared-memory": ("/dev/shm", {"medium": "Memory", "sizeLimit": settings.shared_memory})}  # noqa: S108
    rooms["scratch"] = ("/tmp", {"sizeLimit": "8Gi"})  # noqa: S108 - in the pod, a room of its own
    return {
        "apiVersion": f"{GROUP}/{VERSION}",
        "kind": "InferenceService",
        "metadata": {
            "name": name,
            "namespace": settings.namespace,
            "labels": {"app.kubernetes.io/name": "dubflow", "app.kubernetes.io/component": "serving"},
            "annotations": {
                "dubflow.dev/version": str(exported.version),
                "dubflow.dev/package": exported.package or "",
                "dubflow.dev/engine": exported.engine,
                "dubflow.dev/world": exported.world,
            },
        },
        "spec": {
            "predictor": {
                "minReplicas": settings.least,
                "maxReplicas": max(settings.least, settings.most),
                "serviceAccountName": settings.service_account,
                "automountServiceAccountToken": False,
                "securityContext": {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}},
                "terminationGracePeriodSeconds": 120,
                "volumes": [{"name": room, "emptyDir": kind} for room, (_, kind) in rooms.items()],
                "model": {
                    "modelFormat": {"name": "triton"},
                    "runtime": settings.runtime,
                    "protocolVersion": "grpc-v2",
                    "storageUri": storage_uri,
                    "resources": {"requests": dict(quantities), "limits": dict(quantities)},
                    "securityContext": locked,
                    "volumeMounts": [{"name": room, "mountPath": path} for room, (path, _) in rooms.items()],
                },
            }
        },
    }


def apply_service(manifest: Mapping[str, Any], api: ServicesApi) -> bool:
    """Create the service, or change the one of its name; whether it is new.

    Raises:
        OurFault: ``platform.not_deployed`` with what the cluster said.
    """
    name, namespace = manifest["metadata"]["name"], manifest["metadata"]["namespace"]
    try:
        api.create_namespaced_custom_object(GROUP, VERSION, namespace, PLURAL, manifest)
    except Exception as error:
        if getattr(error, "status", None) != 409:
            raise _refused(name, error) from error
    else:
        return True
    try:
        api.patch_namespaced_custom_object(GROUP, VERSION, namespace, PLURAL, name, manifest)
    except Exception as error:
        raise _refused(name, error) from error
    return False


def _refused(name: str, error: Exception) -> OurFault:
    reason = " ".join(str(error).split())[:300]
    return OurFault("platform.not_deployed", f"InferenceService {name}: {reason}", "See whether the cluster answers.")
