"""PESQ: perceived quality of speech against its clean original, ITU-T P.862 (2001) and, wide-band, P.862.2 (2005).

MOS-LQO, about 1 (bad) to 4.64 (the same); computed by the ``pesq`` package (MIT), whose published figures it meets. It
was made for telephone codecs: both recordings must say the same thing at the same pace. For dubbing it judges codecs
and vocoders, not dubs of another voice or language.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from dubflow.errors import BadInput, missing_extra
from dubflow.judging.recogniser import SAMPLE_RATE, checked_waveform

LONGEST_S = 15.0
"""P.862's reference code has room for 50 utterances, does not look whether they fit, and takes the process with it
where they do not (50 s of short bursts did). An utterance is 0.2 s or more, and so is a pause."""
SHORTEST_S = 0.25

Band = Literal["wide", "narrow"]


def pesq_score(reference: NDArray[np.float32], degraded: NDArray[np.float32], band: Band = "wide") -> float:
    """MOS-LQO of ``degraded`` against ``reference``: 16 kHz mono waveforms ``[N]``, ``[M]`` in -1..1.

    Raises:
        BadInput: ``judging.bad_waveform``, ``judging.too_short`` (a quarter of a second is the least),
            ``judging.too_long``, ``judging.nobody_speaks`` when the standard finds no utterance in either.
        WrongUse: ``install.missing_extra``.
    """
    try:
        import pesq
    except ImportError as error:
        raise missing_extra("pesq") from error
    true, other = checked_waveform(reference), checked_waveform(degraded)
    if max(true.size, other.size) > LONGEST_S * SAMPLE_RATE:
        raise BadInput(
            "judging.too_long", f"PESQ judges at most {LONGEST_S:g} s at a time.", "Cut the recording at a pause."
        )
    if min(true.size, other.size) < SHORTEST_S * SAMPLE_RATE:
        raise BadInput(
            "judging.too_short", "PESQ needs at least a quarter of a second.", "Leave the clip out, and say so."
        )
    silent = BadInput("judging.nobody_speaks", "PESQ finds no speech in one of the recordings.", "It cannot be judged.")
    if not (true.any() and other.any()):
        raise silent
    try:
        return float(pesq.pesq(SAMPLE_RATE, true, other, "wb" if band == "wide" else "nb"))
    except pesq.NoUtterancesError as error:
        raise silent from error
