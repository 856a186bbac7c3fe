from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dubflow.errors import BadInput
from dubflow.judging.frame_books import books_of_waveforms, fit_frame_books, spoken_frames
from dubflow.judging.voice import nearest_own, paired_similarity, similarities
from dubflow.speech.codecs.world.analysis import analyse
from dubflow.speech.espeak import EspeakSynthesizer

from .conftest import spoken


@given(st.integers(0, 2**32 - 1), st.integers(2, 8), st.integers(1, 12))
@settings(deadline=None, max_examples=40)
def test_cosines(seed: int, voices: int, width: int) -> None:
    rng = np.random.default_rng(seed)
    references = rng.normal(size=(voices, width))
    scores = similarities(references * rng.uniform(0.1, 9, (voices, 1)), references)
    assert np.diag(scores) == pytest.approx(1)
    assert np.abs(scores).max() <= 1 + 1e-9
    assert similarities(-references, references) == pytest.approx(-similarities(references, references))


def test_who_is_nearest() -> None:
    scores = np.array([[0.9, 0.1, 0.2], [0.5, 0.4, 0.1], [0.3, 0.3, 0.3]])
    assert nearest_own(scores, [0, 1, 2]).tolist() == [True, False, False]  # a tie is no success
    assert nearest_own(scores, [0, 0, 0]).tolist() == [True, True, False]


def test_chance_level() -> None:
    scores = np.random.default_rng(0).normal(size=(4000, 5))
    assert nearest_own(scores, [1] * 4000).mean() == pytest.approx(1 / 5, abs=0.03)


def test_a_vector_of_zeros_is_like_nothing() -> None:
    assert similarities(np.zeros((1, 3)), np.eye(3)).tolist() == [[0, 0, 0]]


@pytest.mark.parametrize(
    ("scores", "own"), [(np.zeros((2, 1)), [0, 0]), (np.zeros((2, 3)), [0]), (np.zeros((1, 2)), [2])]
)
def test_bad_tables_are_refused(scores: np.ndarray, own: list[int]) -> None:
    with pytest.raises(BadInput) as caught:
        nearest_own(scores, own)
    assert caught.value.code == "judging.bad_vectors"


@pytest.mark.parametrize(
    "pair", [(np.zeros(3), np.eye(3)), (np.zeros((1, 2)), np.eye(3)), (np.full((1, 3), np.nan), np.eye(3))]
)
def test_bad_vectors_are_refused(pair: tuple[np.ndarray, np.ndarray]) -> None:
    with pytest.raises(BadInput):
        similarities(*pair)


def test_books_know_voices_by_other_sentences(synthesizer: EspeakSynthesizer) -> None:
    voices = {"one": {"variant": "m5"}, "two": {"variant": "anika"}, "three": {"variant": "Hugo"}}
    enrolled = ["Place red in q nine again.", "We were away a year ago.", "Five big ships sail on Sunday."]
    recordings = {who: [spoken(synthesizer, text, **voice)[0] for text in enrolled] for who, voice in voices.items()}
    books = books_of_waveforms(recordings, seed=1)
    for who, voice in voices.items():
        for text, gain in (("Set white with e four soon.", 1.0), ("The house by the lake was quiet.", 0.3)):
            wave, _ = spoken(synthesizer, text, **voice)
            assert books.nearest(analyse(wave * np.float32(gain))) == who
    again = books_of_waveforms(recordings, seed=1)
    assert all(np.array_equal(a, b) for a, b in zip(books.books, again.books, strict=True))


def test_silence_has_no_voice(synthesizer: EspeakSynthesizer) -> None:
    features = analyse(spoken(synthesizer, "We were away a year ago, you and I.")[0])
    silence = analyse(np.zeros(16_000, np.float32))
    assert len(spoken_frames(silence)) == 0
    with pytest.raises(BadInput) as caught:
        fit_frame_books({"one": [features], "two": [silence]})
    assert caught.value.code == "judging.too_little_speech"
    with pytest.raises(BadInput) as caught:
        fit_frame_books({"one": [features]}).scores(silence)
    assert caught.value.code == "judging.nobody_speaks"


@given(st.integers(0, 2**32 - 1), st.integers(1, 8), st.integers(1, 12))
@settings(deadline=None, max_examples=40)
def test_pairs_are_the_tables_diagonal(seed: int, voices: int, width: int) -> None:
    rng = np.random.default_rng(seed)
    outputs, references = rng.normal(size=(voices, width)), rng.normal(size=(voices, width))
    found = paired_similarity(outputs, references)
    assert found == pytest.approx(np.diag(similarities(outputs, references)))
    assert found == pytest.approx(paired_similarity(references, outputs))
    assert paired_similarity(outputs, 3 * outputs) == pytest.approx(1)


def test_pairs_need_as_many_of_both() -> None:
    with pytest.raises(BadInput) as caught:
        paired_similarity(np.eye(3), np.eye(3)[:2])
    assert caught.value.code == "judging.bad_vectors"
