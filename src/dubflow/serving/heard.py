"""What a dub of the golden clip sounded like, and whether it is what it should be."""

from __future__ import annotations

import hashlib
import math

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from dubflow.config import Strict
from dubflow.errors import BadInput
from dubflow.judging.edges import speech_edges
from dubflow.speech.durations import FRAME_RATE, SAMPLE_RATE

_EDGES_S = 0.1
_LEVEL_DB = 6.0
_FAINTEST_DB = -60.0


class Heard(Strict):
    """What was heard of the golden clip."""

    engine: str = Field(description="Id of the engine that spoke.")
    samples: int = Field(gt=0, description="At 16 kHz.")
    sha256: str = Field(description="Of the waveform's bytes, float32 little-endian.")
    level_db: float = Field(description="Root mean square, in dB of full scale.")
    start: float = Field(ge=0, description="When speech starts, seconds.")
    end: float = Field(ge=0, description="When it ends, seconds.")


def measure(engine: str, waveform: NDArray[np.float32], frames: int) -> Heard:
    """Measure a waveform ``[640 frames]`` and hold it to the least that speech is.

    Raises:
        BadInput: ``serving.golden_failed``: not finite, of another length, silent, or nothing stands out of it.
    """
    wanted = frames * SAMPLE_RATE // FRAME_RATE
    if waveform.shape != (wanted,):
        raise failed(engine, f"its sound has the shape {waveform.shape}, not ({wanted},)")
    if not bool(np.isfinite(waveform).all()):
        raise failed(engine, "its sound is not finite")
    power = float(np.mean(np.square(waveform, dtype=np.float64)))
    level = 10 * math.log10(power) if power > 0 else -math.inf
    if level < _FAINTEST_DB:
        raise failed(engine, "it is silent")
    edges = speech_edges(waveform)
    if edges is None:
        raise failed(engine, "no speech stands out of its sound")
    content = np.ascontiguousarray(waveform, "<f4").tobytes()
    digest = hashlib.sha256(content).hexdigest()
    return Heard(
        engine=engine, samples=wanted, sha256=digest, level_db=round(level, 2), start=edges.start, end=edges.end
    )


def check_heard(found: Heard, expected: Heard) -> None:
    """Hold what was heard now to what the same version said when it was exported.

    Equal bytes are as expected; so is what differs by no more than a code drawn near a border may make it differ.

    Raises:
        BadInput: ``serving.golden_differs``.
    """
    if found.sha256 == expected.sha256 and found.engine == expected.engine:
        return
    wrong = [
        *([f"it is the engine {found.engine}"] if found.engine != expected.engine else []),
        *([f"{found.samples} samples"] if found.samples != expected.samples else []),
        *([f"{found.level_db:g} dB"] if abs(found.level_db - expected.level_db) > _LEVEL_DB else []),
        *([f"speech from {found.start:.2f} s"] if abs(found.start - expected.start) > _EDGES_S else []),
        *([f"speech to {found.end:.2f} s"] if abs(found.end - expected.end) > _EDGES_S else []),
    ]
    if wrong:
        raise BadInput(
            "serving.golden_differs",
            f"The golden clip is dubbed otherwise than when {expected.engine} was exported: {', '.join(wrong)}.",
            "The server does not speak with the weights that were checked; load the version again.",
            found=found.model_dump(),
            expected=expected.model_dump(),
        )


def failed(engine: str, problem: str) -> BadInput:
    """The refusal of an engine that does not speak."""
    return BadInput(
        "serving.golden_failed",
        f"{engine} dubs the golden clip, and {problem}.",
        "The model is broken: promote another version.",
        engine=engine,
    )
