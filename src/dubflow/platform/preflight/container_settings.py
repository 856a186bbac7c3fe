"""What a container is told: its security settings, its environment, its words, its resources."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from dubflow.platform.preflight.resources import Body, Manifests, PodSpec, at, bodies, mapping, words

GPU = "nvidia.com/gpu"
_QUANTITY = re.compile(r"(\d+(?:\.\d+)?)([numkMGTPE]|[KMGTPE]i)?$")
_UNITS = {"n": 1e-9, "u": 1e-6, "m": 1e-3, "": 1.0, "k": 1e3, "M": 1e6, "G": 1e9, "T": 1e12, "P": 1e15, "E": 1e18,
          "Ki": 2.0**10, "Mi": 2.0**20, "Gi": 2.0**30, "Ti": 2.0**40, "Pi": 2.0**50, "Ei": 2.0**60}  # fmt: skip


@dataclass(frozen=True)
class Variable:
    """One of a container's environment.

    Attributes:
        value: None where it comes from a Secret, a field, or a map that is not here.
        source: ``value``, ``ConfigMap name``, ``Secret name`` or ``field``.
    """

    name: str
    value: str | None
    source: str


def named(pod: PodSpec, container: Body) -> str:
    """As findings name a container."""
    return f"{pod.where}, container {container.get('name', '?')}"


def security(pod: PodSpec, container: Body, setting: str) -> Any:
    """A setting of the security context: the container's own before the pod's."""
    own = mapping(container.get("securityContext"))
    return own[setting] if setting in own else mapping(pod.spec.get("securityContext")).get(setting)


def quantity(value: object) -> float | None:
    """A Kubernetes quantity (``500m``, ``2Gi``) as a number; None where it is none."""
    found = _QUANTITY.fullmatch(str(value).strip())
    return float(found[1]) * _UNITS[found[2] or ""] if found else None


def resource(container: Body, kind: str, name: str) -> object:
    """What ``requests`` or ``limits`` say of a resource."""
    return at(container, "resources", kind, name)


def wants_gpu(container: Body) -> bool:
    """Whether it asks for GPUs."""
    return any(quantity(resource(container, kind, GPU) or 0) for kind in ("requests", "limits"))


def command_line(container: Body) -> list[str]:
    """``command`` and ``args``, as far as the image's entry point is not needed to know them."""
    return [*words(container.get("command")), *words(container.get("args"))]


def environment(manifests: Manifests, pod: PodSpec, container: Body) -> Iterator[Variable]:
    """Every variable that can be known; ConfigMaps are looked into, Secrets are not."""
    for source in bodies(container.get("envFrom")):
        prefix = str(source.get("prefix") or "")
        found = manifests.find("ConfigMap", at(source, "configMapRef", "name"), pod.namespace)
        if found is not None:
            for key, value in mapping(found.body.get("data")).items():
                yield Variable(f"{prefix}{key}", str(value), f"ConfigMap {found.name}")
    for one in bodies(container.get("env")):
        yield _variable(manifests, pod, one)


def _variable(manifests: Manifests, pod: PodSpec, one: Body) -> Variable:
    name, origin = str(one.get("name")), mapping(one.get("valueFrom"))
    if reference := mapping(origin.get("configMapKeyRef")):
        found = manifests.find("ConfigMap", reference.get("name"), pod.namespace)
        value = at(found.body, "data", str(reference.get("key"))) if found is not None else None
        return Variable(name, None if value is None else str(value), f"ConfigMap {reference.get('name')}")
    if reference := mapping(origin.get("secretKeyRef")):
        return Variable(name, None, f"Secret {reference.get('name')}")
    if origin:
        return Variable(name, None, "field")
    value = one.get("value")
    return Variable(name, "" if value is None else str(value), "value")
