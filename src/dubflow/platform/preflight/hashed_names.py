"""Generated names carry a hash; whoever asks for the plain name is pointed at the one with it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

POD_TEMPLATES = {
    "Pod": ("spec",), "Deployment": ("spec", "template", "spec"), "StatefulSet": ("spec", "template", "spec"),
    "DaemonSet": ("spec", "template", "spec"), "ReplicaSet": ("spec", "template", "spec"),
    "Job": ("spec", "template", "spec"), "CronJob": ("spec", "jobTemplate", "spec", "template", "spec"),
}  # fmt: skip
"""Where a kind keeps the spec of its pods."""


def space_of(namespace: object) -> str:
    """A namespace, with the one that is meant where none is named."""
    return str(namespace or "default")


def follow(body: dict[str, Any], renamed: Mapping[tuple[str, str, str], str]) -> None:
    """Point a pod of a core kind at the names with hashes. Custom resources are not followed, as in kustomize."""
    path = POD_TEMPLATES.get(body["kind"])
    pod: Any = body
    for step in path or ():
        pod = pod.get(step) or {}
    if path is None or not isinstance(pod, dict):
        return
    space = space_of(body["metadata"].get("namespace"))

    def rename(holder: Any, name_field: str, kind: str) -> None:
        if isinstance(holder, dict) and (kind, space, holder.get(name_field)) in renamed:
            holder[name_field] = renamed[(kind, space, holder[name_field])]

    for volume in _dicts(pod.get("volumes")):
        rename(volume.get("configMap"), "name", "ConfigMap")
        rename(volume.get("secret"), "secretName", "Secret")
        for source in _dicts((volume.get("projected") or {}).get("sources")):
            rename(source.get("configMap"), "name", "ConfigMap")
            rename(source.get("secret"), "name", "Secret")
    for one in _dicts(pod.get("imagePullSecrets")):
        rename(one, "name", "Secret")
    for container in (*_dicts(pod.get("initContainers")), *_dicts(pod.get("containers"))):
        for source in _dicts(container.get("envFrom")):
            rename(source.get("configMapRef"), "name", "ConfigMap")
            rename(source.get("secretRef"), "name", "Secret")
        for variable in _dicts(container.get("env")):
            rename((variable.get("valueFrom") or {}).get("configMapKeyRef"), "name", "ConfigMap")
            rename((variable.get("valueFrom") or {}).get("secretKeyRef"), "name", "Secret")


def _dicts(value: object) -> Iterable[dict[str, Any]]:
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []
