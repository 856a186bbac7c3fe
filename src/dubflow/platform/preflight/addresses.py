"""Addresses within the cluster that a pod is told: in its environment, its settings, its command line."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from dubflow.platform.preflight.container_settings import command_line, environment
from dubflow.platform.preflight.resources import Manifests, PodSpec

_ADDRESS = re.compile(
    r"(?:(?P<scheme>[a-z][a-z0-9+]*)://(?:[^@/\s]*@)?|(?<![\w./@:-]))(?P<name>[a-z][a-z0-9-]*)(?:\.(?P<space>[a-z][a-z0-9-]*))?(?P<svc>\.svc(?:\.cluster\.local)?)?"
    r"(?::(?P<port>\d{2,5}))?(?![\w.:-])"
)
_PORTS = {"http": 80, "https": 443, "postgresql": 5432}
_STORES = frozenset({"s3", "gs", "file", "pvc", "mem"})
"""Schemes whose host is no host."""


@dataclass(frozen=True)
class Address:
    """``text`` as it stands in ``told_by``; ``space`` is the pod's own where none is named."""

    text: str
    told_by: str
    name: str
    space: str
    port: int


def addresses(manifests: Manifests, pod: PodSpec) -> Iterator[Address]:
    """Services that a pod is told to ask: names of services that are there, and whatever ends in ``.svc``."""
    seen: set[Address] = set()
    for container in pod.every_container:
        told = [(one.name, one.value or "") for one in environment(manifests, pod, container)]
        told += [("its command line", word) for word in command_line(container)]
        for told_by, text in told:
            for one in _in_text(manifests, pod, told_by, text):
                if one not in seen:
                    seen.add(one)
                    yield one


def _in_text(manifests: Manifests, pod: PodSpec, told_by: str, text: str) -> Iterator[Address]:
    for found in _ADDRESS.finditer(text):
        scheme = (found["scheme"] or "").partition("+")[0]
        space = found["space"] or pod.namespace
        port = int(found["port"]) if found["port"] else _PORTS.get(scheme, 0)
        ours = manifests.find("Service", found["name"], space) is not None
        is_host = bool(scheme) and scheme not in _STORES
        # A bare word is an address only where a service has its name and a port follows, or a scheme stands before it.
        meant = found["svc"] or (ours and (is_host or found["port"])) or (is_host and not found["space"])
        if port and meant and found["name"] != "localhost":
            yield Address(found[0], told_by, found["name"], space, port)
