"""Durations on the two grids of the models: video frames (25 a second) and codec tokens (80 a second).

Rounding each duration by itself lets sums drift from the clip's length (DiFlowDubber, section 3.4.2, leaves this open);
rounding the *cumulative boundaries* instead keeps every boundary within half a unit and the sum exact. A clip of ``F``
frames has ``L = ceil(16 F / 5)`` tokens of 200 samples at 16 kHz; its waveform is ``640 F`` samples, so the last token
may reach past the end and is trimmed.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

import numpy as np
from numpy.typing import ArrayLike, NDArray

from dubflow.errors import BadInput

SAMPLE_RATE = 16_000
FRAME_RATE = 25
TOKEN_RATE = 80
SAMPLES_PER_TOKEN = SAMPLE_RATE // TOKEN_RATE
SAMPLES_PER_FRAME = SAMPLE_RATE // FRAME_RATE


def frames_to_tokens(frames: int) -> int:
    """Tokens of a clip of ``frames`` frames: ``ceil(16 F / 5)`` (DiFlowDubber, appendix B.1)."""
    if frames < 0:
        raise BadInput("speech.negative_frames", f"A clip cannot have {frames} frames.", frames=frames)
    return (16 * frames + 4) // 5


def tokens_to_samples(tokens: int) -> int:
    """Samples at 16 kHz that ``tokens`` tokens decode to, before trimming to the clip."""
    return SAMPLES_PER_TOKEN * tokens


def frames_to_samples(frames: int) -> int:
    """Samples at 16 kHz of a clip of ``frames`` frames; never more than its tokens decode to."""
    return SAMPLES_PER_FRAME * frames


def token_to_frame(token: int) -> int:
    """The frame on the screen when ``token`` starts."""
    return 5 * token // 16


def frame_to_tokens(frame: int) -> tuple[int, int]:
    """Half-open span of the tokens that start within ``frame``; over all frames the spans partition the tokens."""
    return frames_to_tokens(frame), frames_to_tokens(frame + 1)


def spans_to_durations(
    boundaries_s: ArrayLike, total: int, rate: Fraction | float, *, max_drift_s: float = 0.5
) -> NDArray[np.int64]:
    """Durations in whole units of ``n`` contiguous spans, summing to ``total`` exactly.

    Args:
        boundaries_s: ``[n + 1]`` non-decreasing times in seconds; the first is 0.
        total: units of the whole clip (frames or tokens).
        rate: units a second.
        max_drift_s: how far the last boundary may lie from ``total / rate`` before it is an error; the last boundary
            is then set to ``total`` and boundaries beyond it are drawn back to it.

    Returns:
        ``[n]`` non-negative integers; every boundary inside the clip lies within half a unit of where it was.

    Raises:
        BadInput: ``speech.bad_boundaries`` (not finite, not sorted, not from 0, fewer than two),
            ``speech.durations_disagree`` (the last boundary is further than ``max_drift_s`` from the clip's end).
    """
    times = np.asarray(boundaries_s, dtype=np.float64)
    if times.ndim != 1 or times.size < 2 or not np.isfinite(times).all() or times[0] != 0 or (np.diff(times) < 0).any():
        raise BadInput(
            "speech.bad_boundaries",
            "Span boundaries must be at least two finite, non-decreasing times from 0.",
            "Fill gaps and the leading silence first: dubflow.speech.intervals.filled.",
        )
    if total < 0 or rate <= 0:
        raise BadInput("speech.bad_boundaries", f"A clip cannot have {total} units at {rate} a second.")
    drift = abs(times[-1] - float(total / rate))
    if drift > max_drift_s:
        raise BadInput(
            "speech.durations_disagree",
            f"The spans end at {times[-1]:.3f} s, the clip at {float(total / rate):.3f} s.",
            "The alignment and the clip do not belong together, or one of them was cut.",
            drift_s=drift,
        )
    edges = np.floor(times * float(rate) + 0.5).astype(np.int64)
    edges = np.minimum(edges, total)
    edges[-1] = total
    return np.diff(edges)


def frame_durations_to_tokens(frame_durations: Sequence[int] | NDArray[np.int64]) -> NDArray[np.int64]:
    """Token durations ``[n]`` of spans given in frames ``[n]``; they sum to ``frames_to_tokens`` of the frames' sum."""
    durations = np.asarray(frame_durations, dtype=np.int64)
    if (durations < 0).any():
        raise BadInput("speech.negative_frames", "A span cannot have a negative number of frames.")
    edges = np.concatenate([[0], np.cumsum(durations)])
    return np.diff((16 * edges + 4) // 5)


def expand(durations: Sequence[int] | NDArray[np.int64]) -> NDArray[np.int64]:
    """Index of the span that owns each unit: ``[2, 0, 1]`` gives ``[0, 0, 2]``."""
    counts = np.asarray(durations, dtype=np.int64)
    return np.repeat(np.arange(counts.size), counts)
