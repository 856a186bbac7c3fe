"""What becomes of a run's model once the training is over: score card, evidence, verdict, kept with the run.

The run is the one that ``mlflow_run.json`` in its folder names. It stays as it ended: nothing here opens it again. A
store that does not answer costs a note; what was to be sent then waits in the folder's outbox and goes with the next.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import ValidationError

from dubflow.registry.mlflow_log import OUTBOX
from dubflow.registry.outbox import Outbox, Point
from dubflow.registry.run_link import RUN_FILE, RunFile, RunLink
from dubflow.registry.tracking_store import client_of, store_of

if TYPE_CHECKING:
    from mlflow.tracking import MlflowClient


@dataclass(frozen=True)
class RunFiles:
    """What is to be kept with a run.

    Attributes:
        files: each with its folder of the run; those that are not there are left out.
        numbers: by name, as of step 0. tags: by name.
    """

    files: tuple[tuple[Path, str], ...] = ()
    numbers: Mapping[str, float] | None = None
    tags: Mapping[str, str] | None = None


def files_below(folder: Path, name: str) -> tuple[tuple[Path, str], ...]:
    """All files below ``folder`` for the folder ``name`` of a run, as they lie."""
    found = (path for path in sorted(Path(folder).rglob("*")) if path.is_file() and not path.is_symlink())
    return tuple((path, "/".join((name, *path.relative_to(folder).parts[:-1]))) for path in found)


def run_of(folder: Path) -> str | None:
    """MLflow's id of the run that worked in ``folder``; None where none was tracked."""
    try:
        return RunFile.model_validate(json.loads((Path(folder) / RUN_FILE).read_text(encoding="utf-8"))).run_id
    except (OSError, ValueError, ValidationError):
        return None


def is_there(client: MlflowClient, run: str) -> bool:
    """Whether the store has the run, and nobody deleted it.

    Raises:
        Exception: whatever MLflow raises when the store cannot be reached.
    """
    from mlflow.exceptions import MlflowException

    try:
        return bool(client.get_run(run).info.lifecycle_stage == "active")
    except MlflowException as error:
        if error.error_code == "RESOURCE_DOES_NOT_EXIST":
            return False
        raise


def attach(folder: Path, what: RunFiles, note: Callable[[str], None], *, uri: str | None = None) -> bool:
    """Keep ``what`` with the run that worked in ``folder``; whether the store has it now. Raises nothing.

    Args:
        note: is told what did not go as it should.
        uri: MLflow's tracking URI; None as for :func:`~dubflow.registry.mlflow_log.open_run`.
    """
    run = run_of(folder)
    if run is None:
        note(f"MLflow: no run worked in {folder}; nothing is kept with one.")
        return False
    files = [(path, where) for path, where in what.files if path.is_file()]
    now = int(time.time() * 1000)
    points = [Point(name, value, 0, now) for name, value in (what.numbers or {}).items()]
    outbox = Outbox(Path(folder) / OUTBOX)
    try:
        client = client_of(store_of(uri, Path(folder)))
        if not is_there(client, run):
            note(f"MLflow: run {run} is not there any more; nothing is kept with it.")
            return False
        link = RunLink(client, client.get_run(run))
        _send_waiting(link, outbox)
        link.send_points(points)
        link.send_tags(what.tags or {})
        for path, where in files:
            link.send_file(path, where)
    except Exception as error:
        # Whatever it was, the step that asked goes on; sending a file or number twice does no harm.
        reason = " ".join(str(error).split())[:300]
        note(f"MLflow: what belongs to run {run} could not be sent ({type(error).__name__}: {reason}).")
        _keep(outbox, points, files, note)
        return False
    return True


def _send_waiting(link: RunLink, outbox: Outbox) -> None:
    if not outbox:
        return
    link.send_parameters(outbox.parameters())
    link.send_points(outbox.points())
    for path, where in outbox.files():
        link.send_file(path, where)
    outbox.clear()


def _keep(
    outbox: Outbox, points: Iterable[Point], files: Iterable[tuple[Path, str]], note: Callable[[str], None]
) -> None:
    try:
        outbox.add_points(points)
        for path, where in files:
            outbox.add_file(path, where)
    except OSError as error:
        note(f"MLflow: {outbox.root} takes nothing either ({error.strerror}).")
    else:
        note(f"MLflow: it waits in {outbox.root}.")
