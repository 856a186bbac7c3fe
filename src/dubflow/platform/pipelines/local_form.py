"""A compiled pipeline as kfp.local runs it."""

from __future__ import annotations

import yaml


def local_form(text: str) -> str:
    """The compiled pipeline without what only a cluster can do, or should: lost pods and their repetition."""
    spec = next(yaml.safe_load_all(text))
    for component in (spec["root"], *spec.get("components", {}).values()):
        for task in component.get("dag", {}).get("tasks", {}).values():
            task.pop("retryPolicy", None)
    # KFP's loader takes a component of the pipeline's own name for the pipeline.
    spec["pipelineInfo"]["name"] += "-run"
    return yaml.safe_dump(spec, sort_keys=True)
