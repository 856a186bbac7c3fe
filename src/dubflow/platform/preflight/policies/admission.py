"""What the API server refuses although it fits the schema: names, labels, sizes, schedules."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

from dubflow.platform.preflight.checks import Check
from dubflow.platform.preflight.findings import Finding, Rule, refused
from dubflow.platform.preflight.resources import Manifests, bodies, mapping

NAMES = Rule(
    "schema.names",
    "Names, labels and port names are of the characters and lengths that Kubernetes takes.",
    "The API server refuses the resource, half-way through an installation.",
)
SIZE = Rule(
    "schema.size",
    "No resource is larger than a MiB, nor its annotations than 256 KiB.",
    "etcd refuses it.",
)
SCHEDULE = Rule(
    "schema.schedule",
    "Schedules have five fields of numbers in their ranges, or one of cron's words.",
    "The CronJob is refused, or runs when nobody meant it to.",
)
_LABEL_VALUE = re.compile(r"([A-Za-z0-9]([A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?)?")
_KEY_NAME = re.compile(r"[A-Za-z0-9]([A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?")
_SUBDOMAIN = re.compile(r"[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*")
_LABEL = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
_SERVICE = re.compile(r"[a-z]([a-z0-9-]{0,61}[a-z0-9])?")
_PORT = re.compile(r"(?=.*[a-z])(?!.*--)[a-z0-9]([a-z0-9-]{0,13}[a-z0-9])?")
_MOST, _MOST_ANNOTATIONS = 2**20, 2**18
_FIELDS = ((0, 59), (0, 23), (1, 31), (1, 12), (0, 7))
_WORDS = frozenset({"@yearly", "@annually", "@monthly", "@weekly", "@daily", "@midnight", "@hourly"})


def names(manifests: Manifests) -> Iterator[Finding]:
    """See :data:`NAMES`."""
    for one in manifests.resources:
        wanted = {"Namespace": _LABEL, "Service": _SERVICE, "InferenceService": _SERVICE}.get(one.kind, _SUBDOMAIN)
        role = one.kind.endswith(("Role", "RoleBinding"))  # theirs may hold a colon
        longest = 52 if one.kind == "CronJob" else 253
        if not role and (len(one.name) > longest or not wanted.fullmatch(one.name)):
            yield refused(NAMES, one.where, f"{one.name!r} is no name of a {one.kind}.", "Shorten or rename it.")
        yield from _labels(one.where, one.labels)
    for pod in manifests.pods:
        yield from _labels(pod.where, pod.labels)
        for container in pod.every_container:
            if not _LABEL.fullmatch(str(container.get("name") or "")):
                told = f"{container.get('name')!r} is no name of a container."
                yield refused(NAMES, pod.where, told, "Rename it.")
            for port in bodies(container.get("ports")):
                if "name" in port and not _PORT.fullmatch(str(port["name"])):
                    told = f"{port['name']!r} is no name of a port: at most 15 small letters, digits and dashes."
                    yield refused(NAMES, pod.where, told, "Rename it.")


def _labels(where: str, labels: object) -> Iterator[Finding]:
    for key, value in mapping(labels).items():
        prefix, slash, name = str(key).rpartition("/")
        fine = _KEY_NAME.fullmatch(name) and (not slash or _SUBDOMAIN.fullmatch(prefix))
        if not fine or not isinstance(value, str) or not _LABEL_VALUE.fullmatch(value):
            yield refused(
                NAMES, where, f"The label {key}: {value!r} is none.", "At most 63 letters, digits, -_. in it."
            )


def size(manifests: Manifests) -> Iterator[Finding]:
    """See :data:`SIZE`."""
    for one in manifests.resources:
        bytes_of_it = len(json.dumps(dict(one.body)).encode())
        if bytes_of_it > _MOST:
            told = f"It has {bytes_of_it / 2**20:.1f} MiB."
            yield refused(SIZE, one.where, told, "Split it, or keep it in a storage.")
        annotations = mapping(mapping(one.body.get("metadata")).get("annotations"))
        if sum(len(str(key)) + len(str(value)) for key, value in annotations.items()) > _MOST_ANNOTATIONS:
            yield refused(SIZE, one.where, "Its annotations are too large.", "Put them into a ConfigMap.")


def schedule(manifests: Manifests) -> Iterator[Finding]:
    """See :data:`SCHEDULE`."""
    for one in manifests.of("CronJob"):
        told = str(one.spec.get("schedule") or "")
        if told not in _WORDS and not _is_schedule(told):
            yield refused(SCHEDULE, one.where, f"{told!r} is no schedule.", "Write five fields: 17 1 * * *.")


def _is_schedule(text: str) -> bool:
    fields = text.split()
    return len(fields) == len(_FIELDS) and all(
        _is_field(part, least, most)
        for field, (least, most) in zip(fields, _FIELDS, strict=True)
        for part in field.split(",")
    )


def _is_field(part: str, least: int, most: int) -> bool:
    found = re.fullmatch(r"(?:\*|(\d+)(?:-(\d+))?)(?:/(\d+))?", part)
    if not found:
        return False
    first, last, step = (int(one) if one is not None else None for one in found.groups())
    within = all(least <= one <= most for one in (first, last) if one is not None)
    return within and (first is None or last is None or first <= last) and step != 0


CHECKS = (Check(NAMES, names), Check(SIZE, size), Check(SCHEDULE, schedule))
