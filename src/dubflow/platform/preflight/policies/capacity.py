"""Whether a namespace's quota has room for what is to run in it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from typing import Any

from dubflow.platform.preflight.checks import Check
from dubflow.platform.preflight.container_settings import named, quantity, resource
from dubflow.platform.preflight.findings import Finding, Rule, refused, warned
from dubflow.platform.preflight.replicas import least_replicas, most_replicas
from dubflow.platform.preflight.resources import Body, Manifests, PodSpec, Resource, at, bodies, mapping

QUOTA_FITS = Rule(
    "policy.quota_fits",
    "Quotas and limit ranges have room for all pods at their least, and for what scalers may add (else a warning).",
    "Pods are refused by admission, and a Deployment stays short of replicas without an error of its own.",
)


def quota_fits(manifests: Manifests) -> Iterator[Finding]:
    """See :data:`QUOTA_FITS`. Jobs are counted once; what our code makes at run time must fit beside all else."""
    for one in manifests.of("ResourceQuota"):
        standing = [pod for pod in manifests.pods_in(one.namespace) if not pod.owner.origin]
        claims = [claim for claim in manifests.of("PersistentVolumeClaim") if claim.namespace == one.namespace]
        least = _sum(manifests, standing, claims, least_replicas)
        most = _sum(manifests, standing, claims, most_replicas)
        for name, hard in mapping(one.spec.get("hard")).items():
            room = quantity(hard)
            if room is None:
                continue
            if least[name] > room:
                told = f"{name} is {hard}, and what is to run needs {_told(name, least[name])}."
                yield refused(QUOTA_FITS, one.where, told, "Raise the quota, or ask for less.")
            elif most[name] > room:
                told = f"{name} is {hard}, and with all that scalers may add it needs {_told(name, most[name])}."
                yield warned(QUOTA_FITS, one.where, told, "Raise the quota, or lower the scalers' bounds.")
        yield from _of_code(manifests, one, least)
    for one in manifests.of("LimitRange"):
        yield from _limits(manifests, one)


def _of_code(manifests: Manifests, one: Resource, least: dict[str, float]) -> Iterator[Finding]:
    for pod in manifests.pods_in(one.namespace):
        if not pod.owner.origin:
            continue
        needed = _sum(manifests, [pod], [], least_replicas)
        short = [str(name) for name, hard in mapping(one.spec.get("hard")).items()
                 if needed[name] and needed[name] + least[name] > (quantity(hard) or 0)]  # fmt: skip
        if short:
            told = f"{one.where} has no room for {', '.join(sorted(short))} that it asks for."
            yield warned(QUOTA_FITS, pod.where, told, "It cannot run in this overlay; raise the quota where it is to.")


def _limits(manifests: Manifests, one: Resource) -> Iterator[Finding]:
    for rule in bodies(one.spec.get("limits")):
        if rule.get("type") != "Container":
            continue
        for pod in manifests.pods_in(one.namespace):
            for container in pod.every_container:
                for name, value in mapping(rule.get("max")).items():
                    most, asked = quantity(value), quantity(resource(container, "limits", str(name)))
                    if most is not None and asked is not None and asked > most:
                        told = f"Its limit of {name} is above {value}, which {one.where} allows."
                        yield refused(QUOTA_FITS, named(pod, container), told, "Raise the range, or ask for less.")


def _sum(manifests: Manifests, pods: list[PodSpec], claims: list[Resource], replicas: Any) -> dict[str, float]:
    """What pods need together, by the names that quotas have for it."""
    total: dict[str, float] = defaultdict(float)
    for pod in pods:
        number = replicas(manifests, pod)
        total["pods"] += number
        for kind in ("requests", "limits"):
            for name, value in _of_pod(pod, kind).items():
                for known in (f"{kind}.{name}", *([name] if kind == "requests" else [])):
                    total[known] += value * number
    for claim in claims:
        total["persistentvolumeclaims"] += 1
        total["requests.storage"] += quantity(at(claim.spec, "resources", "requests", "storage")) or 0
    return total


def _of_pod(pod: PodSpec, kind: str) -> dict[str, float]:
    """The sum over containers, or what an init container needs before them where that is more."""
    work, first = _added(pod.containers, kind), bodies(pod.spec.get("initContainers"))
    for container in first:
        for name, value in _added([container], kind).items():
            work[name] = max(work.get(name, 0.0), value)
    return work


def _added(containers: list[Body], kind: str) -> dict[str, float]:
    made: dict[str, float] = {}
    for container in containers:
        for name, value in mapping(at(container, "resources", kind)).items():
            made[str(name)] = made.get(str(name), 0.0) + (quantity(value) or 0.0)
    return made


def _told(name: str, value: float) -> str:
    return f"{value / 2**30:.4g}Gi" if name.endswith(("memory", "storage")) else f"{value:.4g}"


CHECKS = (Check(QUOTA_FITS, quota_fits),)
