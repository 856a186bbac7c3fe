"""What differs between two packages: facts, licences and files."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from dubflow.registry.package.manifest import PackageManifest

Difference = tuple[str, Any, Any]
"""A name with dots, and what each of the two has there; None where it has nothing."""


def differences(left: PackageManifest, right: PackageManifest) -> tuple[Difference, ...]:
    """Every fact in which two packages differ, by name."""
    first, second = _described(left), _described(right)
    names = sorted(first.keys() | second.keys())
    return tuple((name, first.get(name), second.get(name)) for name in names if first.get(name) != second.get(name))


def _described(manifest: PackageManifest) -> dict[str, Any]:
    licences: dict[str, Any] = {}
    for one in manifest.licences:
        licences.setdefault(f"licence.{one.part}", []).append(one.licence)
    files = {f"file.{file.path}": f"{file.sha256[:12]} ({file.bytes} bytes)" for file in manifest.files}
    return {"name": manifest.name, **dict(_flat(manifest.facts.model_dump(mode="json"), "")), **licences, **files}


def _flat(tree: Mapping[str, Any], prefix: str) -> Iterator[tuple[str, Any]]:
    for name, value in tree.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{name}.")
        else:
            yield prefix + name, value if isinstance(value, str | int | float | bool | None) else json.dumps(value)
