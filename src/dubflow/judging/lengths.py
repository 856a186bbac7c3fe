"""Whether a dub is as long as its clip."""

from __future__ import annotations

from dubflow.errors import BadInput
from dubflow.speech.durations import SAMPLE_RATE, SAMPLES_PER_FRAME


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


def duration_error_s(samples: int, reference_samples: int, sample_rate: int = SAMPLE_RATE) -> float:
    """Seconds that a sound is longer than what it is to be as long as; negative: shorter.

    Dur-Err of JUST-DUB-IT's Table 2 is the mean of absolute values over clips (its text does not define it; nothing
    else fits a column in seconds whose smaller values are better).

    Raises:
        BadInput: ``judging.bad_length``.
    """
    if min(samples, reference_samples) < 0 or sample_rate <= 0:
        raise BadInput(
            "judging.bad_length", f"{samples} and {reference_samples} samples at {sample_rate} Hz are no durations."
        )
    return (samples - reference_samples) / sample_rate
