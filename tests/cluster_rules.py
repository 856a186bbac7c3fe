"""What a cluster would let happen by its NetworkPolicies and its Roles, as the API's reference describes them."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from dubflow.platform.preflight.resources import Manifests, PodSpec, Resource


@dataclass(frozen=True)
class End:
    """One end of a connection: a pod by its labels, with the ports it names, or an address outside of the cluster."""

    namespace: str = ""
    labels: Mapping[str, Any] = field(default_factory=dict)
    ports: Mapping[str, int] = field(default_factory=dict)
    address: str = ""


def selects(selector: Mapping[str, Any] | None, labels: Mapping[str, Any]) -> bool:
    """Whether a label selector takes those labels; an empty one takes all, and so does none."""
    selector = selector or {}
    if any(labels.get(key) != value for key, value in (selector.get("matchLabels") or {}).items()):
        return False
    for one in selector.get("matchExpressions") or ():
        key, values = one["key"], one.get("values", ())
        holds = {
            "In": labels.get(key) in values,
            "NotIn": labels.get(key) not in values,
            "Exists": key in labels,
            "DoesNotExist": key not in labels,
        }
        if not holds[one["operator"]]:
            return False
    return True


def end_of(pod: PodSpec) -> End:
    """The pods of a workload as an end."""
    ports = {
        str(port["name"]): int(port["containerPort"])
        for container in pod.containers
        for port in container.get("ports", ())
        if "name" in port
    }
    return End(pod.namespace, dict(pod.labels), ports)


def may_connect(manifests: Manifests, source: End, target: End, port: int, protocol: str = "TCP") -> bool:
    """Whether the source is let out to the target's port, and the target lets it in."""
    return _side(manifests, "Egress", source, target, target, port, protocol) and _side(
        manifests, "Ingress", target, source, target, port, protocol
    )


def _side(manifests: Manifests, direction: str, own: End, other: End, target: End, port: int, protocol: str) -> bool:
    if own.address:  # nothing of ours decides there
        return True
    mine = [
        one
        for one in manifests.of("NetworkPolicy")
        if one.namespace == own.namespace
        and selects(one.spec.get("podSelector"), own.labels)
        and direction in one.spec["policyTypes"]
    ]
    if not mine:
        return True
    rules = [rule for one in mine for rule in one.spec.get(direction.lower()) or ()]
    key = "to" if direction == "Egress" else "from"
    return any(
        _of_ports(rule.get("ports"), target, port, protocol)
        and (not rule.get(key) or any(_of_peer(manifests, peer, own, other) for peer in rule[key]))
        for rule in rules
    )


def _of_ports(ports: list[Mapping[str, Any]] | None, target: End, port: int, protocol: str) -> bool:
    if not ports:
        return True
    for one in ports:
        number = one.get("port")
        wanted = target.ports.get(number) if isinstance(number, str) else number
        if one.get("protocol", "TCP") == protocol and wanted in (None, port) and (number is None or wanted is not None):
            return True
    return False


def _of_peer(manifests: Manifests, peer: Mapping[str, Any], own: End, other: End) -> bool:
    if "ipBlock" in peer:
        if not other.address:
            return False
        address, block = ipaddress.ip_address(other.address), peer["ipBlock"]
        inside = address in ipaddress.ip_network(block["cidr"])
        return inside and not any(address in ipaddress.ip_network(one) for one in block.get("except", ()))
    if other.address:
        return False
    if "namespaceSelector" in peer:
        found = manifests.find("Namespace", other.namespace)
        labels = {"kubernetes.io/metadata.name": other.namespace, **(found.labels if found else {})}
        if not selects(peer["namespaceSelector"], labels):
            return False
    elif other.namespace != own.namespace:
        return False
    return "podSelector" not in peer or selects(peer["podSelector"], other.labels)


def may(
    manifests: Manifests, account: str, verb: str, plural: str, namespace: str, name: str = "", group: str = ""
) -> bool:
    """Whether a service account (``namespace/name``) may do that; ``create`` and ``list`` name no object."""
    for binding in manifests.of("RoleBinding", "ClusterRoleBinding"):
        subjects = {f"{one.get('namespace')}/{one['name']}" for one in binding.body.get("subjects") or ()}
        reaches = binding.kind == "ClusterRoleBinding" or binding.namespace == namespace
        if account not in subjects or not reaches:
            continue
        reference = binding.body["roleRef"]
        where = binding.namespace if reference["kind"] == "Role" else ""
        role = manifests.find(reference["kind"], reference["name"], where)
        if role is not None and any(_of_rule(rule, verb, group, plural, name) for rule in role.body["rules"]):
            return True
    return False


def _of_rule(rule: Mapping[str, Any], verb: str, group: str, plural: str, name: str) -> bool:
    names = rule.get("resourceNames")
    return (
        verb in rule["verbs"]
        and group in rule["apiGroups"]
        and plural in rule["resources"]
        and (not names or (name in names and verb not in ("create", "list", "watch")))
    )


def pods_named(manifests: Manifests, namespace: str, name: str) -> PodSpec:
    """The pods with that ``app.kubernetes.io/name``."""
    return next(pod for pod in manifests.pods_in(namespace) if pod.labels.get("app.kubernetes.io/name") == name)


def values_of(manifests: Manifests, name: str, namespace: str) -> dict[str, str]:
    """What a ConfigMap holds."""
    found = manifests.find("ConfigMap", name, namespace)
    assert found is not None, name
    return {str(key): str(value) for key, value in found.body["data"].items()}


def keys_of(manifests: Manifests, secret: str, namespace: str) -> set[str]:
    """What the ExternalSecret that makes a secret puts into it; empty where none makes it."""
    found: list[Resource] = [
        one
        for one in manifests.of("ExternalSecret")
        if one.namespace == namespace and one.spec["target"]["name"] == secret
    ]
    return {str(one["secretKey"]) for each in found for one in each.spec["data"]}
