from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
import soxr

from dubflow.speech.espeak import EspeakSynthesizer
from dubflow.speech.voices import Voice

RATE = 16_000


@pytest.fixture(scope="session")
def synthesizer() -> Iterator[EspeakSynthesizer]:
    with EspeakSynthesizer() as one:
        yield one


def spoken(synthesizer: EspeakSynthesizer, text: str, **voice: object) -> tuple[np.ndarray, list]:
    """16 kHz speech in -1..1 and its phones."""
    said = synthesizer.synthesize(text, Voice(**voice))
    return soxr.resample(said.waveform, said.sample_rate, RATE).astype(np.float32), said.phones


@pytest.fixture(scope="session")
def commands(synthesizer: EspeakSynthesizer) -> dict[str, np.ndarray]:
    """Four of GRID's commands."""
    texts = (
        "bin blue at f two now",
        "place red in q nine again",
        "set white with e four soon",
        "lay green by k seven please",
    )
    return {text: spoken(synthesizer, text, rate=160)[0] for text in texts}
