"""PocketSphinx as a judge needs it: audio brought to what it was made for, and nothing carried over.

It was made for human voices at a good level: audio is brought to one peak, silence is put around it and a little noise
is laid under it, or digital silence confuses it. The noise is the same for every utterance, and what the features have
adapted to is forgotten before each, so nothing depends on the order.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from dubflow.errors import missing_extra
from dubflow.judging.content import normalised
from dubflow.judging.recogniser import SAMPLE_RATE, checked_waveform

PEAK = 0.9
PADDING_S = 0.3
NOISE_SIGMA = 60.0
"""Of 16-bit steps."""

_LOUDEST = 32_767


def new_decoder(**settings: Any) -> Any:
    """A decoder with the package's English model that says nothing on the console.

    Raises:
        WrongUse: ``install.missing_extra``.
    """
    try:
        from pocketsphinx import Decoder
    except ImportError as error:
        raise missing_extra("pocketsphinx") from error
    return Decoder(loglevel="FATAL", **settings)


def hear_with(decoder: Any, waveform: NDArray[np.float32], *, noise_seed: int = 0) -> str:
    """Words that a decoder hears in a 16 kHz mono waveform ``[N]`` in -1..1, normalised; empty for none.

    Raises:
        BadInput: ``judging.bad_waveform``.
    """
    audio = checked_waveform(waveform)
    loudest = float(np.abs(audio).max(initial=0.0))
    loud = np.pad(audio * (PEAK / max(loudest, 1e-6)), round(PADDING_S * SAMPLE_RATE)) * _LOUDEST
    noise = np.random.default_rng(noise_seed).normal(0, NOISE_SIGMA, loud.size)
    pcm = np.clip(loud + noise, -_LOUDEST - 1, _LOUDEST).astype(np.int16)
    # Features of a decoder's first utterance differ from those of later ones; here every utterance is the first.
    decoder.reinit_feat()
    decoder.start_utt()
    decoder.process_raw(pcm.tobytes(), full_utt=True)
    decoder.end_utt()
    found = decoder.hyp()
    return normalised(found.hypstr) if found else ""
