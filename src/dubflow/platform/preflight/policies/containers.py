"""Containers: who they run as, what they may do, what they may use, how one sees that they work."""

from __future__ import annotations

from collections.abc import Iterator

from dubflow.platform.preflight.checks import Check
from dubflow.platform.preflight.container_settings import GPU, named, quantity, resource, security, wants_gpu
from dubflow.platform.preflight.findings import Finding, Rule, refused, unchecked
from dubflow.platform.preflight.image_names import split_image
from dubflow.platform.preflight.images_named import images_named
from dubflow.platform.preflight.resources import Body, Manifests, PodSpec, at, mapping, words

NON_ROOT = Rule(
    "policy.non_root",
    "Containers run as a numeric user other than 0, with runAsNonRoot.",
    "A name cannot be checked by the kubelet, and root in a container is one hole away from root on the node.",
)
READ_ONLY_ROOT = Rule(
    "policy.read_only_root",
    "The root file system is read-only; what is written has a named volume.",
    "Whoever breaks in could change the program, and disks of nodes fill up unseen.",
)
NO_ESCALATION = Rule(
    "policy.no_escalation",
    "allowPrivilegeEscalation is false and nothing is privileged.",
    "A setuid binary would give rights that the container was not given.",
)
DROP_CAPABILITIES = Rule(
    "policy.drop_capabilities",
    "All capabilities are dropped and none is added.",
    "The default set allows raw sockets and changes of owners, which nothing here needs.",
)
SECCOMP = Rule(
    "policy.seccomp",
    "The seccomp profile is RuntimeDefault or one of the node's.",
    "Without it every system call of the kernel is within reach.",
)
IMAGE_PINNED = Rule(
    "policy.image_pinned",
    "Images have a version or a digest, never latest.",
    "The same manifest would run another program tomorrow.",
)
IMAGE_DIGEST = Rule(
    "policy.image_digest",
    "A released overlay names every image by digest.",
    "A tag can be moved; what was checked would not be what runs.",
)
RESOURCES = Rule(
    "policy.resources",
    "Containers request processor and memory and have a limit of memory; GPUs are asked and limited alike.",
    "One pod would take a node's memory from all others; the scheduler places blindly.",
)
PROBES = Rule(
    "policy.probes",
    "What runs for ever says by probes when it is ready and when it is stuck.",
    "Traffic reaches what cannot answer yet, and a hung process stays.",
)


def _containers(manifests: Manifests) -> Iterator[tuple[PodSpec, Body]]:
    return ((pod, container) for pod in manifests.pods for container in pod.every_container)


def non_root(manifests: Manifests) -> Iterator[Finding]:
    """See :data:`NON_ROOT`."""
    for pod, container in _containers(manifests):
        user = security(pod, container, "runAsUser")
        if not isinstance(user, int) or isinstance(user, bool) or user == 0:
            told = "as root" if user == 0 else "without a numeric user"
            yield refused(NON_ROOT, named(pod, container), f"It runs {told}.", "Set runAsUser to the image's user.")
        elif security(pod, container, "runAsNonRoot") is not True:
            yield refused(NON_ROOT, named(pod, container), "runAsNonRoot is not set.", "Set runAsNonRoot: true.")


def read_only_root(manifests: Manifests) -> Iterator[Finding]:
    """See :data:`READ_ONLY_ROOT`."""
    for pod, container in _containers(manifests):
        if at(container, "securityContext", "readOnlyRootFilesystem") is not True:
            hint = "Set readOnlyRootFilesystem: true and mount an emptyDir where it writes."
            yield refused(READ_ONLY_ROOT, named(pod, container), "Its root file system is writable.", hint)


def no_escalation(manifests: Manifests) -> Iterator[Finding]:
    """See :data:`NO_ESCALATION`."""
    for pod, container in _containers(manifests):
        own = mapping(container.get("securityContext"))
        if own.get("allowPrivilegeEscalation") is not False:
            hint = "Set allowPrivilegeEscalation: false."
            yield refused(NO_ESCALATION, named(pod, container), "It may gain rights.", hint)
        if own.get("privileged"):
            yield refused(NO_ESCALATION, named(pod, container), "It is privileged.", "Remove privileged.")


