"""Third of DiFlowDubber's three steps: codec tokens into sound, with what is to be said about it."""

from __future__ import annotations

import numpy as np

from dubflow.diflow.inference.sound import waveform_of
from dubflow.dubbing.drawn import DrawnSegment
from dubflow.dubbing.engine import SpokenSegment
from dubflow.speech.codecs import Codec
from dubflow.speech.durations import FRAME_RATE


def voiced(
    codec: Codec, drawn: DrawnSegment, frames: int, face_found: float, notices: tuple[str, ...]
) -> SpokenSegment:
    """The sound of a segment of ``frames`` frames, ``[640 frames]``.

    Args:
        face_found, notices: what the first step found.
    """
    waveform = waveform_of(codec, drawn.tokens, frames)
    edges = np.cumsum(drawn.frame_durations) / FRAME_RATE
    # The first and the last phone are the silences around the text.
    planned = (float(edges[0]), float(edges[-2]))
    crowded = ("there are more phones than frames; some share one",) if drawn.crowded else ()
    return SpokenSegment(waveform, planned, face_found, (*notices, *crowded))
