"""Runs of pipelines as the demo makes them: what is finished is found, and a run that was killed goes on."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dubflow.platform.pipelines.definitions import code_digest, read_pipeline
from dubflow.platform.pipelines.local import WORKSPACE, resume, start
from dubflow.platform.pipelines.records import RunRecord, list_records
from dubflow.platform.pipelines.surroundings import surroundings
from dubflow.platform.steps.champions import champion_folder
from dubflow.platform.steps.judging import latest_verdict
from dubflow.platform.steps.registry_words import champion_of
from dubflow.registry.package.opening import open_package

_ENDED = {"failed": "failed", "cancelled": "was cancelled", "stopped": "was killed"}


@dataclass(frozen=True)
class Released:
    """What a pipeline left in use.

    Attributes:
        run: of the pipeline. model: its name in the registry. version: of the champion. package: its digest.
        folder: of the package. verdict: what the gate said last, with the paths of card and page; None where it has
            said nothing.
    """

    run: RunRecord
    model: str
    version: int
    package: str
    folder: Path
    verdict: dict[str, Any] | None

    def as_dict(self) -> dict[str, Any]:
        """For ``--json``."""
        return {
            "run": self.run.model_dump(mode="json"),
            "champion": {"model": self.model, "version": self.version, "package": self.package},
            "verdict": self.verdict,
        }

    @property
    def card(self) -> Path | None:
        """Folder of the score card of what was trained last."""
        return Path(self.verdict["card"]) if self.verdict else None


def released(pipeline: str, name: str, arguments: dict[str, Any], runs: Path, say: Callable[[str], None]) -> Released:
    """Run ``pipeline`` below ``runs``, to the champion of the model ``name``.

    Raises:
        BadInput, WrongUse, OurFault: what steps raise.
    """
    run = _run(pipeline, arguments, runs, say)
    os.environ.update(surroundings(runs))
    folder = champion_folder(runs / WORKSPACE, "", name)
    package = open_package(folder, [Path(os.environ["DUBFLOW_TRUSTED_KEYS"])])
    champion = champion_of("", name)
    version = champion.version if champion is not None else 0
    return Released(run, name, version, package.digest, folder, _latest(runs / WORKSPACE, name))


def _run(pipeline: str, arguments: dict[str, Any], runs: Path, say: Callable[[str], None]) -> RunRecord:
    """Go on with the last run where it is this one and did not end; else begin one, which finds what was made."""
    definition = read_pipeline(pipeline)
    asked = arguments | {"code": code_digest()}
    last = next((record for record in list_records(runs) if record.pipeline == pipeline), None)
    same = last is not None and all(last.arguments.get(name) == value for name, value in asked.items())
    if last is not None and same and last.state in _ENDED:
        say(f"Going on with the run {last.id}, which {_ENDED[last.state]}")
        return resume(last.id, runs, say)
    return start(definition, asked, runs, say)


def _latest(workspace: Path, name: str) -> dict[str, Any] | None:
    path = latest_verdict(workspace, name)
    found: dict[str, Any] | None = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else None
    return found
