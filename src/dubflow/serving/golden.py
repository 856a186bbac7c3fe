"""The golden clip: two seconds of a drawn head that every version dubs before it may serve.

What it says is measured and compared with what the same version said when it was exported: same request, same seed,
so the sound is the same but for rounding. A version that was never heard is held to the least that speech is.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dubflow.dubbing.engine import Engine, Job
from dubflow.dubbing.jobs import DubTask, plan_task
from dubflow.dubbing.request import SELF, DubOptions, DubRequest, SegmentText
from dubflow.dubbing.voice import read_voice
from dubflow.dubbing.watching import CANCELLED, Stage
from dubflow.errors import BadInput, OurFault
from dubflow.serving.heard import Heard, failed, measure

CLIP = Path(__file__).parent / "material" / "golden.mp4"
"""Made by ``tools/golden_clip.py``; 50 frames of 128 pixels."""
TEXT, LANGUAGE = "lay blue with f five again", "en"
STEPS = 4


def golden_request(clip: Path = CLIP) -> DubRequest:
    """What is asked of every version; ``clip`` is a copy of the clip that a server elsewhere sees."""
    options = DubOptions(steps=STEPS, seed=0, no_face="speak")
    return DubRequest(clip=clip, segments=(SegmentText(text=TEXT),), language=LANGUAGE, reference=SELF, options=options)


def golden_job(clip: Path = CLIP) -> Job:
    """The request, planned; reads the clip.

    Raises:
        BadInput: what the reader says where the clip of this installation is damaged.
    """
    request = golden_request(clip)
    _, plan = plan_task(DubTask(request, clip.with_suffix(".dub.mp4")))
    voice = read_voice(clip, request.options, own=True)
    return Job(clip, plan.frames, plan.segments, request.language, voice, request.options)


@dataclass(frozen=True, eq=False)
class GoldenDub:
    """The golden clip as a version dubs it; ``waveform`` is 16 kHz mono ``[N]``."""

    heard: Heard
    waveform: NDArray[np.float32]
    seconds: float


class Deadline:
    """A watch that stops a job after some seconds."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self._until = time.monotonic() + seconds

    def stage(self, stage: Stage, share: float) -> None:
        """Nobody is told."""

    def stopped(self) -> bool:
        """Whether the time is over."""
        return time.monotonic() > self._until


def dub_golden(engine: Engine[Any], within_s: float = 60.0, job: Job | None = None) -> GoldenDub:
    """Have ``engine`` dub the golden clip, and hold the sound to the least that speech is.

    Args:
        within_s: after which it counts as hanging. job: :func:`golden_job` made earlier, for whoever asks often.

    Raises:
        BadInput: ``serving.golden_failed`` where it is no speech. OurFault: ``serving.golden_late``. What else the
            engine raises.
    """
    job = job or golden_job()
    started, watch = time.monotonic(), Deadline(within_s)
    try:
        (spoken,) = engine.speak([engine.look(job, watch)], watch)
    except BadInput as error:
        if error.code != CANCELLED:
            raise
        raise OurFault(
            "serving.golden_late",
            f"{engine.id} has not dubbed the golden clip within {within_s:g} s.",
            "The server hangs or is overloaded.",
        ) from error
    seconds = time.monotonic() - started
    if len(spoken) != len(job.segments):
        raise failed(engine.id, f"{len(spoken)} segments came back for {len(job.segments)}")
    waveform = spoken[0].waveform
    return GoldenDub(measure(engine.id, waveform, job.segments[0].frames), waveform, seconds)
