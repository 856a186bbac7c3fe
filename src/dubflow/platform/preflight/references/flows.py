"""Who has to speak with whom, and whether every network policy on the way lets it.

What has to speak is read from addresses that pods are told, from monitors and routes, and from the need to ask DNS.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from dubflow.platform.preflight.addresses import Address, addresses
from dubflow.platform.preflight.checks import Check
from dubflow.platform.preflight.findings import Finding, Rule, refused
from dubflow.platform.preflight.references.traffic import of_service, pods_of_monitor
from dubflow.platform.preflight.resources import Body, Manifests, PodSpec, Resource, at, bodies, words
from dubflow.platform.preflight.selectors import selects

ADDRESS = Rule(
    "reference.address",
    "Addresses within the cluster that pods are told are those of services that are there, with the port.",
    "The name does not resolve, and only the first request says so.",
)
FLOW = Rule(
    "reference.flow",
    "What has to speak with one another may, through every network policy: pods with the services that they are told, "
    "Prometheus with what it scrapes, the cluster's Gateway with ours, everybody with DNS.",
    "Connections time out, under a default that denies, without an error that names the reason.",
)
_DNS = 53
_EVERYBODY: Body = {"namespaceSelector": {}}


@dataclass(frozen=True)
class _Side:
    """One end of a connection: pods of ours, or whatever lies in somebody else's namespace."""

    namespace: str
    pod: PodSpec | None = None


def address(manifests: Manifests) -> Iterator[Finding]:
    """See :data:`ADDRESS`. Services of somebody else's namespace cannot be looked at."""
    ours = {one.name for one in manifests.of("Namespace")}
    for pod in manifests.pods:
        for one in addresses(manifests, pod):
            if one.space in ours and _target(manifests, one) is None:
                told = f"{one.told_by} says {one.text}, and there is no such service with this port."
                yield refused(ADDRESS, pod.where, told, "Correct the address, or add the service.")


def flow(manifests: Manifests) -> Iterator[Finding]:
    """See :data:`FLOW`. Pods that are made in any namespace are looked at where a job makes them."""
    ours = {one.name for one in manifests.of("Namespace")}
    for pod in manifests.pods:
        if not pod.namespace:
            continue
        if not _may_leave(manifests, pod, None, _DNS):
            yield refused(FLOW, pod.where, "It may not ask DNS.", "Allow port 53 to the cluster's DNS.")
        for one in addresses(manifests, pod):
            yield from _to_address(manifests, pod, one, ours)
    for monitor in manifests.of("ServiceMonitor", "PodMonitor"):
        for scraped, port in pods_of_monitor(manifests, monitor):
            if not _may_enter(manifests, scraped, None, port):
                told = f"Prometheus may not reach port {port} of {scraped.where}."
                yield refused(FLOW, monitor.where, told, "Allow it from Prometheus's namespace.")
    for route in manifests.of("HTTPRoute"):
        yield from _from_outside(manifests, route)


def _to_address(manifests: Manifests, pod: PodSpec, one: Address, ours: set[str]) -> Iterator[Finding]:
    if one.space not in ours:
        if not _may_leave(manifests, pod, _Side(one.space), None):
            told = f"{one.told_by} says {one.text}, and no policy lets it out to the namespace {one.space}."
            yield refused(FLOW, pod.where, told, "Allow it in a NetworkPolicy.")
        return
    for target, port in _target(manifests, one) or ():
        if target.owner == pod.owner:
            continue
        if not _may_leave(manifests, pod, _Side(target.namespace, target), port):
            told = f"{one.told_by} says {one.text}, and no policy lets it out to {target.where}, port {port}."
            yield refused(FLOW, pod.where, told, "Allow it in a NetworkPolicy of its namespace.")
        elif not _may_enter(manifests, target, pod, port):
            told = f"{one.told_by} says {one.text}, and no policy lets it in to {target.where}, port {port}."
            yield refused(FLOW, pod.where, told, f"Allow it in a NetworkPolicy of {target.namespace}.")


