"""An exported version as an InferenceService of KServe: what a cluster is asked to run.

The builder is a plain function from facts to a manifest, checked in tests against the resource's own schema. How a pod
serves (image, ports, probes, volumes) is the ServingRuntime's in ``infra/kubernetes/base/triton``; *what* it serves
stands in annotations of the predictor, which an init container reads: it brings the export from its storage and refuses
what no trusted key signed. Annotations are a map, so what a deployment wrote there outlives ``kubectl apply -k`` of the
overlay. KServe rolls a changed service over by itself and keeps the old pods until the new ones answer.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping
from typing import Any, Protocol

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

from dubflow.errors import OurFault, WrongUse
from dubflow.serving.export import Exported

GROUP, VERSION, PLURAL = "serving.kserve.io", "v1beta1", "inferenceservices"
CONTAINER = "kserve-container"
"""As KServe names the one that serves."""
SERVED = "/models/served"
"""Where the init container puts the export, in the pod."""
SOURCE, VERSION_NOTE, PACKAGE_NOTE = (f"dubflow.dev/{one}" for one in ("source", "version", "package"))
"""Annotations of a predictor: address of the export, its version, digest of its package."""
USER = 10001
"""Of the images."""
IMAGE = "dubflow/serve-python:0.1.0"
TRUSTED = "/etc/dubflow/trusted"


class DeploySettings(BaseSettings):
    """What a cluster decides; from the environment, prefix ``DUBFLOW_DEPLOY_``."""

    model_config = SettingsConfigDict(env_prefix="DUBFLOW_DEPLOY_", extra="ignore", frozen=True)

    where: str = Field("auto", pattern="^(auto|local|cluster)$", description="auto: cluster inside of one.")
    namespace: str = Field("dubflow", description="Where the service is made.")
    runtime: str = Field("dubflow-triton", description="ServingRuntime with the image that has dubflow in it.")
    service_account: str = Field("dubflow-serving", description="That its pods run as.")
    image: str = Field(IMAGE, description="Of the init container that brings the export: the runtime's own.")
    least: int = Field(1, ge=0, description="Pods of a service that is made anew.")
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
    exported: Exported | None, name: str, source: str, settings: DeploySettings | None = None
) -> dict[str, Any]:
    """The manifest of a version.

    Args:
        exported: what is served; None: the shipped starter, whatever ``source`` says. name: of the model, and of the
            service. source: address of the export's folder in a storage (``s3://…``).

    Raises:
        WrongUse: ``platform.bad_storage`` for what no pod can read.
    """
    settings = settings or DeploySettings()
    own = {} if exported is None else version_annotations(exported.version, exported.package, source)
    told = {} if exported is None else {"dubflow.dev/engine": exported.engine, "dubflow.dev/world": exported.world}
    labels = {
        "app.kubernetes.io/name": "dubflow-triton",
        "app.kubernetes.io/component": "serving",
        "app.kubernetes.io/part-of": "dubflow",
    }
    shown = {one: own[one] for one in (VERSION_NOTE, PACKAGE_NOTE) if one in own}
    return {
        "apiVersion": f"{GROUP}/{VERSION}",
        "kind": "InferenceService",
        "metadata": {
            "name": name,
            "namespace": settings.namespace,
            "labels": {**labels, "networking.kserve.io/visibility": "cluster-local"},
            "annotations": {
                "serving.kserve.io/deploymentMode": "Standard",
                "serving.kserve.io/autoscalerClass": "none",
                **shown,
                **told,
            },
        },
        "spec": {"predictor": _predictor(settings, labels, own)},
    }


def version_annotations(version: int, package: str | None, source: str) -> dict[str, str]:
    """What a predictor's annotations say of the version that it serves.

    Raises:
        WrongUse: ``platform.bad_storage``.
    """
    if source.partition("://")[0] != "s3":
        raise WrongUse(
            "platform.bad_storage",
            f"{source!r} is no storage that a pod can read an export from.",
            "Keep artifacts in s3://bucket/prefix.",
        )
    return {SOURCE: source, VERSION_NOTE: str(version), PACKAGE_NOTE: package or ""}


def source_of(predictor: Mapping[str, Any]) -> str:
    """Address of the export that a predictor serves; empty for the starter."""
    return str((predictor.get("annotations") or {}).get(SOURCE, ""))


def with_version(predictor: Mapping[str, Any], version: int, package: str | None, source: str) -> dict[str, Any]:
    """A copy of a predictor that serves another version; an empty ``source`` is the starter's.

    Raises:
        WrongUse: ``platform.bad_storage``.
    """
    made = copy.deepcopy(dict(predictor))
    others = {name: value for name, value in (made.get("annotations") or {}).items() if not _is_ours(name)}
    made["annotations"] = others | (version_annotations(version, package, source) if source else {})
    return made


def canary_entry(
    predictor: Mapping[str, Any], version: int, package: str | None, source: str, percent: int
) -> dict[str, Any]:
    """An entry of ``spec.canary`` (KServe 0.20): the predictor with another version, and its share.

    It has a name, as KServe asks, and no scaling of its own. Workers take any pod for a job, so it gets as many pods as
    its share needs beside the ``minReplicas`` of the version in use, rounded up: never none, for somebody must try it.

    Raises:
        WrongUse: ``platform.bad_storage``.
    """
    made = with_version(predictor, version, package, source)
    for name in ("maxReplicas", "scaleTarget", "scaleMetric", "scaleMetricType", "autoScaling"):
        made.pop(name, None)
    stable = max(1, int(made.get("minReplicas", 1)))
    made["name"] = f"v{version}"
    made["minReplicas"] = max(1, math.ceil(stable * percent / max(1, 100 - percent))) if percent < 100 else stable
    made["model"].setdefault("name", CONTAINER)  # which the canary's schema asks for, unlike the predictor's
    return {"predictor": made, "trafficPercent": percent}


def _is_ours(annotation: str) -> bool:
    return annotation in (SOURCE, VERSION_NOTE, PACKAGE_NOTE)


def _predictor(settings: DeploySettings, labels: Mapping[str, str], own: Mapping[str, str]) -> dict[str, Any]:
    """What KServe merges over the runtime: the pod around its container, and who brings the model."""
    return {
        **({"annotations": dict(own)} if own else {}),
        "labels": dict(labels),
        "minReplicas": settings.least,
        "serviceAccountName": settings.service_account,
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "priorityClassName": "dubflow-serving",
        "terminationGracePeriodSeconds": 120,
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": USER,
            "runAsGroup": USER,
            "fsGroup": USER,
            "fsGroupChangePolicy": "OnRootMismatch",
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "topologySpreadConstraints": [
            {
                "maxSkew": 1,
                "topologyKey": "kubernetes.io/hostname",
                "whenUnsatisfiable": "ScheduleAnyway",
                "labelSelector": {"matchLabels": {"app.kubernetes.io/name": labels["app.kubernetes.io/name"]}},
            }
        ],
        "initContainers": [_fetch(settings.image)],
        "model": {
            "modelFormat": {"name": "triton"},
            "runtime": settings.runtime,
            "protocolVersion": "grpc-v2",
            "name": CONTAINER,
        },
    }


def _fetch(image: str) -> dict[str, Any]:
    """The init container: it knows the version by the annotations of its pod, and serves the starter without any."""
    told = {
        "DUBFLOW_SERVED_SOURCE": SOURCE,
        "DUBFLOW_SERVED_VERSION": VERSION_NOTE,
        "DUBFLOW_SERVED_PACKAGE": PACKAGE_NOTE,
    }
    quantities = {"memory": "512Mi", "ephemeral-storage": "8Gi"}
    return {
        "name": "fetch",
        "image": image,
        "command": ["dubflow", "serve", "fetch"],
        "args": [f"--out={SERVED}", f"--trusted-key={TRUSTED}/package.pem.pub"],
        "env": [
            {"name": "HOME", "value": "/tmp"},  # noqa: S108 - in the pod, a room of its own
            *(
                {"name": name, "valueFrom": {"fieldRef": {"fieldPath": f"metadata.annotations['{note}']"}}}
                for name, note in told.items()
            ),
            *(
                {"name": name, "valueFrom": {"configMapKeyRef": {"name": "dubflow-triton", "key": name, **more}}}
                for name, more in (("AWS_REGION", {}), ("AWS_ENDPOINT_URL", {"optional": True}))
            ),
            *(
                {"name": name, "valueFrom": {"secretKeyRef": {"name": "dubflow-storage", "key": name}}}
                for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")
            ),
        ],
        "resources": {
            "requests": {"cpu": "250m", **quantities},
            "limits": {"cpu": "1", **quantities | {"memory": "1Gi"}},
        },
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": USER,
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "volumeMounts": [
            {"name": "served", "mountPath": "/models"},
            {"name": "tmp", "mountPath": "/tmp"},  # noqa: S108
            {"name": "trusted", "mountPath": TRUSTED, "readOnly": True},
        ],
    }


def apply_service(manifest: Mapping[str, Any], api: ServicesApi) -> bool:
    """Create the service, or have the one of its name serve this version; whether it is new.

    Of one that is there only what says the version is changed: how many pods it has, and how large, is its overlay's.

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
    change = {
        "metadata": {"annotations": manifest["metadata"]["annotations"]},
        "spec": {"predictor": {"annotations": manifest["spec"]["predictor"].get("annotations", {})}},
    }
    try:
        api.patch_namespaced_custom_object(GROUP, VERSION, namespace, PLURAL, name, change)
    except Exception as error:
        raise _refused(name, error) from error
    return False


def _refused(name: str, error: Exception) -> OurFault:
    reason = " ".join(str(error).split())[:300]
    return OurFault("platform.not_deployed", f"InferenceService {name}: {reason}", "See whether the cluster answers.")
