"""Pods: where they may reach on their node, where they are placed, how they end."""

from __future__ import annotations

from collections.abc import Iterator

from dubflow.platform.preflight.checks import Check
from dubflow.platform.preflight.container_settings import (
    GPU,
    command_line,
    named,
    quantity,
    resource,
    wants_gpu,
)
from dubflow.platform.preflight.findings import Finding, Rule, refused
from dubflow.platform.preflight.replicas import least_replicas
from dubflow.platform.preflight.resources import Body, Manifests, PodSpec, at, bodies, mapping, words
from dubflow.platform.preflight.selectors import selects

HOST = Rule(
    "policy.host",
    "Pods share nothing with their node: no network, processes, IPC, ports or paths of it.",
    "A pod on the node's network passes every network policy; one with its paths owns the node.",
)
VOLUME_KINDS = Rule(
    "policy.volume_kinds",
    "Volumes are of the kinds that Pod Security 'restricted' allows.",
    "The namespace refuses the pod, or an old in-tree driver runs with the node's rights.",
)
SCRATCH_LIMIT = Rule(
    "policy.scratch_limit",
    "Every emptyDir has a sizeLimit.",
    "One job that writes without end fills the node's disk, or with medium Memory its memory.",
)
SHARED_MEMORY = Rule(
    "policy.shared_memory",
    "Triton's container has a /dev/shm of its own, in memory, with a limit below the container's.",
    "Triton's processes speak through it; 64 MB by default end in a bus error under load.",
)
GPU_PLACEMENT = Rule(
    "policy.gpu_placement",
    "Pods that ask for GPUs tolerate the taint of GPU nodes.",
    "They wait for ever on a cluster that keeps other pods off its GPU nodes.",
)
SPREAD = Rule(
    "policy.spread",
    "Where several replicas run, they are spread over nodes, by a selector that takes them.",
    "One lost node would take all of them.",
)
GRACE = Rule(
    "policy.grace",
    "What runs for ever says how long it needs to end, longer than its preStop waits.",
    "Work is killed in the middle by the default of 30 seconds.",
)
LABELS = Rule(
    "policy.labels",
    "Pods carry app.kubernetes.io/name, component, and part-of: dubflow.",
    "Selectors, dashboards and policies cannot tell whose they are.",
)
_NAMES = ("app.kubernetes.io/name", "app.kubernetes.io/component", "app.kubernetes.io/part-of")
_ALLOWED = frozenset(
    {"configMap", "csi", "downwardAPI", "emptyDir", "ephemeral", "persistentVolumeClaim", "projected", "secret"}
)
_SHARED = "/dev/shm"  # noqa: S108 - in a pod, a volume of its own


def host(manifests: Manifests) -> Iterator[Finding]:
    """See :data:`HOST`."""
    for pod in manifests.pods:
        for setting in ("hostNetwork", "hostPID", "hostIPC"):
            if pod.spec.get(setting):
                yield refused(HOST, pod.where, f"It sets {setting}.", f"Remove {setting}.")
        for volume in bodies(pod.spec.get("volumes")):
            if "hostPath" in volume:
                told = f"The volume {volume.get('name')} is a path of the node."
                yield refused(HOST, pod.where, told, "Take a claim or an emptyDir.")
        for container in pod.every_container:
            if any(port.get("hostPort") for port in bodies(container.get("ports"))):
                yield refused(HOST, named(pod, container), "It takes a port of the node.", "Remove hostPort.")


def volume_kinds(manifests: Manifests) -> Iterator[Finding]:
    """See :data:`VOLUME_KINDS`; paths of the node are :data:`HOST`'s."""
    for pod in manifests.pods:
        for volume in bodies(pod.spec.get("volumes")):
            others = sorted(set(volume) - {"name", "hostPath"} - _ALLOWED)
            if others:
                told = f"The volume {volume.get('name')} is of the kind {', '.join(others)}."
                yield refused(VOLUME_KINDS, pod.where, told, f"Take one of {', '.join(sorted(_ALLOWED))}.")


def scratch_limit(manifests: Manifests) -> Iterator[Finding]:
    """See :data:`SCRATCH_LIMIT`."""
    for pod in manifests.pods:
        for volume in bodies(pod.spec.get("volumes")):
            if "emptyDir" in volume and quantity(at(volume, "emptyDir", "sizeLimit")) is None:
                told = f"The volume {volume.get('name')} may grow without end."
                yield refused(SCRATCH_LIMIT, pod.where, told, "Set emptyDir.sizeLimit.")


