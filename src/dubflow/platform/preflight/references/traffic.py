"""Who reaches whom: services, monitors, routes, network policies, budgets."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator

from dubflow.platform.preflight.checks import Check
from dubflow.platform.preflight.findings import Finding, Rule, refused, unchecked
from dubflow.platform.preflight.resources import Body, Manifests, PodSpec, Resource, at, bodies, mapping
from dubflow.platform.preflight.selectors import selects

SELECTOR = Rule(
    "reference.selector",
    "Selectors of workloads, services, budgets and policies take pods that are there.",
    "A service without pods answers nothing; a budget or policy without pods protects nothing.",
)
SERVICE_PORT = Rule(
    "reference.service_port",
    "Ports of services lead to ports of their pods.",
    "Connections are refused, and only at run time.",
)
MONITOR = Rule(
    "reference.monitor",
    "ServiceMonitors and PodMonitors find services and pods, with the ports that they scrape.",
    "Nothing is measured, and every alert stays silent.",
)
SCRAPED = Rule(
    "reference.scraped",
    "Every port named metrics is scraped by a monitor.",
    "What is counted is seen by nobody.",
)
ROUTE = Rule(
    "reference.route",
    "HTTPRoutes lead to services and ports that are there, through a Gateway that is there.",
    "The outside gets 500 or nothing.",
)
NETWORK_PEER = Rule(
    "reference.network_peer",
    "Peers and ports of network policies are pods, namespaces and ports that are there.",
    "What was to be allowed stays denied.",
)
_FOREIGN = (
    "pipeline/", "pipelines.kubeflow.org/", "workflows.argoproj.io/", "jobset.sigs.k8s.io/", "trainer.kubeflow.org/",
    "training.kubeflow.org/", "serving.kserve.io/", "batch.kubernetes.io/",
)  # fmt: skip
"""Labels that controllers give to pods which are in no manifest."""


def selector(manifests: Manifests) -> Iterator[Finding]:
    """See :data:`SELECTOR`."""
    for pod in manifests.pods:
        wanted = pod.owner.spec.get("selector")
        if pod.owner.kind in ("Deployment", "StatefulSet", "DaemonSet") and not selects(wanted, pod.labels):
            yield refused(
                SELECTOR, pod.where, "Its selector does not take its own pods.", "Select by the template's labels."
            )
    for one in manifests.of("Service"):
        taken = of_service(manifests, one)
        if one.spec.get("selector") and not taken:
            yield refused(SELECTOR, one.where, "It leads to no pods.", "Select by the labels of the pods.")
    for one in manifests.of("PodDisruptionBudget"):
        yield from _finds_pods(manifests, one, one.spec.get("selector"))
    for one in manifests.of("NetworkPolicy"):
        yield from _finds_pods(manifests, one, one.spec.get("podSelector"))


def _finds_pods(manifests: Manifests, one: Resource, selector: object) -> Iterator[Finding]:
    if not selector or _is_foreign(selector) or _taken(manifests, selector, [one.namespace]):
        return
    if one.kind == "NetworkPolicy" and _by_hand(manifests, selector, one.namespace):
        return
    yield refused(SELECTOR, one.where, "It takes no pods.", "Select by the labels of the pods.")


def _by_hand(manifests: Manifests, selector: object, namespace: str) -> bool:
    """Whether a person may start such pods: there is a service account that carries the labels of its pods."""
    accounts = (each for each in manifests.of("ServiceAccount") if each.namespace == namespace)
    return any(selects(selector, each.labels) for each in accounts)


def _is_foreign(selector: object) -> bool:
    found = mapping(selector)
    keys = [*mapping(found.get("matchLabels")), *(str(one.get("key")) for one in bodies(found.get("matchExpressions")))]
    return any(str(key).startswith(_FOREIGN) for key in keys)


def _taken(manifests: Manifests, selector: object, namespaces: Iterable[str]) -> list[PodSpec]:
    spaces = set(namespaces)
    # Pods of a cluster-wide runtime are made in the namespace of whoever asks for them.
    return [pod for pod in manifests.pods if pod.namespace in spaces | {""} and selects(selector, pod.labels)]


def of_service(manifests: Manifests, service: Resource) -> list[PodSpec]:
    """Pods that a service leads to."""
    wanted = {"matchLabels": mapping(service.spec.get("selector"))}
    return [pod for pod in manifests.pods_in(service.namespace) if selects(wanted, pod.labels)]


def ports_of(pods: Iterable[PodSpec]) -> set[object]:
    """Names and numbers of the ports of pods."""
    found = [port for pod in pods for container in pod.containers for port in bodies(container.get("ports"))]
    return {one.get("name") for one in found} | {one.get("containerPort") for one in found}


def service_port(manifests: Manifests) -> Iterator[Finding]:
    """See :data:`SERVICE_PORT`."""
    for one in manifests.of("Service"):
        for pod in of_service(manifests, one) if one.spec.get("selector") else ():
            for port in bodies(one.spec.get("ports")):
                target = port.get("targetPort", port.get("port"))
                if target not in ports_of([pod]):
                    told = f"Its port {port.get('port')} leads to {target}, which {pod.where} does not have."
                    yield refused(SERVICE_PORT, one.where, told, "Name a port of the container.")


def _spaces(manifests: Manifests, one: Resource) -> list[str]:
    wanted = mapping(one.spec.get("namespaceSelector"))
    if wanted.get("any"):
        return manifests.namespaces
    return [str(name) for name in wanted.get("matchNames") or [one.namespace]]


def pods_of_monitor(manifests: Manifests, one: Resource) -> Iterator[tuple[PodSpec, object]]:
    """Pods that a ServiceMonitor or PodMonitor scrapes, with the port of the pod."""
    if one.kind == "PodMonitor":
        for pod in _taken(manifests, one.spec.get("selector"), _spaces(manifests, one)):
            yield from ((pod, each.get("port")) for each in bodies(one.spec.get("podMetricsEndpoints")))
        return
    wanted = {each.get("port") for each in bodies(one.spec.get("endpoints"))}
    for service in _services(manifests, one):
        for port in bodies(service.spec.get("ports")):
            if port.get("name") in wanted:
                yield from ((pod, port.get("targetPort", port.get("port"))) for pod in of_service(manifests, service))


def _services(manifests: Manifests, one: Resource) -> list[Resource]:
    spaces = _spaces(manifests, one)
    found = (each for each in manifests.of("Service") if each.namespace in spaces)
    return [each for each in found if selects(one.spec.get("selector"), each.labels)]


def scraped(manifests: Manifests) -> Iterator[Finding]:
    """See :data:`SCRAPED`."""
    monitors = manifests.of("ServiceMonitor", "PodMonitor")
    known = {(pod.owner.where, port) for one in monitors for pod, port in pods_of_monitor(manifests, one)}
    for pod in manifests.pods:
        for port in (each for container in pod.containers for each in bodies(container.get("ports"))):
            names = (port.get("name"), port.get("containerPort"))
            if port.get("name") == "metrics" and not any((pod.owner.where, one) in known for one in names):
                yield refused(SCRAPED, pod.where, "Nobody scrapes its port metrics.", "Add a ServiceMonitor.")


def monitor(manifests: Manifests) -> Iterator[Finding]:
    """See :data:`MONITOR`."""
    for one in manifests.of("ServiceMonitor"):
        services = _services(manifests, one)
        if not services:
            yield refused(MONITOR, one.where, "It finds no service.", "Select by the labels of the service.")
        for port in (each.get("port") for each in bodies(one.spec.get("endpoints"))):
            lacking = [each for each in services if port not in {at(p, "name") for p in bodies(each.spec.get("ports"))}]
            if lacking or port is None:
                told = (
                    f"It scrapes port {port}, which {lacking[0].where if lacking else 'nobody'} does not have by name."
                )
                yield refused(MONITOR, one.where, told, "Name a port of the service.")
    for one in manifests.of("PodMonitor"):
        pods = _taken(manifests, one.spec.get("selector"), _spaces(manifests, one))
        if not pods:
            yield refused(MONITOR, one.where, "It finds no pods.", "Select by the labels of the pods.")
        for each in bodies(one.spec.get("podMetricsEndpoints")):
            if pods and each.get("port") not in ports_of(pods):
                told = f"It scrapes port {each.get('port')}, which its pods do not have by name."
                yield refused(MONITOR, one.where, told, "Name a port of the container.")


def route(manifests: Manifests) -> Iterator[Finding]:
    """See :data:`ROUTE`. A Gateway that the cluster's owner keeps elsewhere is unchecked."""
    for one in manifests.of("HTTPRoute", "GRPCRoute"):
        for rule in bodies(one.spec.get("rules")):
            for to in bodies(rule.get("backendRefs")):
                space = str(to.get("namespace") or one.namespace)
                service = manifests.find("Service", to.get("name"), space)
                ports = {each.get("port") for each in bodies(service.spec.get("ports"))} if service else set()
                if to.get("port") not in ports:
                    told = f"There is no service {space}/{to.get('name')} with port {to.get('port')}."
                    yield refused(ROUTE, one.where, told, "Name a service and its port.")
        for parent in bodies(one.spec.get("parentRefs")):
            space = str(parent.get("namespace") or one.namespace)
            gateway = manifests.find("Gateway", parent.get("name"), space)
            if gateway is None and space in manifests.namespaces:
                yield refused(
                    ROUTE, one.where, f"There is no Gateway {space}/{parent.get('name')}.", "Add or name one."
                )
            elif gateway is None:
                told = (
                    f"The Gateway {space}/{parent.get('name')} is the cluster's own; nobody looked whether it is there."
                )
                yield unchecked(ROUTE, one.where, told, "Ask: kubectl get gateway -A.")
            elif parent.get("sectionName") not in (
                None,
                *(at(x, "name") for x in bodies(gateway.spec.get("listeners"))),
            ):
                told = f"{gateway.where} has no listener {parent.get('sectionName')}."
                yield refused(ROUTE, one.where, told, "Name one of its listeners.")


