"""How many pods of a kind run at once, whoever decides it."""

from __future__ import annotations

from dubflow.platform.preflight.resources import Manifests, PodSpec, Resource, at


def least_replicas(manifests: Manifests, pod: PodSpec) -> int:
    """How many pods run at the least, whatever a scaler does."""
    scaler = _scaler(manifests, pod)
    return _number(scaler.spec.get("minReplicaCount"), 0) if scaler else _own(pod)


def most_replicas(manifests: Manifests, pod: PodSpec) -> int:
    """How many pods run at the most, with all that a scaler may add."""
    scaler = _scaler(manifests, pod)
    if scaler:
        return _number(scaler.spec.get("maxReplicaCount"), 100)  # KEDA's own default
    if pod.owner.kind == "InferenceService":
        return max(_own(pod), _number(at(pod.owner.spec, "predictor", "maxReplicas"), 0))
    return _own(pod)


def _scaler(manifests: Manifests, pod: PodSpec) -> Resource | None:
    for one in manifests.of("ScaledObject"):
        target = one.spec.get("scaleTargetRef")
        named_so = (at(target, "kind") or "Deployment", at(target, "name"), one.namespace)
        if named_so == (pod.owner.kind, pod.owner.name, pod.namespace):
            return one
    return None


def _own(pod: PodSpec) -> int:
    if pod.owner.kind == "TrainJob":
        return _number(at(pod.owner.spec, "trainer", "numNodes"), 1)
    return pod.replicas


def _number(value: object, otherwise: int) -> int:
    return value if isinstance(value, int) else otherwise