def drop_capabilities(manifests: Manifests) -> Iterator[Finding]:
    """See :data:`DROP_CAPABILITIES`."""
    for pod, container in _containers(manifests):
        found = mapping(at(container, "securityContext", "capabilities"))
        if "ALL" not in words(found.get("drop")):
            yield refused(DROP_CAPABILITIES, named(pod, container), "It keeps capabilities.", "Drop ALL.")
        if added := words(found.get("add")):
            told = f"It adds {', '.join(added)}."
            yield refused(DROP_CAPABILITIES, named(pod, container), told, "Listen on a port above 1024 instead.")


def seccomp(manifests: Manifests) -> Iterator[Finding]:
    """See :data:`SECCOMP`."""
    for pod, container in _containers(manifests):
        if at(security(pod, container, "seccompProfile"), "type") not in ("RuntimeDefault", "Localhost"):
            hint = "Set seccompProfile.type: RuntimeDefault."
            yield refused(SECCOMP, named(pod, container), "It has no seccomp profile.", hint)


def image_pinned(manifests: Manifests) -> Iterator[Finding]:
    """See :data:`IMAGE_PINNED`."""
    for where, image in images_named(manifests):
        name, tag, digest = split_image(image)
        if not name:
            yield refused(IMAGE_PINNED, where, "It has no image.", "Name one.")
        elif not digest and tag in ("", "latest"):
            told = f"{image} may be another image tomorrow."
            yield refused(IMAGE_PINNED, where, told, "Give the release's version or a digest.")


def image_digest(manifests: Manifests) -> Iterator[Finding]:
    """See :data:`IMAGE_DIGEST`. Until a release's images are given, which digests it will have is unchecked."""
    if manifests.overlay == "dev":
        return
    found = list(images_named(manifests))
    loose = [(where, image) for where, image in found if _is_loose(image)]
    if loose and not manifests.released and not any(split_image(image)[2] for _, image in found):
        images = sorted({image for _, image in loose})
        hint = "Give a release's images with --images FILE; then each without a digest is refused."
        told = f"{len(images)} images have no digest yet: {', '.join(images)}."
        yield unchecked(IMAGE_DIGEST, f"overlay {manifests.overlay}", told, hint)
        return
    for where, image in loose:
        yield refused(IMAGE_DIGEST, where, f"{image} has no digest.", "Put its digest into the release's images.")


def _is_loose(image: str) -> bool:
    _, tag, digest = split_image(image)
    return not digest and tag not in ("", "latest")  # else IMAGE_PINNED has told it already


def resources(manifests: Manifests) -> Iterator[Finding]:
    """See :data:`RESOURCES`."""
    for pod, container in _containers(manifests):
        needed = (("requests", "cpu"), ("requests", "memory"), ("limits", "memory"))
        missing = [f"{kind}.{name}" for kind, name in needed if quantity(resource(container, kind, name)) is None]
        if missing:
            told = f"It does not say {', '.join(missing)}."
            yield refused(RESOURCES, named(pod, container), told, "Measure what it needs and write it down.")
        asked, most = (quantity(resource(container, kind, "memory")) for kind in ("requests", "limits"))
        if asked is not None and most is not None and asked > most:
            yield refused(
                RESOURCES, named(pod, container), "It requests more memory than its limit.", "Raise the limit."
            )
        gpus = [resource(container, kind, GPU) for kind in ("requests", "limits")]
        if wants_gpu(container) and gpus[0] is not None and str(gpus[0]) != str(gpus[1]):
            yield refused(
                RESOURCES, named(pod, container), "It requests and limits GPUs differently.", "Write one number."
            )


def probes(manifests: Manifests) -> Iterator[Finding]:
    """See :data:`PROBES`. Jobs need none: their end says whether they worked."""
    for pod in manifests.pods:
        for container in pod.containers if pod.lives == "always" else ():
            missing = [one for one in ("readinessProbe", "livenessProbe") if not mapping(container.get(one))]
            if missing:
                told = f"It has no {' and no '.join(missing)}."
                yield refused(PROBES, named(pod, container), told, "Ask a route that is true only when it works.")


CHECKS = (
    Check(NON_ROOT, non_root),
    Check(READ_ONLY_ROOT, read_only_root),
    Check(NO_ESCALATION, no_escalation),
    Check(DROP_CAPABILITIES, drop_capabilities),
    Check(SECCOMP, seccomp),
    Check(IMAGE_PINNED, image_pinned),
    Check(IMAGE_DIGEST, image_digest),
    Check(RESOURCES, resources),
    Check(PROBES, probes),
)