def runs_triton(pod: PodSpec, container: Body) -> bool:
    """Whether a container is Triton, or starts it."""
    told = command_line(container)
    if any(word.rpartition("/")[2] == "tritonserver" for word in told):
        return True
    ours = "serve" in told and "up" in told and "in-process" not in told
    return ours or (pod.owner.kind.endswith("ServingRuntime") and container.get("name") == "kserve-container")


def shared_memory(manifests: Manifests) -> Iterator[Finding]:
    """See :data:`SHARED_MEMORY`."""
    for pod in manifests.pods:
        volumes = {str(one.get("name")): mapping(one.get("emptyDir")) for one in bodies(pod.spec.get("volumes"))}
        for container in pod.containers:
            if not runs_triton(pod, container):
                continue
            mounts = {str(one.get("mountPath")): str(one.get("name")) for one in bodies(container.get("volumeMounts"))}
            room = volumes.get(mounts.get(_SHARED, ""), {})
            size, most = quantity(room.get("sizeLimit")), quantity(resource(container, "limits", "memory"))
            if room.get("medium") != "Memory" or size is None:
                hint = "Mount an emptyDir with medium: Memory and a sizeLimit there."
                yield refused(SHARED_MEMORY, named(pod, container), f"It has no {_SHARED} of its own.", hint)
            elif most is not None and size >= most:
                told = f"Its {_SHARED} alone may fill its limit of memory."
                yield refused(SHARED_MEMORY, named(pod, container), told, "Raise the limit of memory.")


def gpu_placement(manifests: Manifests) -> Iterator[Finding]:
    """See :data:`GPU_PLACEMENT`."""
    for pod in manifests.pods:
        if not any(wants_gpu(container) for container in pod.every_container):
            continue
        tolerated = [one for one in bodies(pod.spec.get("tolerations")) if one.get("key") in (GPU, None)]
        if not tolerated:
            yield refused(GPU_PLACEMENT, pod.where, f"It does not tolerate the taint {GPU}.", "Add the toleration.")


def spread(manifests: Manifests) -> Iterator[Finding]:
    """See :data:`SPREAD`."""
    for pod in manifests.pods:
        replicas = least_replicas(manifests, pod)
        if pod.lives != "always" or replicas < 2 or at(pod.spec, "affinity", "podAntiAffinity"):
            continue
        constraints = bodies(pod.spec.get("topologySpreadConstraints"))
        if not constraints:
            told = f"Its {replicas} replicas may all run on one node."
            yield refused(SPREAD, pod.where, told, "Add topologySpreadConstraints over kubernetes.io/hostname.")
        for one in constraints:
            if not selects(one.get("labelSelector"), pod.labels):
                told = f"The selector of its spread over {one.get('topologyKey')} does not take its own pods."
                yield refused(SPREAD, pod.where, told, "Select by the pod's labels.")


def grace(manifests: Manifests) -> Iterator[Finding]:
    """See :data:`GRACE`."""
    for pod in manifests.pods:
        if pod.lives != "always":
            continue
        given = pod.spec.get("terminationGracePeriodSeconds")
        if not isinstance(given, int):
            yield refused(
                GRACE, pod.where, "It does not say how long it needs to end.", "Set terminationGracePeriodSeconds."
            )
            continue
        for container in pod.containers:
            waits = _waits(container)
            if waits >= given:
                told = f"preStop waits {waits:g} s of the {given} s that are left for the end."
                yield refused(GRACE, named(pod, container), told, "Raise terminationGracePeriodSeconds.")


def _waits(container: Body) -> float:
    """Seconds of a preStop that sleeps."""
    hook = mapping(at(container, "lifecycle", "preStop"))
    if "sleep" in hook:
        return float(quantity(at(hook, "sleep", "seconds")) or 0)
    told = words(at(hook, "exec", "command"))
    return float(quantity(told[1]) or 0) if len(told) == 2 and told[0].endswith("sleep") else 0.0


def labels(manifests: Manifests) -> Iterator[Finding]:
    """See :data:`LABELS`."""
    for pod in manifests.pods:
        missing = [name for name in _NAMES if not pod.labels.get(name)]
        if missing:
            yield refused(LABELS, pod.where, f"Its pods have no {', '.join(missing)}.", "Add the labels.")
        elif pod.labels[_NAMES[2]] != "dubflow":
            yield refused(LABELS, pod.where, "Its pods are not part of dubflow.", f"Set {_NAMES[2]}: dubflow.")


CHECKS = (
    Check(HOST, host),
    Check(VOLUME_KINDS, volume_kinds),
    Check(SCRATCH_LIMIT, scratch_limit),
    Check(SHARED_MEMORY, shared_memory),
    Check(GPU_PLACEMENT, gpu_placement),
    Check(SPREAD, spread),
    Check(GRACE, grace),
    Check(LABELS, labels),
)
