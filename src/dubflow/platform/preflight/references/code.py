"""What manifests say to our own programs: settings, command lines, images that we build, objects that code makes."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from dubflow.platform.preflight.command_lines import is_program_of_ours, through_a_shell, wrong_with
from dubflow.platform.preflight.container_settings import command_line, environment, named
from dubflow.platform.preflight.findings import Finding, Rule, refused, unchecked
from dubflow.platform.preflight.image_names import split_image
from dubflow.platform.preflight.images_named import images_named
from dubflow.platform.preflight.resources import Body, Manifests, at, mapping, words
from dubflow.platform.preflight.settings_names import known_paths, known_variables
from dubflow.platform.preflight.settings_values import wrong_values

SETTING = Rule(
    "reference.setting",
    "Every DUBFLOW_* variable is one that our code reads.",
    "A misspelt setting is ignored, and its default runs in production.",
)
SETTINGS_VALID = Rule(
    "reference.settings_valid",
    "Values of settings that can be known are ones that our code accepts.",
    "The pod ends at once, or a step of a pipeline fails where it needs them.",
)
COMMAND = Rule(
    "reference.command",
    "Command lines of our programs name verbs, options and modules that are there.",
    "The pod ends with exit code 2, again and again.",
)
PROBE_PATH = Rule(
    "reference.probe_path",
    "Paths that probes ask of our own programs stand in the code.",
    "The probe gets 404 for ever, and the pod is restarted without end.",
)
IMAGE = Rule(
    "reference.image",
    "Images named dubflow/… are ones that infra/images builds.",
    "The pod waits for an image that nobody makes.",
)
_OURS = re.compile(r"(?:^|.*/)dubflow/([a-z0-9]+?)(?:-python)?$")


def setting(manifests: Manifests, root: Path) -> Iterator[Finding]:
    """See :data:`SETTING`."""
    known = known_variables(root)
    for one in manifests.of("ConfigMap"):
        for key in mapping(one.body.get("data")):
            if str(key).startswith("DUBFLOW_") and key not in known:
                yield refused(SETTING, one.where, f"Nothing reads {key}.", "Correct or remove it.")
    for pod in manifests.pods:
        for container in pod.every_container:
            for variable in environment(manifests, pod, container):
                unknown = variable.name.startswith("DUBFLOW_") and variable.name not in known
                if unknown and not variable.source.startswith("ConfigMap"):
                    told = f"Nothing reads {variable.name}."
                    yield refused(SETTING, named(pod, container), told, "Correct or remove it.")


def settings_valid(manifests: Manifests) -> Iterator[Finding]:
    """See :data:`SETTINGS_VALID`. What comes from Secrets cannot be known; what the cluster fills in is left out."""
    for one in manifests.of("ConfigMap"):
        told = {str(key): str(value) for key, value in mapping(one.body.get("data")).items()}
        for wrong in wrong_values(told):
            yield refused(SETTINGS_VALID, one.where, wrong, "Correct the value.")
    for pod in manifests.pods:
        for container in pod.every_container:
            plain = {one.name: one.value for one in environment(manifests, pod, container) if one.source == "value"}
            for wrong in wrong_values({name: value for name, value in plain.items() if value and "$(" not in value}):
                yield refused(SETTINGS_VALID, named(pod, container), wrong, "Correct the value.")


def command(manifests: Manifests, program: Any) -> Iterator[Finding]:
    """See :data:`COMMAND`; ``program`` is ``dubflow``. Lines that go through a shell are told as unchecked."""
    for pod in manifests.pods:
        for container in pod.every_container:
            if container.get("args") and not container.get("command") and _is_ours(container):
                told = "Its words follow the image's entry point, which was not looked at."
                yield unchecked(COMMAND, named(pod, container), told, "Write the whole line in command.")
            for what, line in _lines(container):
                if through_a_shell(line):
                    told = f"{what} goes through a shell, and what it runs was not looked at."
                    yield unchecked(COMMAND, named(pod, container), told, "Start the program itself.")
                elif wrong := wrong_with(line, program):
                    yield refused(COMMAND, named(pod, container), f"{what}: {wrong}.", "Correct the words.")


def _lines(container: Body) -> Iterator[tuple[str, list[str]]]:
    if container.get("command"):
        yield "Its command", command_line(container)
    for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
        if told := words(at(container, probe, "exec", "command")):
            yield f"Its {probe}", told
    for hook in ("preStop", "postStart"):
        if told := words(at(container, "lifecycle", hook, "exec", "command")):
            yield f"Its {hook}", told


def probe_path(manifests: Manifests, root: Path) -> Iterator[Finding]:
    """See :data:`PROBE_PATH`. Programs of others are not looked into."""
    for pod in manifests.pods:
        for container in pod.every_container:
            if not is_program_of_ours(command_line(container)):
                continue
            for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
                path = at(container, probe, "httpGet", "path")
                if path is not None and path not in known_paths(root):
                    told = f"{probe} asks {path}, which stands nowhere in our code."
                    yield refused(PROBE_PATH, named(pod, container), told, "Correct the path.")


def _is_ours(container: Body) -> bool:
    return bool(_OURS.fullmatch(split_image(str(container.get("image") or ""))[0]))


def image(manifests: Manifests, root: Path) -> Iterator[Finding]:
    """See :data:`IMAGE`."""
    built = {path.parent.name for path in (root / "infra" / "images").glob("*/Dockerfile")}
    for where, image in images_named(manifests):
        found = _OURS.fullmatch(split_image(image)[0])
        if found and found[1] not in built:
            told = f"There is no infra/images/{found[1]}; there are {', '.join(sorted(built))}."
            yield refused(IMAGE, where, told, "Name an image that is built.")
