"""What the verbs of ``dubflow train`` share: options, changed settings, the run's record and its mirror."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from dubflow.progress import Progress
    from dubflow.tracking import Record, RunLog
    from dubflow.training.resuming import Bring

Out = Annotated[Path, typer.Option(help="Folder of the run; the same folder goes on. The result is its model/.")]
Preset = Annotated[str, typer.Option(help="A shipped preset or a YAML file.")]
Steps = Annotated[int | None, typer.Option(min=1, help="Steps in all; by default the preset's.")]
Seed = Annotated[int | None, typer.Option(min=0, help="Of weights, order and noise; by default the preset's.")]
Track = Annotated[
    str | None,
    typer.Option(help="MLflow's URI, or none; by default DUBFLOW_MLFLOW_URI, or a database beside the run's folder."),
]
Devices = Annotated[int | None, typer.Option(min=1, help="Processes of a node; by default the preset's.")]
Nodes = Annotated[int | None, typer.Option(min=1, help="Nodes, which torchrun or a cluster starts.")]
Strategy = Annotated[str | None, typer.Option(help="With several processes: ddp or fsdp.")]
Mirror = Annotated[
    str | None,
    typer.Option(help="Storage of checkpoints and result, s3://bucket/prefix or file:///folder; goes on from it."),
]


def changed(settings: Any, given: Mapping[str, int | str | None]) -> Any:
    """``settings`` with what the command line gave."""
    from dubflow.config import validated

    changes = {name: value for name, value in given.items() if value is not None}
    return validated(type(settings), settings.model_dump() | changes, "the command line")


@contextmanager
def mirrored_run(out: Path, uri: str | None, progress: Progress) -> Iterator[Bring | None]:
    """With a storage, what brings a checkpoint from it."""
    if uri is None:
        yield None
        return
    from dubflow.platform.mirror import mirrored

    with mirrored(out, uri, progress.note) as mirror:
        yield mirror.bring


def recorded(track: str | None, experiment: str, out: Path, progress: Progress) -> Record | None:
    """What opens the run in MLflow."""
    if track == "none":
        return None
    from dubflow.registry.mlflow_log import open_run

    def opened(tags: Mapping[str, str]) -> AbstractContextManager[RunLog | None]:
        return open_run(track, experiment, out.resolve().name, folder=out, tags=tags, progress=progress)

    return opened
