"""Whether a dub is exactly as long as its clip."""

from __future__ import annotations

from dubflow.errors import BadInput
from dubflow.speech.durations import SAMPLES_PER_FRAME


def length_error_samples(samples: int, frames: int) -> int:
    """Samples (16 kHz) that a sound has more than its clip of ``frames`` frames (25 a second); negative: fewer.

    Raises:
        BadInput: ``judging.bad_length``.
    """
    if samples < 0 or frames < 0:
        raise BadInput("judging.bad_length", f"Neither {samples} samples nor {frames} frames may be negative.")
    return samples - SAMPLES_PER_FRAME * frames


def length_error_frames(samples: int, frames: int) -> float:
    """The same in video frames: 0 is exact."""
    return length_error_samples(samples, frames) / SAMPLES_PER_FRAME
