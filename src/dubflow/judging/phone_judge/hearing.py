"""What the phone recogniser is shown: the log-mel spectrogram below the recording's loudest moment.

Level is taken out, because a dub may be louder or quieter than what the network was trained on. A recording whose
loudest moment lies below -60 dB of full scale is not raised: near silence stays near silence.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from dubflow.judging.recogniser import checked_waveform
from dubflow.speech.mel import FLOOR_DB, log_mel

RANGE_DB = 70.0
"""What lies further below the loudest moment is not told apart."""
QUIETEST_DB = -60.0
_SCALE_DB = 20.0


def spectrogram(waveform: NDArray[np.float32]) -> NDArray[np.float32]:
    """What the network reads of a 16 kHz mono waveform ``[N]``: ``[80, T]`` in about -2..2, a frame each 12.5 ms.

    Raises:
        BadInput: ``judging.bad_waveform``.
    """
    audio = checked_waveform(waveform)
    level = log_mel(audio)
    if not level.size:
        return level
    loudest = max(_loudest_db(level), QUIETEST_DB)
    if loudest - RANGE_DB < FLOOR_DB:  # so quiet that what lies below the loudest moment was cut off: raise it first
        level, loudest = log_mel(audio * 10 ** (-loudest / 20)), 0.0
    below = np.clip(level - loudest, -RANGE_DB, 0.0)
    scaled: NDArray[np.float32] = ((below + RANGE_DB / 2) / _SCALE_DB).astype(np.float32)
    return scaled


def _loudest_db(level: NDArray[np.float32]) -> float:
    """Level of the loudest frame, all bins together."""
    return float(10 * np.log10(np.power(10.0, level.astype(np.float64) / 10).sum(axis=0).max()))
