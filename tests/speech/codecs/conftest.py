"""Fixtures for the tests of codecs."""

from __future__ import annotations

import pytest

from dubflow.progress import Silent
from dubflow.speech.codecs.world.fitting import Recording, WorldSettings, fit_recordings
from dubflow.speech.espeak import EspeakSynthesizer
from speech.codecs.world_speech import TEXTS, VOICES, World, speak


@pytest.fixture(scope="session")
def world(synthesizer: EspeakSynthesizer) -> World:
    """A minute of eight voices and a small WORLD codec fitted to it."""
    speech = tuple(speak(synthesizer, text, voice) for voice in VOICES for text in TEXTS)
    codec = fit_recordings(
        [Recording(one.voice.variant, one.features) for one in speech],
        seed=3,
        settings=WorldSettings(classes=24, rank=6, iterations=4),
        progress=Silent(),
    )
    return World(speech, codec)
