"""Namespaces: what they let in, what they may use, who may speak with whom."""

from __future__ import annotations

from collections.abc import Iterator

from dubflow.platform.preflight.checks import Check
from dubflow.platform.preflight.findings import Finding, Rule, refused
from dubflow.platform.preflight.resources import Manifests, Resource, bodies, words

POD_SECURITY = Rule(
    "policy.pod_security",
    "Namespaces enforce Pod Security 'restricted', of a named version, and warn by it.",
    "Whatever somebody puts beside our manifests may run as root.",
)
DEFAULT_DENY = Rule(
    "policy.default_deny",
    "Each namespace denies all traffic in and out that no policy allows.",
    "One broken pod reaches every database of the cluster.",
)
OPEN_PEER = Rule(
    "policy.open_peer",
    "Rules of network policies name who may speak: no rule without peers.",
    "A rule without `from` or `to` opens its ports to everybody, which undoes the default.",
)
QUOTA = Rule(
    "policy.quota",
    "Each namespace has a ResourceQuota and a LimitRange.",
    "One pipeline started by mistake takes the cluster.",
)
_LEVEL = "pod-security.kubernetes.io"


def pod_security(manifests: Manifests) -> Iterator[Finding]:
    """See :data:`POD_SECURITY`."""
    for one in manifests.of("Namespace"):
        wanted = [
            f"{_LEVEL}/{mode}" for mode in ("enforce", "warn") if one.labels.get(f"{_LEVEL}/{mode}") != "restricted"
        ]
        if wanted:
            told = f"{', '.join(wanted)} is not 'restricted'."
            yield refused(POD_SECURITY, one.where, told, "Label the namespace.")
        if one.labels.get(f"{_LEVEL}/enforce-version") in (None, "", "latest"):
            told = "What 'restricted' means there changes with the cluster's version."
            yield refused(POD_SECURITY, one.where, told, f"Set {_LEVEL}/enforce-version to a version.")


def default_deny(manifests: Manifests) -> Iterator[Finding]:
    """See :data:`DEFAULT_DENY`."""
    for one in manifests.of("Namespace"):
        denied = {kind for policy in _policies(manifests, one.name) if _denies(policy) for kind in _types(policy)}
        missing = sorted({"Ingress", "Egress"} - denied)
        if missing:
            told = f"{' and '.join(missing)} is allowed unless a policy says otherwise."
            hint = "Add a NetworkPolicy with podSelector {}, both policyTypes and no rules."
            yield refused(DEFAULT_DENY, one.where, told, hint)


def open_peer(manifests: Manifests) -> Iterator[Finding]:
    """See :data:`OPEN_PEER`."""
    for policy in manifests.of("NetworkPolicy"):
        for rules, peers in (("ingress", "from"), ("egress", "to")):
            if any(not one.get(peers) for one in _rules(policy, rules)):
                told = f"A rule of {rules} names nobody, and so allows everybody."
                yield refused(OPEN_PEER, policy.where, told, f"Say in `{peers}` who.")


def quota(manifests: Manifests) -> Iterator[Finding]:
    """See :data:`QUOTA`."""
    for one in manifests.of("Namespace"):
        for kind in ("ResourceQuota", "LimitRange"):
            if not any(there.namespace == one.name for there in manifests.of(kind)):
                yield refused(QUOTA, one.where, f"It has no {kind}.", f"Add a {kind}.")


def _policies(manifests: Manifests, namespace: str) -> list[Resource]:
    return [one for one in manifests.of("NetworkPolicy") if one.namespace == namespace]


def _denies(policy: Resource) -> bool:
    selector = policy.spec.get("podSelector")
    return selector == {} and not policy.spec.get("ingress") and not policy.spec.get("egress")


def _types(policy: Resource) -> list[str]:
    return words(policy.spec.get("policyTypes"))


def _rules(policy: Resource, direction: str) -> list[dict[str, object]]:
    found = policy.spec.get(direction)
    return [dict(one) for one in bodies(found)]


CHECKS = (
    Check(POD_SECURITY, pod_security),
    Check(DEFAULT_DENY, default_deny),
    Check(OPEN_PEER, open_peer),
    Check(QUOTA, quota),
)
