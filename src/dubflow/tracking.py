"""Where a long run writes down what happened: numbers by step, sounds, pictures.

Rooms that train log to a :class:`RunLog` and do not know what is behind it. :class:`FolderLog` needs nothing and is
always there; ``registry`` has the one that writes to MLflow.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Protocol


class RunLog(Protocol):
    """One run's record."""

    def parameters(self, values: Mapping[str, str | int | float | bool | None]) -> None:
        """What the run was asked to do; names may have dots."""

    def metrics(self, values: Mapping[str, float], step: int) -> None:
        """Numbers at a step. Logging a step again, after a resumption, replaces nothing and harms nothing."""

    def artifact(self, path: Path, folder: str = "") -> None:
        """Keep a copy of a file under ``folder`` of the run."""


class FolderLog:
    """A run's record as plain files: ``parameters.json``, ``metrics.jsonl`` and copies of artifacts."""

    def __init__(self, root: Path) -> None:
        self.root = Path(root)
        self.root.mkdir(parents=True, exist_ok=True)

    def parameters(self, values: Mapping[str, str | int | float | bool | None]) -> None:
        """Written whole, as JSON."""
        from dubflow.atomic import write_json

        write_json(self.root / "parameters.json", dict(values))

    def metrics(self, values: Mapping[str, float], step: int) -> None:
        """A line of JSON; not a number becomes null."""
        row = {"step": step} | {name: value if value == value else None for name, value in values.items()}
        with (self.root / "metrics.jsonl").open("a", encoding="utf-8") as stream:
            stream.write(json.dumps(row) + "\n")

    def artifact(self, path: Path, folder: str = "") -> None:
        """Copied, unless it lies there already."""
        target = self.root / folder / Path(path).name
        if target.resolve() != Path(path).resolve():
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, target)


class Logs:
    """Several records at once."""

    def __init__(self, logs: Sequence[RunLog]) -> None:
        self.logs = tuple(logs)

    def parameters(self, values: Mapping[str, str | int | float | bool | None]) -> None:
        """To each."""
        for log in self.logs:
            log.parameters(values)

    def metrics(self, values: Mapping[str, float], step: int) -> None:
        """To each."""
        for log in self.logs:
            log.metrics(values, step)

    def artifact(self, path: Path, folder: str = "") -> None:
        """To each."""
        for log in self.logs:
            log.artifact(path, folder)
