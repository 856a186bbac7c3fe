"""The preset as a training used it: every section, with defaults filled in and what the command line changed."""

from __future__ import annotations

from pathlib import Path

import yaml

from dubflow.atomic import write_text
from dubflow.corpora.prepared import PreparedSet
from dubflow.diflow.nets.settings import NetSettings
from dubflow.diflow.training.task import Task

PRESET = "preset.yaml"


def resolved_preset(task: Task, prepared: PreparedSet, nets: NetSettings) -> str:
    """YAML that ``--preset`` takes: the sections of this training, and ``prepare`` as the data was prepared.

    Args:
        nets: of the network that is trained, with the sizes that the data has.
    """
    sections = {
        "nets": nets.model_dump(mode="json"),
        f"train_{task.stage}": task.settings.model_dump(mode="json"),
        "prepare": prepared.index.preset,
    }
    head = f"# The preset {task.preset}, as stage {task.stage} was trained by it.\n"
    return head + yaml.safe_dump(sections, sort_keys=False, allow_unicode=True)


def write_resolved(task: Task, prepared: PreparedSet, nets: NetSettings, out: Path) -> Path:
    """Write it into the run's folder ``out``; the path."""
    write_text(out / PRESET, resolved_preset(task, prepared, nets))
    return out / PRESET
