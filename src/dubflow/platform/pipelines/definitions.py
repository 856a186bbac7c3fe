"""Pipelines as they were compiled: their names, parameters and text.

The compiled form is what runs, here as on a cluster; ``dubflow compile`` makes it again from ``pipelines/``, and a test
compares the two.
"""

from __future__ import annotations

import difflib
import hashlib
import json
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from dubflow import __version__
from dubflow.errors import OurFault, WrongUse

Value = str | int | float | bool | list[Any] | dict[str, Any]
_KINDS: dict[str, type] = {
    "STRING": str, "NUMBER_INTEGER": int, "NUMBER_DOUBLE": float, "BOOLEAN": bool, "LIST": list, "STRUCT": dict,
}  # fmt: skip
_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
"""libyaml's where it is there: the other one takes a second for the longest pipeline."""
_TRUE, _FALSE = ("true", "1", "yes"), ("false", "0", "no")


@dataclass(frozen=True)
class Parameter:
    """One parameter of a pipeline; without a default it must be given."""

    name: str
    kind: type
    default: Value | None
    required: bool


@dataclass(frozen=True)
class Definition:
    """A compiled pipeline.

    Attributes:
        name: as people call it. text: the YAML, one or two documents. spec: the first of them. platform: the second,
            what only Kubernetes knows; empty where there is none.
    """

    name: str
    text: str
    spec: Mapping[str, Any]
    platform: Mapping[str, Any]

    @property
    def description(self) -> str:
        """What it does, in a sentence."""
        return str(self.spec["pipelineInfo"].get("description", ""))

    @property
    def parameters(self) -> tuple[Parameter, ...]:
        """In the order of the definition's YAML."""
        found = self.spec["root"].get("inputDefinitions", {}).get("parameters", {})
        return tuple(
            Parameter(name, _KINDS[one["parameterType"]], _default(one), not one.get("isOptional", False))
            for name, one in found.items()
        )

    @property
    def tasks(self) -> Iterator[tuple[str, Mapping[str, Any]]]:
        """Every task of it, whatever it is nested in, with its name in KFP."""
        for component in (self.spec["root"], *self.spec.get("components", {}).values()):
            yield from component.get("dag", {}).get("tasks", {}).items()

    @property
    def step_names(self) -> dict[str, str]:
        """What steps are called for people, by the name of the task; names that stand for several stay as they are."""
        found = [(name, task["taskInfo"]["name"]) for name, task in self.tasks]
        many = Counter(name for name, _ in found)
        return {name: shown for name, shown in found if many[name] == 1}

    def arguments(self, given: Mapping[str, str]) -> dict[str, Value]:
        """Words of a command line as arguments of the right kinds; defaults are left to the pipeline.

        Raises:
            WrongUse: ``platform.unknown_parameter``, ``platform.bad_parameter``, ``platform.missing_parameter``.
        """
        known = {one.name: one for one in self.parameters}
        for name in given:
            if name not in known:
                near = difflib.get_close_matches(name, known, n=1)
                hint = f"Did you mean {near[0]}? " if near else ""
                raise WrongUse(
                    "platform.unknown_parameter",
                    f"The pipeline {self.name} has no parameter {name!r}.",
                    f"{hint}Known: {', '.join(known)}.",
                )
        lacking = [name for name, one in known.items() if one.required and name not in given]
        if lacking:
            raise WrongUse(
                "platform.missing_parameter",
                f"The pipeline {self.name} needs {', '.join(lacking)}.",
                f"Give it as -p {lacking[0]}=VALUE.",
            )
        return {name: _read(known[name], text) for name, text in given.items()}


def _default(declared: Mapping[str, Any]) -> Value | None:
    value: Value | None = declared.get("defaultValue")
    # YAML from protobuf has every number as a double.
    return int(value) if declared["parameterType"] == "NUMBER_INTEGER" and isinstance(value, float) else value


def _read(parameter: Parameter, text: str) -> Value:
    try:
        if parameter.kind is str:
            return text
        if parameter.kind is bool:
            return {**dict.fromkeys(_TRUE, True), **dict.fromkeys(_FALSE, False)}[text.lower()]
        if parameter.kind in (list, dict):
            value = json.loads(text)
            if not isinstance(value, parameter.kind):
                raise ValueError(text)
            return value
        number: Value = parameter.kind(text)
        return number
    except (ValueError, KeyError) as error:
        kinds = {int: "a whole number", float: "a number", bool: "true or false", list: "a JSON list"}
        raise WrongUse(
            "platform.bad_parameter",
            f"{parameter.name}={text} is not {kinds.get(parameter.kind, 'a JSON object')}.",
            f"Its default is {json.dumps(parameter.default)}." if not parameter.required else "",
        ) from error


def ir_folder() -> Path:
    """Where the compiled pipelines lie: inside an installed wheel, or in a checkout.

    Raises:
        OurFault: ``platform.no_pipelines``.
    """
    package = Path(__file__).parents[2]
    for folder in (package / "pipelines_ir", package.parents[1] / "pipelines" / "ir"):
        if folder.is_dir():
            return folder
    raise OurFault("platform.no_pipelines", "This installation has no compiled pipelines.", "Reinstall dubflow.")


def pipeline_names() -> tuple[str, ...]:
    """Names that ``dubflow run`` takes."""
    return tuple(sorted(path.stem.replace("_", "-") for path in ir_folder().glob("*.yaml")))


def read_pipeline(name: str) -> Definition:
    """The compiled pipeline of that name.

    Raises:
        WrongUse: ``platform.unknown_pipeline``.
    """
    path = ir_folder() / f"{name.replace('-', '_')}.yaml"
    if not path.is_file():
        known = ", ".join(pipeline_names())
        raise WrongUse("platform.unknown_pipeline", f"There is no pipeline {name!r}.", f"Known: {known}.")
    return parse(path.read_text(encoding="utf-8"))


def documents_of(text: str) -> list[Any]:
    """The YAML documents of a compiled pipeline: what it does, and what only Kubernetes knows where there is that."""
    return list(yaml.load_all(text, Loader=_LOADER))


def parse(text: str) -> Definition:
    """A definition from its compiled text."""
    documents = documents_of(text)
    return Definition(documents[0]["pipelineInfo"]["name"], text, documents[0], dict(*documents[1:]))


@cache
def code_digest() -> str:
    """Version and digest of the code that steps run: what was made by other code is not taken from a cache."""
    package = Path(__file__).parents[2]
    digest = hashlib.sha256()
    for path in sorted(package.rglob("*.py")):
        digest.update(path.relative_to(package).as_posix().encode() + b"\0" + path.read_bytes())
    return f"{__version__}-{digest.hexdigest()[:12]}"
