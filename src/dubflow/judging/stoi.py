"""STOI: how intelligible degraded speech is beside its clean original (Taal, Hendriks, Heusdens and Jensen, 2011).

The mean correlation of the two's envelopes in fifteen third-octave bands over 384 ms, about 0 to 1; ``extended``
(Jensen and Taal, 2016) decorrelates the bands and stands noise that comes and goes. Computed by ``pystoi`` (MIT). The
level of either recording changes nothing. Both must be on one clock: a dub of another voice has other envelopes and
scores low although every word is clear.
"""

from __future__ import annotations

import warnings

import numpy as np
from numpy.typing import NDArray

from dubflow.errors import BadInput, missing_extra
from dubflow.judging.recogniser import SAMPLE_RATE, checked_waveform

_TOO_FEW = 1e-5
"""What the package answers for less than 384 ms of speech."""


def stoi_score(reference: NDArray[np.float32], degraded: NDArray[np.float32], *, extended: bool = False) -> float:
    """Intelligibility of ``degraded`` beside ``reference``: 16 kHz mono waveforms of one length ``[N]``.

    Raises:
        BadInput: ``judging.bad_waveform``, ``judging.unequal_lengths``, ``judging.nobody_speaks`` for a silent
            reference, ``judging.too_short`` with less than 384 ms within 40 dB of its loudest moment.
        WrongUse: ``install.missing_extra``.
    """
    try:
        import pystoi
    except ImportError as error:
        raise missing_extra("pystoi") from error
    true, other = checked_waveform(reference), checked_waveform(degraded)
    if true.size != other.size:
        raise BadInput(
            "judging.unequal_lengths", f"{true.size} and {other.size} samples are not on one clock.", "Trim or pad one."
        )
    if not true.any():
        raise BadInput("judging.nobody_speaks", "The reference is silent.", "Nothing can be intelligible beside it.")
    if not other.any():
        return 0.0  # envelopes without any movement follow nothing
    # At full level both, so that the package's guards against division by zero never weigh in.
    true, other = true / np.abs(true).max(), other / np.abs(other).max()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        try:
            score = float(pystoi.stoi(true, other, SAMPLE_RATE, extended=extended))
        except (ValueError, IndexError, np.exceptions.AxisError) as error:
            raise _too_short() from error
    if score == _TOO_FEW or not np.isfinite(score):
        raise _too_short()
    return score


def _too_short() -> BadInput:
    return BadInput(
        "judging.too_short", "STOI needs 384 ms of speech in the reference.", "Leave the clip out, and say so."
    )
