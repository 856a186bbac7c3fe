from __future__ import annotations

import re

import numpy as np
import pytest

from dubflow.errors import BadInput
from dubflow.judging.equal_error import equal_error_of_table
from dubflow.judging.ge2e import DIMENSIONS, SHORTEST_SAMPLES, Ge2eSpeaker
from dubflow.judging.voice import paired_similarity, similarities
from dubflow.speech.espeak import EspeakSynthesizer
from dubflow.talkers.voices import VOICES

from .conftest import RATE, spoken

pytest.importorskip("resemblyzer")


@pytest.fixture(scope="module")
def encoder() -> Ge2eSpeaker:
    return Ge2eSpeaker()


@pytest.mark.slow
def test_a_voice_is_itself_whatever_it_says(encoder: Ge2eSpeaker, synthesizer: EspeakSynthesizer) -> None:
    first, second = (
        [
            spoken(synthesizer, text, variant=variant)[0]
            for text in ("Place red in q nine again.", "The house by the lake was quiet.")
        ]
        for variant in ("m5", "anika")
    )
    vectors = np.stack([encoder.embed(one) for one in (*first, *second)])
    assert vectors.shape == (4, DIMENSIONS)
    assert np.linalg.norm(vectors, axis=1) == pytest.approx(1)
    assert vectors.min() >= 0
    scores = similarities(vectors, vectors)
    assert min(scores[0, 1], scores[2, 3]) > max(scores[0, 2], scores[0, 3], scores[1, 2], scores[1, 3]) + 0.1
    assert np.array_equal(encoder.embed(first[0]), vectors[0])  # nothing hangs on what was heard before


def test_quiet_recordings_are_raised(encoder: Ge2eSpeaker, commands: dict[str, np.ndarray]) -> None:
    speech = next(iter(commands.values()))
    quiet, quieter = (encoder.embed(np.float32(gain) * speech) for gain in (1e-2, 1e-3))
    assert paired_similarity(quiet[None], quieter[None])[0] > 0.999


def test_the_judge_has_a_name(encoder: Ge2eSpeaker) -> None:
    assert re.fullmatch(r"ge2e-resemblyzer-[\d.]+-[0-9a-f]{16}", encoder.id)


@pytest.mark.parametrize(
    ("waveform", "code"),
    [
        (np.zeros(RATE, np.float32), "judging.nobody_speaks"),
        (np.zeros(SHORTEST_SAMPLES - 1, np.float32), "judging.too_short"),
        (np.zeros((2, RATE), np.float32), "judging.bad_waveform"),
    ],
)
def test_what_has_no_voice(encoder: Ge2eSpeaker, waveform: np.ndarray, code: str) -> None:
    with pytest.raises(BadInput) as caught:
        encoder.embed(waveform)
    assert caught.value.code == code


@pytest.mark.slow
def test_equal_error_on_the_embedded_world(encoder: Ge2eSpeaker, synthesizer: EspeakSynthesizer) -> None:
    """How far SECS may be trusted on talkers: voices of the world's list, other sentences each time."""
    texts = ("Place red in q nine again.", "The house by the lake was quiet.", "Five big ships sail on Sunday.")
    listed = [*VOICES["feminine"][:6], *VOICES["masculine"][:6]]
    who = [f"{variant}-{pitch}" for variant, pitch in listed for _ in texts]
    vectors = np.stack(
        [
            encoder.embed(spoken(synthesizer, text, variant=variant, pitch=pitch)[0])
            for variant, pitch in listed
            for text in texts
        ]
    )
    found = equal_error_of_table(similarities(vectors, vectors), who)
    assert found.rate < 0.1, found
    assert 0.6 < found.threshold < 0.95