def network_peer(manifests: Manifests) -> Iterator[Finding]:
    """See :data:`NETWORK_PEER`. Namespaces and pods that are not ours cannot be looked at, and are left."""
    for policy in manifests.of("NetworkPolicy"):
        for rule in bodies(policy.spec.get("ingress")):
            for peer in bodies(rule.get("from")):
                yield from _peer(manifests, policy, peer, None)
            own = policy.spec.get("podSelector")
            pods = manifests.pods_in(policy.namespace) if own == {} else _taken(manifests, own, [policy.namespace])
            if not _is_foreign(own):
                yield from _ports(policy, rule, pods, "its own pods")
        for rule in bodies(policy.spec.get("egress")):
            for peer in bodies(rule.get("to")):
                yield from _peer(manifests, policy, peer, rule)


def _peer(manifests: Manifests, policy: Resource, peer: Body, rule: Body | None) -> Iterator[Finding]:
    if "ipBlock" in peer or _is_foreign(peer.get("podSelector")):
        return
    spaces = [policy.namespace]
    if "namespaceSelector" in peer:
        wanted = peer.get("namespaceSelector")
        named = mapping(mapping(wanted).get("matchLabels")).get("kubernetes.io/metadata.name")
        ours = {one.name: {**one.labels, "kubernetes.io/metadata.name": one.name} for one in manifests.of("Namespace")}
        spaces = [name for name, labels in ours.items() if selects(wanted, labels)]
        if not spaces or (named is None and wanted == {}):
            return  # somebody else's namespace, such as kube-system
    if not peer.get("podSelector"):
        return
    pods = _taken(manifests, peer.get("podSelector"), spaces)
    if not pods:
        told = f"The peer {json.dumps(peer.get('podSelector'), sort_keys=True)} takes no pods."
        yield refused(NETWORK_PEER, policy.where, told, "Select by the labels of the pods.")
    elif rule is not None:
        yield from _ports(policy, rule, pods, "the pods that it leads to")


def _ports(policy: Resource, rule: Body, pods: list[PodSpec], whose: str) -> Iterator[Finding]:
    for port in bodies(rule.get("ports")):
        wanted = port.get("port")
        if wanted is not None and not port.get("endPort") and pods and wanted not in ports_of(pods):
            told = f"It allows port {wanted}, which none of {whose} has."
            yield refused(NETWORK_PEER, policy.where, told, "Name a port of the container, not of the service.")


CHECKS = (
    Check(SELECTOR, selector),
    Check(SERVICE_PORT, service_port),
    Check(MONITOR, monitor),
    Check(SCRAPED, scraped),
    Check(ROUTE, route),
    Check(NETWORK_PEER, network_peer),
)