def _from_outside(manifests: Manifests, route: Resource) -> Iterator[Finding]:
    for rule in bodies(route.spec.get("rules")):
        for to in bodies(rule.get("backendRefs")):
            service = manifests.find("Service", to.get("name"), str(to.get("namespace") or route.namespace))
            for target, port in _behind(manifests, service, to.get("port")) if service else ():
                if not _may_enter(manifests, target, None, port):
                    told = f"No policy lets the cluster's Gateway in to {target.where}, port {port}."
                    yield refused(FLOW, route.where, told, "Allow it from the Gateway's namespace.")


def _target(manifests: Manifests, one: Address) -> list[tuple[PodSpec, object]] | None:
    """Pods behind an address with their port; None where there is no such service."""
    service = manifests.find("Service", one.name, one.space)
    if service is None or one.port not in {port.get("port") for port in bodies(service.spec.get("ports"))}:
        return None
    return _behind(manifests, service, one.port)


def _behind(manifests: Manifests, service: Resource, port: object) -> list[tuple[PodSpec, object]]:
    found = [one for one in bodies(service.spec.get("ports")) if one.get("port") == port]
    return [(pod, one.get("targetPort", port)) for pod in of_service(manifests, service) for one in found]


def _may_leave(manifests: Manifests, pod: PodSpec, to: _Side | None, port: object) -> bool:
    """Whether policies let a pod out; ``to`` None: to anybody in another namespace."""
    rules = _rules(manifests, pod, "Egress", "egress")
    return rules is None or any(
        _is_peer(manifests, space, peer, to)
        for space, rule in rules
        for peer in _peers(rule, "to")
        if _has_port(rule, port, to.pod if to else None)
    )


def _may_enter(manifests: Manifests, pod: PodSpec, source: PodSpec | None, port: object) -> bool:
    """Whether policies let somebody in; ``source`` None: anybody of another namespace."""
    side = _Side(source.namespace, source) if source else None
    rules = _rules(manifests, pod, "Ingress", "ingress")
    return rules is None or any(
        _is_peer(manifests, space, peer, side)
        for space, rule in rules
        for peer in _peers(rule, "from")
        if _has_port(rule, port, pod)
    )


def _rules(manifests: Manifests, pod: PodSpec, kind: str, field: str) -> list[tuple[str, Body]] | None:
    """Rules of the policies that hold a pod, with their namespace; None where none does, and all is allowed."""
    holding = [
        one
        for one in manifests.of("NetworkPolicy")
        if one.namespace == pod.namespace
        and kind in words(one.spec.get("policyTypes"))
        and selects(one.spec.get("podSelector"), pod.labels)
    ]
    return [(one.namespace, rule) for one in holding for rule in bodies(one.spec.get(field))] if holding else None


def _peers(rule: Body, field: str) -> list[Body]:
    """A rule that names nobody lets everybody."""
    return bodies(rule.get(field)) or [_EVERYBODY]


def _is_peer(manifests: Manifests, space: str, peer: Body, side: _Side | None) -> bool:
    if "ipBlock" in peer:
        return False  # addresses of pods are nobody's to know
    if side is None:
        return "namespaceSelector" in peer
    if "namespaceSelector" in peer:
        known = manifests.find("Namespace", side.namespace)
        labels = {**(known.labels if known else {}), "kubernetes.io/metadata.name": side.namespace}
        if not selects(peer.get("namespaceSelector"), labels):
            return False
    elif side.namespace != space:
        return False
    return side.pod is None or selects(peer.get("podSelector"), side.pod.labels)


def _has_port(rule: Body, port: object, pod: PodSpec | None) -> bool:
    ports = bodies(rule.get("ports"))
    if not ports or port is None:
        return True
    wanted = {port} | (_same(pod, port) if pod else set())
    return any(one.get("port") in wanted or _within(one, wanted) for one in ports)


def _within(one: Body, wanted: Iterable[object]) -> bool:
    first, last = one.get("port"), one.get("endPort")
    numbers = [each for each in wanted if isinstance(each, int)]
    return isinstance(first, int) and isinstance(last, int) and any(first <= each <= last for each in numbers)


def _same(pod: PodSpec, port: object) -> set[object]:
    """The port's name and number in a pod."""
    found = [one for container in pod.containers for one in bodies(container.get("ports"))]
    return {
        value
        for one in found
        if port in (one.get("name"), one.get("containerPort"))
        for value in (at(one, "name"), at(one, "containerPort"))
    }


CHECKS = (Check(ADDRESS, address), Check(FLOW, flow))
