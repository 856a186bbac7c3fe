"""How many pods of a kind run at once, whoever decides it."""

from __future__ import annotations

from dubflow.platform.preflight.resources import Manifests, PodSpec, at


def least_replicas(manifests: Manifests, pod: PodSpec) -> int:
    """How many pods run at the least, whatever a scaler does."""
    for scaler in manifests.of("ScaledObject"):
        target = scaler.spec.get("scaleTargetRef")
        named_so = (at(target, "kind") or "Deployment", at(target, "name"), scaler.namespace)
        if named_so == (pod.owner.kind, pod.owner.name, pod.namespace):
            least = scaler.spec.get("minReplicaCount", 0)
            return least if isinstance(least, int) else 0
    return pod.replicas
