"""Custom resources against the schemas of the projects that define them, as strictly as the API server prunes.

The schemas are OpenAPI v3 as Kubernetes writes it: JSON files in ``$DUBFLOW_CRD_DIR``, or CustomResourceDefinitions in
YAML below it. A kind without a schema is told as unchecked, never passed over.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from dubflow.errors import BadInput, WrongUse, missing_extra
from dubflow.platform.preflight.core_kinds import GROUPS
from dubflow.platform.preflight.findings import Finding, Rule, refused, unchecked
from dubflow.platform.preflight.resources import Resource, at
from dubflow.platform.preflight.yaml_files import read

CUSTOM = Rule(
    "schema.custom",
    "Custom resources fit the schema of the project that defines them; unknown fields are errors.",
    "The API server drops fields that it does not know without a word.",
)
FOLDER = "DUBFLOW_CRD_DIR"
_NUMBERS = frozenset({"int32", "int64", "float", "double", "byte", "date-time", "quantity"})

Key = tuple[str, str]
"""apiVersion and kind."""


def schemas_folder(root: Path) -> Path | None:
    """``$DUBFLOW_CRD_DIR``, or ``shared/schemas`` beside the project; None where neither is there.

    Raises:
        WrongUse: ``platform.no_schemas`` where the variable names no folder.
    """
    told = os.environ.get(FOLDER)
    if told:
        if not Path(told).is_dir():
            raise WrongUse("platform.no_schemas", f"{FOLDER} names no folder: {told}.", "Correct or unset it.")
        return Path(told)
    beside = root.parent / "shared" / "schemas"
    return beside if beside.is_dir() else None


def read_schemas(folder: Path) -> dict[Key, Mapping[str, Any]]:
    """The schemas of a folder, as Kubernetes writes them.

    Raises:
        BadInput: ``platform.bad_schema``, ``platform.bad_yaml``.
    """
    found: dict[Key, Mapping[str, Any]] = {}
    for path in sorted(folder.glob("*.json")):
        group, version, kind = (*path.stem.split("_"), "", "")[:3]
        if not kind:
            continue
        try:
            found[f"{group}/{version}", kind] = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise BadInput("platform.bad_schema", f"{path.name} is no schema: {error}.", "Fetch it again.") from error
    for path in sorted([*folder.rglob("*.yaml"), *folder.rglob("*.yml")]):
        for one in read(path):
            if at(one, "kind") == "CustomResourceDefinition":
                spec = one["spec"]
                for version in spec.get("versions", ()):
                    schema = at(version, "schema", "openAPIV3Schema")
                    if schema:
                        found[f"{spec['group']}/{version['name']}", spec["names"]["kind"]] = schema
    return found


def strict(schema: Any) -> Any:
    """A schema as Kubernetes writes it, as JSON Schema that lets nothing unknown pass."""
    if not isinstance(schema, dict):
        return schema
    made = {key: value for key, value in schema.items() if not key.startswith("x-kubernetes") and key != "nullable"}
    if schema.get("x-kubernetes-int-or-string"):
        made.pop("type", None)
        made.setdefault("anyOf", [{"type": "integer"}, {"type": "string"}])
    if schema.get("nullable") and "type" in made:
        made["type"] = [made["type"], "null"]
        if "enum" in made:
            made["enum"] = [*made["enum"], None]
    if "properties" in made:
        made["properties"] = {name: strict(one) for name, one in made["properties"].items()}
        if not schema.get("x-kubernetes-preserve-unknown-fields"):
            made.setdefault("additionalProperties", False)
    for key in ("items", "additionalProperties"):
        if isinstance(made.get(key), dict):
            made[key] = strict(made[key])
    if made.get("format") in _NUMBERS:
        del made["format"]
    return made


def check_custom(resources: Iterable[Resource], folder: Path | None) -> list[Finding]:
    """What is wrong with custom resources, and which kinds nobody could look at.

    Args:
        folder: of the schemas; None where there is none, and every kind is unchecked.

    Raises:
        WrongUse: ``install.missing_extra``. BadInput: ``platform.bad_schema``.
    """
    try:
        from jsonschema import Draft202012Validator
    except ImportError as error:
        raise missing_extra("jsonschema") from error
    schemas = read_schemas(folder) if folder else {}
    validators: dict[Key, Any] = {}
    missing: dict[Key, int] = {}
    found: list[Finding] = []
    for one in resources:
        if one.api_group in GROUPS:
            continue
        key = one.api_version, one.kind
        if key not in schemas:
            missing[key] = missing.get(key, 0) + 1
            continue
        if key not in validators:
            schema = strict(schemas[key])
            free: dict[str, Any] = {name: {} for name in ("apiVersion", "kind", "metadata")}
            schema["properties"] = {**schema.get("properties", {}), **free}
            validators[key] = Draft202012Validator(schema)
        for wrong in validators[key].iter_errors(dict(one.body)):
            path = ".".join(map(str, wrong.absolute_path)) or "the resource"
            found.append(refused(CUSTOM, one.where, f"{path}: {wrong.message[:200]}", "Correct the field."))
    return [*found, *(_missing(key, count, schemas) for key, count in missing.items())]


def _missing(key: Key, count: int, schemas: Mapping[Key, Any]) -> Finding:
    others = sorted(version for version, kind in schemas if kind == key[1])
    known = f" Known of this kind: {', '.join(others)}." if others else ""
    return unchecked(
        CUSTOM,
        f"{key[1]} in {key[0]}",
        f"{count} resource(s) were not held against a schema: none is at hand.{known}",
        f"Put the CustomResourceDefinition into a folder and name it in {FOLDER}.",
    )
