"""One run in an MLflow store: found again or begun, and written to in batches."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypeVar

from pydantic import Field, ValidationError

from dubflow.atomic import write_json
from dubflow.config import Strict
from dubflow.errors import WrongUse
from dubflow.registry.outbox import Point
from dubflow.registry.tracking_store import Store, client_of

if TYPE_CHECKING:
    from mlflow.entities import Run
    from mlflow.tracking import MlflowClient

Status = Literal["RUNNING", "FINISHED", "FAILED", "KILLED"]

RUN_FILE = "mlflow_run.json"
_POINTS_A_CALL, _PAIRS_A_CALL = 1000, 100  # MLflow's own limits
_LONGEST_NAME, _LONGEST_VALUE = 250, 6000
_NOT_IN_NAMES = re.compile(r"[^\w\-./: ]", re.ASCII)

Item = TypeVar("Item")


class RunFile(Strict):
    """``mlflow_run.json`` in a run's folder: which MLflow run it goes on in."""

    format: Literal["dubflow.mlflow_run/1"] = "dubflow.mlflow_run/1"
    run_id: str = Field(pattern=r"^[0-9A-Za-z-]+$", description="MLflow's id of the run.")
    experiment: str = Field(description="Name of its experiment.")
    store: str = Field(description="The tracking URI, without a password.")


@dataclass(frozen=True)
class Wanted:
    """The run that is asked for: where, under which names, with which tags, and the folder it works in."""

    store: Store
    experiment: str
    run_name: str
    folder: Path
    tags: Mapping[str, str]


class RunLink:
    """A run that exists in its store."""

    def __init__(self, client: MlflowClient, run: Run) -> None:
        self._client = client
        self.run_id: str = run.info.run_id
        self._parameters = dict(run.data.params)
        self._logged: dict[str, set[int]] = {
            name: {metric.step for metric in client.get_metric_history(self.run_id, name)} for name in run.data.metrics
        }

    def send_points(self, points: Iterable[Point]) -> None:
        """Log numbers. A name that has a value at that step already keeps it: a resumed training says it again."""
        from mlflow.entities import Metric

        new: dict[tuple[str, int], Metric] = {}
        for point in points:
            name, step = name_for_mlflow(point.name), point.step
            if step not in self._logged.get(name, ()):
                new.setdefault((name, step), Metric(name, point.value, point.time_ms, step))
        for part in _parts(list(new.items()), _POINTS_A_CALL):
            self._client.log_batch(self.run_id, metrics=[metric for _, metric in part])
            for (name, step), _ in part:
                self._logged.setdefault(name, set()).add(step)

    def send_parameters(self, values: Mapping[str, str]) -> None:
        """Log parameters. MLflow never changes one: what a resumption changed becomes a tag ``resumed_with.NAME``."""
        from mlflow.entities import Param

        named = {name_for_mlflow(name): value[:_LONGEST_VALUE] for name, value in values.items()}
        new = {name: value for name, value in named.items() if name not in self._parameters}
        for part in _parts(list(new.items()), _PAIRS_A_CALL):
            self._client.log_batch(self.run_id, params=[Param(name, value) for name, value in part])
            self._parameters.update(part)
        changed = {name: value for name, value in named.items() if self._parameters[name] != value}
        self.send_tags({f"resumed_with.{name}": value for name, value in changed.items()})

    def send_tags(self, values: Mapping[str, str]) -> None:
        """Set tags; earlier values are replaced."""
        from mlflow.entities import RunTag

        for part in _parts([(name_for_mlflow(name), value) for name, value in values.items()], _PAIRS_A_CALL):
            self._client.log_batch(self.run_id, tags=[RunTag(name, value[:_LONGEST_VALUE]) for name, value in part])

    def send_file(self, path: Path, folder: str) -> None:
        """Keep a copy of a file under ``folder`` of the run."""
        self._client.log_artifact(self.run_id, str(path), folder or None)

    def finish(self, status: Status) -> None:
        """Say how it ended; the time is now."""
        self._client.set_terminated(self.run_id, status)


def open_link(wanted: Wanted, note: Callable[[str], None]) -> RunLink:
    """The run that ``wanted.folder`` was working on, or a new one.

    Raises:
        WrongUse: ``registry.experiment_deleted``, and those of :func:`client_of`.
        Exception: whatever MLflow raises when the store cannot be reached.
    """
    client = client_of(wanted.store)
    kept = _kept(wanted.folder, note)
    found = None if kept is None else _resumed(client, kept, note)
    run = client.create_run(_experiment(client, wanted), run_name=wanted.run_name) if found is None else found
    link = RunLink(client, run)
    if found is None:
        file = RunFile(run_id=link.run_id, experiment=wanted.experiment, store=wanted.store.shown)
        write_json(wanted.folder / RUN_FILE, file.model_dump())
        link.send_tags(wanted.tags)
    else:
        client.update_run(link.run_id, status="RUNNING")
        if "error" in run.data.tags:
            client.delete_tag(link.run_id, "error")
        times = int(run.data.tags.get("resumptions", "0")) + 1
        link.send_tags({**wanted.tags, "resumptions": str(times)})
    # An experiment keeps the place it was made with, also when the working folder has moved since.
    if wanted.store.artifacts is not None and not run.info.artifact_uri.startswith(wanted.store.artifacts):
        note(f"MLflow: files of this run go to {run.info.artifact_uri}, as its experiment was made.")
    return link


def name_for_mlflow(name: str) -> str:
    """``name`` as MLflow takes it: other letters become underscores, and it reads as a plain path."""
    parts = _NOT_IN_NAMES.sub("_", name)[:_LONGEST_NAME].split("/")
    return "/".join(part for part in parts if part not in ("", ".", "..")) or "_"


def _kept(folder: Path, note: Callable[[str], None]) -> RunFile | None:
    path = folder / RUN_FILE
    if not path.is_file():
        return None
    try:
        return RunFile.model_validate(json.loads(path.read_text(encoding="utf-8")))
    except (ValueError, ValidationError):
        note(f"MLflow: {path} does not say which run this is; a new one begins.")
        return None


def _resumed(client: MlflowClient, kept: RunFile, note: Callable[[str], None]) -> Run | None:
    from mlflow.exceptions import MlflowException

    try:
        run = client.get_run(kept.run_id)
    except MlflowException as error:
        if error.error_code != "RESOURCE_DOES_NOT_EXIST":
            raise
        note(f"MLflow: run {kept.run_id} is not there (it was in {kept.store}); a new one begins.")
        return None
    if run.info.lifecycle_stage != "active":
        note(f"MLflow: run {kept.run_id} was deleted; a new one begins.")
        return None
    return run


def _experiment(client: MlflowClient, wanted: Wanted) -> str:
    """Id of the experiment, made if there is none."""
    from mlflow.exceptions import MlflowException

    found = client.get_experiment_by_name(wanted.experiment)
    if found is None:
        try:
            return str(client.create_experiment(wanted.experiment, artifact_location=wanted.store.artifacts))
        except MlflowException as error:
            found = client.get_experiment_by_name(wanted.experiment)  # another training made it in between
            if found is None:
                raise error
    if found.lifecycle_stage != "active":
        raise WrongUse(
            "registry.experiment_deleted",
            f"The MLflow experiment {wanted.experiment!r} was deleted.",
            "Take another name, or restore it: mlflow experiments restore.",
        )
    return str(found.experiment_id)


def _parts(items: Sequence[Item], size: int) -> Iterator[Sequence[Item]]:
    for start in range(0, len(items), size):
        yield items[start : start + size]
