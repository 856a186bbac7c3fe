"""Melody of a dub against the true recording of the same moment: pitch and voicing, frame by frame.

Both must be on one clock (a dub is as long as its clip). Pitch is ``speech.prosody``'s every 12.5 ms. What is only
defined where both are voiced is None where they never are.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dubflow.judging.correlation import correlation
from dubflow.judging.recogniser import SAMPLE_RATE
from dubflow.speech.durations import TOKEN_RATE
from dubflow.speech.prosody import Pitch, pitch

GROSS = 0.2
_FEWEST = 3


@dataclass(frozen=True)
class ProsodyError:
    """Distances of the melodies.

    Attributes:
        f0_correlation: Pearson's, of Hz, where both are voiced; None for fewer than 3 such moments or a flat melody.
        log_f0_rmse: root mean square difference of ln Hz there; None likewise. Times 1731 in cents.
        voicing_error: share of moments whose voicing differs (VDE; Nakatani, Amano, Irino, Ishizuka, Kondo, 2008).
        gross_pitch_error: share of the moments voiced in both that are off by more than 20 % (GPE); None likewise.
        frame_error: share of all moments off in voicing or by more than 20 % (FFE; Chu and Alwan, 2009).
    """

    f0_correlation: float | None
    log_f0_rmse: float | None
    voicing_error: float
    gross_pitch_error: float | None
    frame_error: float


def prosody_error(
    reference: NDArray[np.float32], generated: NDArray[np.float32], sample_rate: int = SAMPLE_RATE
) -> ProsodyError:
    """``generated`` against ``reference``, mono waveforms on one clock; compared over the length of the reference.

    Raises:
        BadInput: ``speech.bad_waveform``.
        WrongUse: ``install.missing_extra``.
    """
    moments = np.arange(len(reference) * TOKEN_RATE // sample_rate) / TOKEN_RATE
    return compare_pitch(pitch(reference, sample_rate, moments), pitch(generated, sample_rate, moments))


def compare_pitch(reference: Pitch, generated: Pitch) -> ProsodyError:
    """The same, of pitch at equal times ``[n]``."""
    total = max(1, len(reference.hz))
    differs = reference.voiced != generated.voiced
    both = reference.voiced & generated.voiced
    true, said = reference.hz[both], generated.hz[both]
    gross = np.abs(said / true - 1) > GROSS
    known = true.size >= _FEWEST
    return ProsodyError(
        f0_correlation=correlation(true, said) if known else None,
        log_f0_rmse=float(np.sqrt(np.square(np.log(said / true)).mean())) if known else None,
        voicing_error=float(differs.sum() / total),
        gross_pitch_error=float(gross.mean()) if known else None,
        frame_error=float((differs.sum() + gross.sum()) / total),
    )
