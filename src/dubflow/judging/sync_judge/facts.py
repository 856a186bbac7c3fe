"""What the small judge of synchrony says of itself, and what pins it; read without loading a network."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, ValidationError

from dubflow.config import Strict
from dubflow.errors import BadInput, missing_extra
from dubflow.judging.card.rows import JudgePin
from dubflow.judging.judge_folder import FACTS, WEIGHTS
from dubflow.judging.phone_judge.facts import TrainedVoice
from dubflow.judging.sync_judge.crops import CUT, RANGE_DB
from dubflow.media.digest import sha256_file

FORMAT: Literal["dubflow.small-sync/1"] = "dubflow.small-sync/1"
PACKAGED = Path(__file__).parents[1] / "weights" / "sync"
"""The judge that comes with the package."""
NEAR_PITCH = 6
"""Voices of one variant whose pitches differ by no more are relatives, not two people (``talkers.voices``)."""

_HINT = "Make one: python tools/judges.py sync OUT."


class SyncSettings(Strict):
    """Figures of the network."""

    dimensions: int = Field(96, ge=8, le=512, description="D.")
    mouth_channels: tuple[int, ...] = Field((24, 40, 64, 96), min_length=1, max_length=4, description="Of its steps.")
    mouth_width: int = Field(128, ge=8, description="Numbers a frame, before frames are joined.")
    sound_channels: tuple[int, ...] = Field((32, 64, 96), min_length=1, max_length=4, description="Of its steps.")
    joined: int = Field(256, ge=8, description="Numbers a window, before the embedding.")
    centred: bool = Field(False, description="Only what differs from a clip's mean counts in its embeddings.")


class SyncFacts(Strict):
    """What stands in ``model.json``."""

    format: Literal["dubflow.small-sync/1"] = FORMAT
    settings: SyncSettings = Field(description="Figures of the network.")
    voices: tuple[TrainedVoice, ...] = Field(description="Voices that it was trained on or chosen by: never judged.")
    languages: tuple[str, ...] = Field(description="ISO 639-1 codes that it was trained in.")
    world: Literal["embedded", "real"] = "embedded"
    steps: int = Field(ge=0, description="Steps of training.")

    def knows_voice(self, voice: Mapping[str, Any]) -> bool:
        """Whether it was trained on, or chosen by, the voice of that ``variant`` and ``pitch``, or a near relative."""
        variant, pitch = voice.get("variant"), voice.get("pitch")
        if not isinstance(pitch, int | float):
            return False
        return any(variant == one.variant and abs(pitch - one.pitch) <= NEAR_PITCH for one in self.voices)


def read_sync_facts(folder: Path = PACKAGED) -> SyncFacts:
    """The facts of a stored judge.

    Raises:
        BadInput: ``judging.weights_missing``, ``judging.unknown_format``, ``judging.bad_judge_facts``.
    """
    path = Path(folder) / FACTS
    if not path.is_file():
        raise BadInput("judging.weights_missing", f"{folder} holds no judge of synchrony (no {FACTS}).", _HINT)
    try:
        content = json.loads(path.read_text("utf-8"))
        found = content.get("format") if isinstance(content, dict) else None
        if found != FORMAT:
            raise BadInput(
                "judging.unknown_format",
                f"{path} is of format {found!r}; this dubflow reads {FORMAT}.",
                "Make the judge again with this version.",
            )
        return SyncFacts.model_validate(content)
    except (OSError, ValueError, ValidationError) as error:
        raise BadInput(
            "judging.bad_judge_facts", f"{path} does not describe a judge: {error}", "Make the judge again."
        ) from error


def sync_digest(folder: Path = PACKAGED) -> str:
    """SHA-256 over those of facts and weights: equal digests judge alike.

    Raises:
        BadInput: ``judging.weights_missing``; ``media.no_permission`` and the like.
    """
    paths = [Path(folder) / name for name in (FACTS, WEIGHTS)]
    for path in paths:
        if not path.is_file():
            raise BadInput("judging.weights_missing", f"{folder} holds no judge of synchrony (no {path.name}).", _HINT)
    return hashlib.sha256("".join(map(sha256_file, paths)).encode()).hexdigest()


def sync_pin(folder: Path = PACKAGED) -> JudgePin:
    """The pin of a judge of synchrony: its digest, and what finds the mouths that it sees.

    Raises:
        WrongUse: ``install.missing_extra``.
        BadInput: ``judging.weights_missing``.
    """
    from dubflow.faces.landmarks import MediaPipeLandmarker

    if find_spec("torch") is None:
        raise missing_extra("torch")
    settings = {"landmarker": MediaPipeLandmarker().id, "cut": CUT, "range_db": RANGE_DB}
    return JudgePin(version="small-sync-1", sha256=sync_digest(folder), settings=settings)
