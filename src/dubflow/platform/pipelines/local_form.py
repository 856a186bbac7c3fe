"""A compiled pipeline as kfp.local runs it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import yaml


def local_form(text: str) -> str:
    """The compiled pipeline without what only a cluster can do, or should: lost pods and their repetition."""
    spec = next(yaml.safe_load_all(text))
    for component in (spec["root"], *spec.get("components", {}).values()):
        for task in component.get("dag", {}).get("tasks", {}).values():
            task.pop("retryPolicy", None)
    while _drop_unfed(spec):
        pass
    # KFP's loader takes a component of the pipeline's own name for the pipeline.
    spec["pipelineInfo"]["name"] += "-run"
    return yaml.safe_dump(spec, sort_keys=True)


def _drop_unfed(spec: dict[str, Any]) -> bool:
    """Take away optional artifacts that no caller of a part gives; whether there were any.

    A cluster hands on nothing where nothing was given; kfp.local looks for it in the caller and fails. What a part no
    longer gets, the parts within it do not get either, so this is repeated.
    """
    fed: dict[str, set[str]] = {}
    for task in _tasks(spec):
        fed.setdefault(task["componentRef"]["name"], set()).update(task.get("inputs", {}).get("artifacts", {}))
    dropped = False
    for name, component in spec.get("components", {}).items():
        known = component.get("inputDefinitions", {}).get("artifacts", {})
        for key in [key for key, one in known.items() if one.get("isOptional") and key not in fed.get(name, set())]:
            inner = component.get("dag", {}).get("tasks", {}).values()
            for task in inner:
                given = task.get("inputs", {}).get("artifacts", {})
                for own in [own for own, where in given.items() if where.get("componentInputArtifact") == key]:
                    del given[own]
                    dropped = True
    return dropped


def _tasks(spec: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for component in (spec["root"], *spec.get("components", {}).values()):
        yield from component.get("dag", {}).get("tasks", {}).values()
