"""What the tests of the speech room share."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from dubflow.speech.espeak import EspeakSynthesizer

SENTENCES = Path(__file__).parent / "sentences"


@pytest.fixture(scope="session")
def synthesizer() -> Iterator[EspeakSynthesizer]:
    with EspeakSynthesizer() as owner:
        yield owner


@pytest.fixture(scope="session")
def sentences() -> Callable[[str], list[str]]:
    """The test sentences of a language: letters, numbers, punctuation, rare sounds and foreign words."""
    return lambda language: (SENTENCES / f"{language}.txt").read_text(encoding="utf-8").splitlines()


@pytest.fixture(scope="session")
def read_16k() -> Callable[[Path], np.ndarray]:
    """The sound of any clip as 16 kHz mono."""
    from dubflow.media.decode import read_audio

    return read_audio
