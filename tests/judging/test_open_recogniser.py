from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from dubflow.errors import BadInput
from dubflow.judging.card.functions import Measured, Unmeasured
from dubflow.judging.card.items import BenchmarkItem, Subject
from dubflow.judging.content import word_error_rate
from dubflow.judging.offline.open_words import OpenWords
from dubflow.judging.open_recogniser import OpenRecogniser
from dubflow.media.encode import write_audio
from dubflow.speech.espeak import EspeakSynthesizer
from judging.conftest import RATE, spoken

pytestmark = pytest.mark.slow

pytest.importorskip("pocketsphinx")
SENTENCES = (
    "The weather was good and the children played in the garden.",
    "I would like to go to the market tomorrow morning.",
)


@pytest.fixture(scope="module")
def recogniser() -> OpenRecogniser:
    return OpenRecogniser()


@pytest.fixture(scope="module")
def sentences(synthesizer: EspeakSynthesizer) -> dict[str, np.ndarray]:
    return {text: spoken(synthesizer, text, variant="m5", pitch=22, rate=150)[0] for text in SENTENCES}


@pytest.fixture(scope="module")
def heard(recogniser: OpenRecogniser, sentences: dict[str, np.ndarray]) -> list[str]:
    return [recogniser.hear(waveform) for waveform in sentences.values()]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory, sentences: dict[str, np.ndarray]) -> Path:
    folder = tmp_path_factory.mktemp("sentences")
    for number, waveform in enumerate(sentences.values()):
        write_audio(folder / f"{number}.wav", waveform, RATE)
    return folder


def test_what_is_said_is_nearer_than_another_sentence(heard: list[str]) -> None:
    assert word_error_rate(SENTENCES, heard).corpus < 0.3  # a voice that it hears well
    assert word_error_rate(SENTENCES, heard[::-1]).corpus > 0.8


def test_neither_what_came_before_nor_level_changes_what_is_heard(
    recogniser: OpenRecogniser, sentences: dict[str, np.ndarray], heard: list[str]
) -> None:
    last, first = sentences[SENTENCES[1]], sentences[SENTENCES[0]]
    assert recogniser.hear(last * np.float32(0.05)) == heard[1]
    assert recogniser.hear(first) == heard[0]
    assert recogniser.id.startswith("open-pocketsphinx-")


def test_silence_is_answered_and_bad_audio_refused(recogniser: OpenRecogniser) -> None:
    assert len(recogniser.hear(np.zeros(RATE, np.float32)).split()) <= 3
    with pytest.raises(BadInput) as caught:
        recogniser.hear(np.zeros((2, 9), np.float32))
    assert caught.value.code == "judging.bad_waveform"


def test_rates_of_clips_as_evaluations_ask(place: Path) -> None:
    judge = OpenWords()
    assert judge.missing() is None
    item = BenchmarkItem(id="a", transcript=SENTENCES[0], language="en")
    right = judge.score(Subject(item, place / "0.wav", {}))
    wrong = judge.score(Subject(item, place / "1.wav", {}))
    for name in ("wer_open", "cer_open"):
        assert isinstance(right[name], Measured)
        assert right[name].value < wrong[name].value
        assert right[name].value == pytest.approx(right[name].over / right[name].under)
    words = len(SENTENCES[0].split())
    assert judge.when_failed(item)["wer_open"] == Measured(1.0, float(words), float(words))


@pytest.mark.parametrize(
    ("text", "language"),
    [(None, "en"), ("", "en"), ("Bonjour à tous.", "fr"), ("bin blue at f two now", "en"), ("Hello there.", None)],
)
def test_what_it_is_not_asked_about(place: Path, text: str | None, language: str | None) -> None:
    item = BenchmarkItem(id="a", transcript=text, language=language)
    for answers in (OpenWords().score(Subject(item, place / "0.wav", {})), OpenWords().when_failed(item)):
        assert set(answers) == {"wer_open", "cer_open"}
        assert all(isinstance(one, Unmeasured) and one.blame == "item" for one in answers.values())
