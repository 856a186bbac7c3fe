"""What pods ask for by name: volumes, keys, claims, accounts, ports, priorities."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from dubflow.platform.preflight.checks import Check
from dubflow.platform.preflight.container_settings import named
from dubflow.platform.preflight.findings import Finding, Rule, refused
from dubflow.platform.preflight.resources import Body, Manifests, PodSpec, at, bodies, mapping

VOLUME = Rule(
    "reference.volume",
    "Every mount names a volume of its pod, and every volume is mounted.",
    "The pod is refused, or a file is missing where the program looks.",
)
CONFIG_KEY = Rule(
    "reference.config_key",
    "ConfigMaps and Secrets that pods read are there, with the keys that they read.",
    "The pod waits for ever in CreateContainerConfigError.",
)
SERVICE_ACCOUNT = Rule(
    "reference.service_account",
    "Service accounts that pods run as are there.",
    "No pod is made, and only the events of its owner say why.",
)
CLAIM = Rule(
    "reference.claim",
    "Claims that pods mount are there.",
    "The pod stays pending.",
)
PROBE_PORT = Rule(
    "reference.probe_port",
    "Ports that probes name are ports of their container.",
    "The probe fails for ever and the pod is restarted without end.",
)
PRIORITY = Rule(
    "reference.priority",
    "Priority classes that pods name are there.",
    "The pod is refused.",
)


def volume(manifests: Manifests) -> Iterator[Finding]:
    """See :data:`VOLUME`."""
    for pod in manifests.pods:
        there = {str(one.get("name")) for one in bodies(pod.spec.get("volumes"))}
        there |= {str(at(one, "metadata", "name")) for one in bodies(pod.owner.spec.get("volumeClaimTemplates"))}
        used = set()
        for container in pod.every_container:
            mounted = {str(one.get("name")) for one in bodies(container.get("volumeMounts"))}
            used |= mounted
            for name in sorted(mounted - there):
                yield refused(VOLUME, named(pod, container), f"It mounts {name}, which the pod does not have.",
                              "Add the volume.")  # fmt: skip
        for name in sorted(there - used):
            yield refused(VOLUME, pod.where, f"Nobody mounts the volume {name}.", "Mount or remove it.")


def config_key(manifests: Manifests) -> Iterator[Finding]:
    """See :data:`CONFIG_KEY`. What is marked optional may be missing."""
    for pod in manifests.pods:
        for where, kind, name, key in _asked(pod):
            keys = known_keys(manifests, kind, name, pod.namespace)
            if keys is None:
                yield refused(CONFIG_KEY, where, f"There is no {kind} {pod.namespace}/{name}.",
                              "Add it; generated names are not followed into custom resources.")  # fmt: skip
            elif key is not None and key not in keys and "*" not in keys:
                told = f"{kind} {name} has no key {key}; it has {', '.join(sorted(keys)) or 'none'}."
                yield refused(CONFIG_KEY, where, told, "Add the key or ask for another one.")


def known_keys(manifests: Manifests, kind: str, name: str, namespace: str) -> set[str] | None:
    """Keys of a ConfigMap or Secret, an ExternalSecret's included; ``*`` where they are decided elsewhere."""
    found = manifests.find(kind, name, namespace)
    if found is not None:
        return {str(key) for part in ("data", "stringData", "binaryData") for key in mapping(found.body.get(part))}
    if kind != "Secret":
        return None
    for one in manifests.of("ExternalSecret"):
        if (at(one.spec, "target", "name") or one.name, one.namespace) == (name, namespace):
            if one.spec.get("dataFrom"):
                return {"*"}
            template = mapping(at(one.spec, "target", "template", "data"))
            return {str(key) for key in template} | {
                str(each.get("secretKey")) for each in bodies(one.spec.get("data"))
            }
    return None


def _asked(pod: PodSpec) -> Iterator[tuple[str, str, str, str | None]]:
    for one in bodies(pod.spec.get("volumes")):
        for source in (one, *bodies(at(one, "projected", "sources"))):
            for field, name_field, kind in (("configMap", "name", "ConfigMap"), ("secret", "secretName", "Secret")):
                yield from _items(pod.where, mapping(source.get(field)), kind, name_field)
    for container in pod.every_container:
        where = named(pod, container)
        for source in bodies(container.get("envFrom")):
            for field, kind in (("configMapRef", "ConfigMap"), ("secretRef", "Secret")):
                yield from _one(where, mapping(source.get(field)), kind, None)
        for variable in bodies(container.get("env")):
            for field, kind in (("configMapKeyRef", "ConfigMap"), ("secretKeyRef", "Secret")):
                reference = mapping(at(variable, "valueFrom", field))
                yield from _one(where, reference, kind, str(reference.get("key")))


def _items(where: str, source: Body, kind: str, name_field: str) -> Iterator[tuple[str, str, str, str | None]]:
    name = source.get(name_field) or source.get("name")  # a projected secret says `name`
    keys = [str(item.get("key")) for item in bodies(source.get("items"))]
    for key in keys or (None,):
        yield from _one(where, {**source, "name": name}, kind, key)


def _one(where: str, reference: Any, kind: str, key: str | None) -> Iterator[tuple[str, str, str, str | None]]:
    if reference.get("name") and not reference.get("optional"):
        yield where, kind, str(reference["name"]), key


def service_account(manifests: Manifests) -> Iterator[Finding]:
    """See :data:`SERVICE_ACCOUNT`."""
    for pod in manifests.pods:
        name = pod.spec.get("serviceAccountName")
        if name and manifests.find("ServiceAccount", name, pod.namespace) is None:
            told = f"There is no service account {pod.namespace}/{name}."
            yield refused(SERVICE_ACCOUNT, pod.where, told, "Add it.")


def claim(manifests: Manifests) -> Iterator[Finding]:
    """See :data:`CLAIM`."""
    for pod in manifests.pods:
        for one in bodies(pod.spec.get("volumes")):
            name = at(one, "persistentVolumeClaim", "claimName")
            if name and manifests.find("PersistentVolumeClaim", name, pod.namespace) is None:
                yield refused(CLAIM, pod.where, f"There is no claim {pod.namespace}/{name}.", "Add it.")


def probe_port(manifests: Manifests) -> Iterator[Finding]:
    """See :data:`PROBE_PORT`."""
    for pod in manifests.pods:
        for container in pod.every_container:
            ports = bodies(container.get("ports"))
            known = {one.get("name") for one in ports} | {one.get("containerPort") for one in ports}
            for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
                for way in ("httpGet", "tcpSocket", "grpc"):
                    port = at(container, probe, way, "port")
                    if port is not None and port not in known:
                        told = f"{probe} asks port {port}, which it does not have."
                        yield refused(PROBE_PORT, named(pod, container), told, "Name one of its ports.")


def priority(manifests: Manifests) -> Iterator[Finding]:
    """See :data:`PRIORITY`. Kubernetes brings those that begin with ``system-``."""
    for pod in manifests.pods:
        name = pod.spec.get("priorityClassName")
        if name and not str(name).startswith("system-") and manifests.find("PriorityClass", name) is None:
            yield refused(PRIORITY, pod.where, f"There is no priority class {name}.", "Add it.")


CHECKS = (
    Check(VOLUME, volume),
    Check(CONFIG_KEY, config_key),
    Check(SERVICE_ACCOUNT, service_account),
    Check(CLAIM, claim),
    Check(PROBE_PORT, probe_port),
    Check(PRIORITY, priority),
)
