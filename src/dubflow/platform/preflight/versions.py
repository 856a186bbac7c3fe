"""The matrix of what a cluster runs, ``infra/kubernetes/versions.yaml``: whether its parts go together.

Known bad pairs and what a feature needs stand here as data; which versions are taken stands in the file.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import Field

from dubflow.config import Strict, validated
from dubflow.errors import BadInput, DubflowError
from dubflow.platform.preflight.core_kinds import GROUPS
from dubflow.platform.preflight.findings import Finding, Rule, refused
from dubflow.platform.preflight.resources import Manifests, Resource
from dubflow.platform.preflight.yaml_files import read

MATRIX = Rule(
    "version.matrix",
    "versions.yaml reads, and names every part that manifests rely on.",
    "Nobody knows which cluster the manifests were written for.",
)
COMBINATION = Rule(
    "version.combination",
    "No two parts are taken in versions that are known not to work together.",
    "Kueue 0.17 with Trainer 2.1 admits a job and never starts it, without an error.",
)
KUBERNETES = Rule(
    "version.kubernetes",
    "Each part supports every version of Kubernetes that the matrix allows.",
    "An upgrade of the cluster breaks a controller that nobody thought of.",
)
API = Rule(
    "version.api",
    "Custom resources are of API versions that a part of the matrix serves, and use no field before its time.",
    "`no matches for kind`, or a field that is dropped without a word.",
)
PINS = Rule(
    "version.pins",
    "What the project installs agrees with the matrix: kfp, numpy below 2 with Triton's stub.",
    "numpy 2 makes Triton's Python stub answer 200 with empty tensors.",
)
POD_SECURITY_VERSION = Rule(
    "version.pod_security",
    "Pod Security's version of a namespace is one that every allowed Kubernetes knows.",
    "A newer version than the cluster's is read as the cluster's own.",
)
FILE = "infra/kubernetes/versions.yaml"
_VERSION = r"^\d+\.\d+(\.\d+)?$"


class Range(Strict):
    """Versions of Kubernetes, both ends included."""

    oldest: str = Field(pattern=_VERSION, description="Oldest minor version.")
    newest: str = Field(pattern=_VERSION, description="Newest minor version.")


class Part(Strict):
    """One thing that is installed beside Kubernetes."""

    version: str = Field(pattern=_VERSION, description="That manifests were written for.")
    serves: tuple[str, ...] = Field((), description="API groups with version, such as kueue.x-k8s.io/v1beta2.")
    kubernetes: Range | None = Field(None, description="That it supports by its own table; none where it names none.")
    needed_for: str = Field(description="What of dubflow relies on it.")
    optional: bool = Field(False, description="Whether an installation can do without it.")
    source: str = Field(description="Where version and support were read.")


class Matrix(Strict):
    """The whole file."""

    kubernetes: Range
    parts: dict[str, Part] = Field(description="By name.")

    @property
    def checked(self) -> tuple[str, ...]:
        """Versions of Kubernetes that manifests are validated against."""
        return tuple(dict.fromkeys((self.kubernetes.oldest, self.kubernetes.newest)))


@dataclass(frozen=True)
class BadPair:
    """``one`` from ``since`` on does not work with ``other`` before ``until``."""

    one: str
    since: str
    other: str
    until: str
    why: str
    source: str


@dataclass(frozen=True)
class Feature:
    """A field that a part knows since a version."""

    part: str
    since: str
    kind: str
    field: str
    used: Callable[[Resource], bool]


BAD_PAIRS = (
    BadPair("kueue", "0.17", "trainer", "2.2",
            "Kueue sets runtimePatches, which Trainer's TrainJob knows since 2.2; an admitted job is never resumed",
            "kubernetes-sigs/kueue issue 11931"),
    BadPair("trainer", "2.2", "kueue", "0.17",
            "Trainer 2.2 has no podTemplateOverrides any more, which Kueue before 0.17 sets",
            "kubernetes-sigs/kueue pull request 10127, kubeflow/trainer pull request 3309"),
)  # fmt: skip
FEATURES = (
    Feature("kserve", "0.20", "InferenceService", "spec.canary", lambda one: "canary" in one.spec),
    Feature("trainer", "2.2", "TrainJob", "spec.runtimePatches", lambda one: "runtimePatches" in one.spec),
    Feature("kueue", "0.15", "ClusterQueue", "v1beta2", lambda one: one.api_version.endswith("/v1beta2")),
)
TRAINJOBS_NEED = ("trainer", "2.2", "spec.runtimePatches of the TrainJobs that dubflow makes")


def read_matrix(path: Path) -> Matrix:
    """The file.

    Raises:
        BadInput: ``platform.bad_matrix``.
    """
    try:
        content = read(path)
        return validated(Matrix, content[0] if content else {}, FILE)
    except DubflowError as error:
        raise BadInput("platform.bad_matrix", error.headline, error.hint) from error


def check_matrix(matrix: Matrix) -> Iterator[Finding]:
    """What is wrong with the matrix itself."""
    if later(matrix.kubernetes.oldest, matrix.kubernetes.newest):
        yield refused(MATRIX, FILE, "Kubernetes' oldest version is above its newest.", "Order them.")
    for pair in BAD_PAIRS:
        one, other = matrix.parts.get(pair.one), matrix.parts.get(pair.other)
        if one and other and not later(pair.since, one.version) and later(pair.until, other.version):
            told = f"{pair.one} {one.version} with {pair.other} {other.version}: {pair.why}."
            yield refused(COMBINATION, FILE, told, f"Take {pair.other} {pair.until} or newer ({pair.source}).")
    for name, part in matrix.parts.items():
        known = part.kubernetes
        if known and (later(known.oldest, matrix.kubernetes.oldest) or later(matrix.kubernetes.newest, known.newest)):
            told = f"{name} {part.version} supports Kubernetes {known.oldest} to {known.newest} only."
            yield refused(KUBERNETES, FILE, told, "Narrow kubernetes, or take another version of it.")
    name, since, what = TRAINJOBS_NEED
    if name in matrix.parts and later(since, matrix.parts[name].version):
        yield refused(API, FILE, f"{what} need {name} {since}.", f"Raise {name}.")


def check_overlay(matrix: Matrix, manifests: Manifests) -> Iterator[Finding]:
    """What an overlay uses that the matrix does not have."""
    served = {api: name for name, part in matrix.parts.items() for api in part.serves}
    for one in manifests.resources:
        if one.api_group not in GROUPS and one.api_version not in served:
            groups = {api.rpartition("/")[0] for api in served}
            known = "in this version" if one.api_group in groups else "at all"
            told = f"No part of the matrix serves {one.api_version} {known}."
            yield refused(API, one.where, told, f"Name what serves it in {FILE}.")
        for feature in FEATURES:
            part = matrix.parts.get(feature.part)
            if part and one.kind == feature.kind and feature.used(one) and later(feature.since, part.version):
                told = f"{feature.field} is known since {feature.part} {feature.since}, and {part.version} is taken."
                yield refused(API, one.where, told, f"Raise {feature.part} or leave the field out.")
    for one in manifests.of("Namespace"):
        for label, value in one.labels.items():
            if label.endswith("-version") and label.startswith("pod-security.") and value != "latest":
                version = str(value).removeprefix("v")
                if not re.match(_VERSION, version) or later(version, matrix.kubernetes.oldest):
                    told = f"{label} is {value}, and Kubernetes {matrix.kubernetes.oldest} is allowed."
                    yield refused(POD_SECURITY_VERSION, one.where, told, "Name the oldest version that is allowed.")


def check_pins(matrix: Matrix, pyproject: Path) -> Iterator[Finding]:
    """Whether what ``pyproject.toml`` installs agrees with the matrix."""
    import tomllib

    where = pyproject.name
    project: dict[str, Any] = tomllib.loads(pyproject.read_text(encoding="utf-8"))["project"]
    asked = [*project["dependencies"], *(one for group in project["optional-dependencies"].values() for one in group)]
    ranges = {match[1].lower(): match[2] for one in asked if (match := re.match(r"([\w-]+)(?:\[[\w,-]+\])?(.*)", one))}
    pipelines = matrix.parts.get("pipelines")
    least = re.search(r">=(\d+\.\d+)", ranges.get("kfp", ""))
    if pipelines and (not least or later(least[1], pipelines.version)):
        told = f"kfp{ranges.get('kfp', ' is not installed')} does not fit Kubeflow Pipelines {pipelines.version}."
        yield refused(PINS, where, told, "Let both name one minor version.")
    if "nvidia-pytriton" in ranges and "<2" not in ranges.get("numpy", "").replace(" ", ""):
        yield refused(PINS, where, "numpy may be 2 or newer beside Triton's Python stub.", "Pin numpy<2.")
    if not ranges.get("nvidia-pytriton", "").startswith("=="):
        told = "nvidia-pytriton is not pinned, and a resolver takes an old one."
        yield refused(PINS, where, told, "Pin it with ==.")


def later(one: str, other: str) -> bool:
    """Whether version ``one`` comes after ``other``; numbers that are missing count as 0."""
    numbers = [[int(part) for part in version.split(".")] for version in (one, other)]
    longest = max(map(len, numbers))
    first, second = (found + [0] * (longest - len(found)) for found in numbers)
    return first > second
