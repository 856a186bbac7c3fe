"""A planned job in JSON: what a client asks of the front model, and the front of the frontend."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, ValidationError

from dubflow.config import Strict
from dubflow.dubbing.engine import Job
from dubflow.dubbing.planning import PlannedSegment
from dubflow.dubbing.request import DubOptions
from dubflow.dubbing.voice import Voice
from dubflow.errors import BadInput


class AskedSegment(Strict):
    """One segment; see :class:`~dubflow.dubbing.planning.PlannedSegment`."""

    text: str
    first: int = Field(ge=0)
    stop: int = Field(gt=0)
    phonemes: tuple[int, ...] = Field(min_length=1)
    stress: tuple[int, ...]
    notices: tuple[str, ...] = ()


class AskedJob(Strict):
    """A job but for its voice's sound, which goes beside it."""

    format: str = Field("dubflow.asked-job/1", pattern="^dubflow.asked-job/1$")
    clip: Path = Field(description="Path of the clip on the server's machine; its bytes are never sent.")
    frames: int = Field(ge=1)
    segments: tuple[AskedSegment, ...] = Field(min_length=1)
    language: str
    voice_sha256: str = Field(pattern="^[0-9a-f]{64}$", description="Of the voice's file; voices are kept by it.")
    voice_name: str
    oracle: bool
    options: DubOptions


def facts_of(job: Job) -> dict[str, Any]:
    """A job in JSON types."""
    segments = tuple(
        AskedSegment(
            text=one.text,
            first=one.first,
            stop=one.stop,
            phonemes=tuple(one.phonemes.tolist()),
            stress=tuple(one.stress.tolist()),
            notices=one.notices,
        )
        for one in job.segments
    )
    asked = AskedJob(
        clip=Path(job.clip).absolute(),
        frames=job.frames,
        segments=segments,
        language=job.language,
        voice_sha256=job.voice.sha256,
        voice_name=job.voice.name,
        oracle=job.voice.oracle,
        options=job.options,
    )
    return asked.model_dump(mode="json")


def job_of(facts: Any, voice: NDArray[np.float32]) -> Job:
    """What :func:`facts_of` wrote, with its voice's sound ``[N]``.

    Raises:
        BadInput: ``serving.bad_job``.
    """
    try:
        asked = AskedJob.model_validate(facts)
    except ValidationError as error:
        first = error.errors()[0]
        problem = f"{'.'.join(map(str, first['loc'])) or 'job'}: {first['msg']}"
        raise BadInput("serving.bad_job", f"This is no job: {problem}.", "Ask through TritonEngine.") from error
    segments = tuple(
        PlannedSegment(
            one.text,
            one.first,
            one.stop,
            np.array(one.phonemes, np.int64),
            np.array(one.stress, np.int64),
            one.notices,
        )
        for one in asked.segments
    )
    spoken = Voice(voice, asked.voice_sha256, asked.voice_name, asked.oracle)
    return Job(asked.clip, asked.frames, segments, asked.language, spoken, asked.options)
