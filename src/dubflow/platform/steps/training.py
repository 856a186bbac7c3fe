"""Steps that train."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from dubflow.errors import WrongUse
from dubflow.platform.pipelines.listening import to_standard_error
from dubflow.platform.steps.artifacts import digest_of, place, work_folder
from dubflow.platform.steps.tracked import remember_run
from dubflow.platform.steps.verbs import begin, run_verb
from dubflow.platform.training_command import launcher_of, training_words
from dubflow.platform.trainjobs import TrainJobSettings, cluster_api, run_train_job, train_job
from dubflow.storage import below

CHECKPOINTS = "DUBFLOW_CHECKPOINTS"
"""Variable with the storage of all trainings' checkpoints, such as ``s3://bucket/prefix``."""


@dataclass(frozen=True)
class Figures:
    """What a step leaves to be looked at.

    Attributes:
        facts: of its artifact. numbers: named, for the run's own page.
    """

    facts: dict[str, Any]
    numbers: dict[str, float] = field(default_factory=dict)

    def write_metrics(self, path: str, log: Callable[[str, float], None]) -> None:
        """Log the numbers, and write them to the artifact's file: a task whose file is missing is never cached."""
        for name, value in self.numbers.items():
            log(name, value)
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        Path(path).write_text(json.dumps(self.numbers, indent=2, sort_keys=True) + "\\n", encoding="utf-8")


def train(
    stage: Literal["tts", "dubber"],
    out: str,
    workspace: str,
    prepared: str,
    codec: str,
    teacher: str,
    preset: str,
    start: str,
    steps: int,
    seed: int,
    nodes: int,
    devices: int,
) -> Figures:
    """``dubflow train`` into the artifact ``out``; goes on where a lost pod left it.

    With several processes on this node torchrun starts them; several nodes are a TrainJob of the cluster.
    """
    root = begin(workspace)
    parts = {
        "prepared": digest_of(Path(prepared)),
        "codec": digest_of(Path(codec)),
        "teacher": digest_of(Path(teacher)) if teacher else "",
        "start": start,
        "preset": preset,
        "steps": steps,
        "seed": seed,
        "processes": nodes * devices,
    }
    folder = work_folder(root, f"train_{stage}", parts)
    words = training_words(
        stage,
        data=prepared,
        codec=codec,
        out=str(folder),
        teacher=teacher,
        preset=preset,
        start=start,
        steps=steps,
        seed=seed,
        nodes=nodes,
        devices=devices,
        mirror=mirror_of(folder),
    )
    if nodes * devices > 1:
        run_verb(*words, "--dry-run")  # what is put wrongly is said at once; torchrun would start it again and again
    if nodes > 1:
        on_nodes(words, nodes, devices)
        answer = run_verb(*words)  # finds it finished, and says what it is
    else:
        answer = run_verb(*words, launcher=launcher_of(nodes, devices))
    place(folder / "model", Path(out))
    remember_run(root, digest_of(folder / "model"), folder)
    numbers = {name: float(answer[name]) for name in ("steps", "clips", "parameters", "wall_s")}
    return Figures({"digest": digest_of(folder / "model"), "stage": stage, "world": "embedded"}, numbers)


def mirror_of(folder: Path) -> str:
    """Where checkpoints of the run in this folder are copied to; nowhere without ``DUBFLOW_CHECKPOINTS``."""
    storage = os.environ.get(CHECKPOINTS, "")
    return below(storage, folder.name) if storage else ""


def on_nodes(words: list[str], nodes: int, devices: int) -> None:
    """Train on several nodes of the cluster, and wait for it.

    Raises:
        WrongUse: ``platform.one_node`` outside of a cluster.
    """
    if "KUBERNETES_SERVICE_HOST" not in os.environ:
        raise WrongUse(
            "platform.one_node", f"This machine is one node, not {nodes}.", "Use devices, or run it on a cluster."
        )
    settings = TrainJobSettings()
    names = ("DUBFLOW_MLFLOW_URI", CHECKPOINTS, "AWS_ENDPOINT_URL", "AWS_REGION")
    environment = {name: os.environ[name] for name in names if name in os.environ}
    job = train_job(words, nodes=nodes, devices=devices, settings=settings, environment=environment)
    run_train_job(job, cluster_api(), poll_s=settings.poll_s, say=to_standard_error)
