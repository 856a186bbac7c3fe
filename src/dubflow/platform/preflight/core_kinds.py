"""Kinds of Kubernetes itself against its own schemas, strictly, in every version of the matrix.

The schemas are those of the package ``kubernetes-validate``; each version's definitions are read once, and every
mistake of a resource is told, not the first alone.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from importlib.resources import files
from typing import Any

from dubflow.errors import missing_extra
from dubflow.platform.preflight.findings import Finding, Rule, refused, unchecked
from dubflow.platform.preflight.resources import Resource

CORE = Rule(
    "schema.core",
    "Resources of Kubernetes fit its schema strictly, in the oldest and the newest version of the matrix.",
    "An unknown field is dropped or refused by the API server, and what it was to do is not done.",
)
GROUPS = frozenset(
    {
        "", "admissionregistration.k8s.io", "apps", "autoscaling", "batch", "certificates.k8s.io",
        "coordination.k8s.io", "discovery.k8s.io", "networking.k8s.io", "node.k8s.io", "policy",
        "rbac.authorization.k8s.io", "scheduling.k8s.io", "storage.k8s.io",
    }
)  # fmt: skip
"""API groups that Kubernetes brings."""


def check_core(resources: Iterable[Resource], versions: Sequence[str]) -> list[Finding]:
    """What is wrong with resources of Kubernetes' own groups; others are left to custom resources.

    Args:
        versions: of Kubernetes, such as ``1.33``.

    Raises:
        WrongUse: ``install.missing_extra``.
    """
    try:
        import kubernetes_validate  # noqa: F401
    except ImportError as error:
        raise missing_extra("kubernetes_validate") from error
    return [
        finding
        for one in resources
        if one.api_group in GROUPS
        for version in versions
        for finding in _checked(one, version)
    ]


def _checked(resource: Resource, version: str) -> Iterator[Finding]:
    folder = _folder(version)
    if folder is None:
        yield unchecked(
            CORE, f"Kubernetes {version}", "No schemas of this version are installed.", "Raise the package."
        )
        return
    schema = _schema(folder, resource.kind, resource.api_version)
    if schema is None:
        yield refused(
            CORE,
            resource.where,
            f"Kubernetes {version} has no {resource.kind} in {resource.api_version}.",
            "Take an apiVersion that all versions of the matrix have.",
        )
        return
    from jsonschema import Draft202012Validator

    for error in Draft202012Validator(schema, registry=_definitions(folder)).iter_errors(dict(resource.body)):
        path = ".".join(map(str, error.absolute_path)) or "the resource"
        yield refused(
            CORE, resource.where, f"Kubernetes {version}: {path}: {error.message[:200]}", "Correct the field."
        )


@lru_cache(maxsize=4)
def _folder(version: str) -> str | None:
    wanted = re.compile(rf"v{re.escape(version)}\.\d+-local-strict")
    names = (one.name for one in (files("kubernetes_validate") / "kubernetes-json-schema").iterdir())
    return next((name for name in names if wanted.fullmatch(name)), None)


def _read(folder: str, name: str) -> Any:
    file = files("kubernetes_validate") / "kubernetes-json-schema" / folder / name
    return json.loads(file.read_text(encoding="utf-8")) if file.is_file() else None


@lru_cache(maxsize=256)
def _schema(folder: str, kind: str, api_version: str) -> Any:
    group, _, version = api_version.rpartition("/")
    short = f"{group.partition('.')[0]}-{version}" if group else version
    return _read(folder, f"{kind.lower()}-{short}.json")


@lru_cache(maxsize=4)
def _definitions(folder: str) -> Any:
    from referencing import Registry
    from referencing import Resource as Described

    found = Described.from_contents(_read(folder, "_definitions.json"))
    return found @ Registry()
