"""Where a long run writes down what happened: numbers by step, sounds, pictures.

Rooms that train log to a :class:`RunLog` and do not know what is behind it. :class:`FolderLog` needs nothing and is
always there; ``registry`` has the one that writes to MLflow; :class:`Logs` is both.
"""

from __future__ import annotations

import csv
import io
import json
import math
import shutil
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Protocol

from dubflow.atomic import atomic_file, write_json, write_text
from dubflow.errors import BadInput, WrongUse

METRICS = "metrics.jsonl"
PARAMETERS = "parameters.json"


class RunLog(Protocol):
    """One run's record."""

    def parameters(self, values: Mapping[str, str | int | float | bool | None]) -> None:
        """What the run was asked to do; names may have dots."""

    def metrics(self, values: Mapping[str, float], step: int) -> None:
        """Numbers at a step. Logging a step again, after a resumption, replaces nothing and harms nothing."""

    def artifact(self, path: Path, folder: str = "") -> None:
        """Keep a copy of a file under ``folder`` (relative, with slashes) of the run; one of that name is replaced."""


Record = Callable[[Mapping[str, str]], AbstractContextManager[RunLog | None]]
"""Opens a run's record, given the tags to find it by."""


class FolderLog:
    """A run's record as plain files: ``parameters.json``, ``metrics.jsonl`` and copies of artifacts."""

    def __init__(self, root: Path) -> None:
        """Write to ``root``, made if need be; what an earlier part of the run wrote there stays."""
        self.root = Path(root)
        self.root.mkdir(parents=True, exist_ok=True)

    def parameters(self, values: Mapping[str, str | int | float | bool | None]) -> None:
        """Written whole, as JSON, in place of earlier ones."""
        write_json(self.root / PARAMETERS, dict(values))

    def metrics(self, values: Mapping[str, float], step: int) -> None:
        """A line of JSON; what is not finite, for which JSON has no number, is a string: nan, inf or -inf."""
        row = {"step": step} | {name: _written(float(value)) for name, value in values.items()}
        with (self.root / METRICS).open("a+b") as stream:
            # A run that was killed while it wrote leaves half a line; the next row must not be glued to it.
            if stream.tell() and not _ends_with_newline(self.root / METRICS):
                stream.write(b"\n")
            stream.write(json.dumps(row).encode() + b"\n")

    def artifact(self, path: Path, folder: str = "") -> None:
        """Copied, whole or not at all, unless it lies there already.

        Raises:
            WrongUse: ``tracking.bad_folder`` when ``folder`` leads out of the run.
        """
        target = self.root / inside_run(folder) / Path(path).name
        if target.resolve() != Path(path).resolve():
            with atomic_file(target) as part:
                shutil.copyfile(path, part)


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


def read_metrics(path: Path) -> dict[str, dict[int, float]]:
    """What :class:`FolderLog` wrote to ``metrics.jsonl``: for every name, its values by step, in the order of steps.

    Where a resumed run logged a step again, the later value stands. Half a line that a killed run left is passed over.

    Raises:
        BadInput: ``tracking.no_metrics`` when the file is missing or not a record of metrics.
    """
    try:
        lines = Path(path).read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError as error:
        raise BadInput(
            "tracking.no_metrics", f"{path} cannot be read: {error.strerror}.", "Name a run's log."
        ) from error
    found: dict[str, dict[int, float]] = {}
    understood = 0
    for line in lines:
        row = _row(line)
        if row is None:
            continue
        understood += 1
        step, values = row
        for name, value in values.items():
            found.setdefault(name, {})[step] = value
    if lines and not understood:
        raise BadInput("tracking.no_metrics", f"{path} is not a record of metrics.", "Name a run's metrics.jsonl.")
    return {name: dict(sorted(values.items())) for name, values in found.items()}


def write_curves(log: Path, folder: Path) -> tuple[Path, ...]:
    """Tables of what was logged, for tools that draw: ``train/loss`` becomes the column loss of ``train.csv``.

    Rows are steps; a cell is empty where the step has no such number or it is not finite. Names without a slash are in
    ``run.csv``.

    Raises:
        BadInput: as :func:`read_metrics`.
    """
    tables: dict[str, dict[str, dict[int, float]]] = {}
    for name, values in read_metrics(log).items():
        where, slash, column = name.partition("/")
        tables.setdefault(where if slash else "run", {})[column if slash else name] = values
    made = []
    for table, columns in sorted(tables.items()):
        steps = sorted({step for values in columns.values() for step in values})
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(["step", *columns])
        writer.writerows([step, *(_cell(values.get(step)) for values in columns.values())] for step in steps)
        made.append(Path(folder) / f"{table}.csv")
        write_text(made[-1], text.getvalue())
    return tuple(made)


def inside_run(folder: str) -> str:
    """``folder`` unless it leads out of the run.

    Raises:
        WrongUse: ``tracking.bad_folder``.
    """
    if folder.startswith("/") or ".." in folder.split("/") or "\\" in folder:
        raise WrongUse("tracking.bad_folder", f"{folder!r} is not a folder of the run.", "Name one below it.")
    return folder


def _written(value: float) -> float | str:
    return value if math.isfinite(value) else str(value)


def _cell(value: float | None) -> str:
    return "" if value is None or not math.isfinite(value) else repr(value)


def _row(line: str) -> tuple[int, dict[str, float]] | None:
    try:
        content = json.loads(line)
        return int(content.pop("step")), {name: float(value) for name, value in content.items()}
    except (ValueError, TypeError, AttributeError, KeyError):
        return None


def _ends_with_newline(path: Path) -> bool:
    with path.open("rb") as stream:
        stream.seek(-1, 2)
        return stream.read(1) == b"\n"
