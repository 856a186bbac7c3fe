"""The recogniser that comes with the package, on talkers that it never met (rendered here)."""

from __future__ import annotations

import pickle
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import soxr

from dubflow.judging.card.functions import Measured, Unmeasured
from dubflow.judging.card.items import BenchmarkItem, Subject
from dubflow.judging.phone_judge.facts import PACKAGED, read_phone_facts
from dubflow.judging.phone_judge.judge import PhoneWords
from dubflow.judging.phone_judge.rates import phone_errors
from dubflow.judging.phone_judge.recogniser import PhoneRecogniser
from dubflow.media.encode import write_audio
from dubflow.speech.espeak import EspeakSynthesizer, Utterance
from dubflow.speech.voices import Voice
from dubflow.talkers.voices import VOICES

RATE = 16_000
SENTENCES = {
    "en": ("The ferry to the island leaves at a quarter past nine.", "My brother repaired the old wooden chair."),
    "es": ("El barco a la isla sale a las nueve y cuarto.", "Mi hermano arregló la vieja silla de madera."),
    "ru": ("Паром на остров уходит в четверть десятого.", "Мой брат починил старый деревянный стул."),
    "fr": ("Le bateau pour l'île part à neuf heures et quart.", "Mon frère a réparé la vieille chaise en bois."),
    "de": ("Die Fähre zur Insel fährt um Viertel nach neun ab.", "Mein Bruder hat den alten Holzstuhl repariert."),
    "it": ("Il traghetto per l'isola parte alle nove e un quarto.", "Mio fratello ha riparato la vecchia sedia."),
    "el": ("Το πλοίο για το νησί φεύγει στις εννέα και τέταρτο.", "Ο αδελφός μου επισκεύασε την παλιά καρέκλα."),
}
"""Two of each language, none of them of the corpus that it was trained on."""


def held_out() -> list[tuple[str, int]]:
    """Voices of the embedded world of whose variant the recogniser never heard anything."""
    known = {voice.variant for voice in read_phone_facts(PACKAGED).voices}
    return [voice for listed in VOICES.values() for voice in listed if voice[0] not in known]


@pytest.fixture(scope="module")
def recogniser() -> PhoneRecogniser:
    return PhoneRecogniser.open()


@pytest.fixture(scope="module")
def said() -> Iterator[dict[tuple[str, int], Utterance]]:
    """Both sentences of every language, each by another strange voice."""
    strangers = held_out()
    assert len(strangers) >= 4
    with EspeakSynthesizer() as synthesizer:
        spoken = {}
        for place, (language, texts) in enumerate(SENTENCES.items()):
            for number, text in enumerate(texts):
                variant, pitch = strangers[(2 * place + number) % len(strangers)]
                voice = Voice(language=language, variant=variant, pitch=pitch, rate=165)
                spoken[language, number] = synthesizer.synthesize(text, voice)
        yield spoken


def heard_at_16k(utterance: Utterance) -> np.ndarray:
    return soxr.resample(utterance.waveform, utterance.sample_rate, RATE).astype(np.float32)


def phones_of(utterance: Utterance) -> list[str]:
    return [phone.label for phone in utterance.phones if phone.label]


@pytest.mark.parametrize("language", SENTENCES)
def test_right_words_are_nearer_than_wrong_ones(
    recogniser: PhoneRecogniser, said: dict[tuple[str, int], Utterance], language: str
) -> None:
    pair = [said[language, number] for number in (0, 1)]
    wanted, heard = [phones_of(one) for one in pair], [recogniser.hear(heard_at_16k(one)) for one in pair]
    right, wrong = phone_errors(wanted, heard), phone_errors(wanted, heard[::-1])
    assert right.corpus < 0.35
    assert wrong.corpus > right.corpus + 0.35


def test_noise_makes_it_worse_by_degrees(recogniser: PhoneRecogniser, said: dict[tuple[str, int], Utterance]) -> None:
    rng = np.random.default_rng(0)
    wanted, rates = [phones_of(one) for one in said.values()], []
    for snr_db in (np.inf, 5.0, -5.0):
        heard = []
        for one in said.values():
            wave = heard_at_16k(one)
            level = np.sqrt(np.square(wave).mean()) * 10 ** (-snr_db / 20)
            heard.append(recogniser.hear((wave + level * rng.standard_normal(wave.size)).astype(np.float32)))
        rates.append(phone_errors(wanted, heard).corpus)
    assert rates == sorted(rates)
    assert rates[2] > rates[0] + 0.2


def test_neither_order_nor_level_changes_what_is_heard(
    recogniser: PhoneRecogniser, said: dict[tuple[str, int], Utterance]
) -> None:
    waves = [heard_at_16k(said[language, 0]) for language in ("en", "ru", "it")]
    forth = [recogniser.hear(one) for one in waves]
    assert [PhoneRecogniser.open().hear(one) for one in waves[::-1]][::-1] == forth
    quiet = [recogniser.hear(one * np.float32(0.01)) for one in waves]
    assert phone_errors(forth, quiet).corpus < 0.02  # a rounding may tip a frame


@pytest.mark.parametrize("seconds", [0.0, 0.001, 1.0, 4.0])
def test_silence_has_no_phones(recogniser: PhoneRecogniser, seconds: float) -> None:
    samples = round(seconds * RATE)
    assert recogniser.hear(np.zeros(samples, np.float32)) == []
    faint = 1e-4 * np.random.default_rng(0).standard_normal(samples)
    assert len(recogniser.hear(faint.astype(np.float32))) <= 3


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory, said: dict[tuple[str, int], Utterance]) -> Path:
    path = tmp_path_factory.mktemp("said") / "fr.wav"
    write_audio(path, heard_at_16k(said["fr", 0]), RATE)
    return path


def item(**changes: object) -> BenchmarkItem:
    return BenchmarkItem(**{"id": "a", "transcript": SENTENCES["fr"][0], "language": "fr"} | changes)


def test_rates_of_clips_as_evaluations_ask(clip: Path) -> None:
    judge = pickle.loads(pickle.dumps(PhoneWords()))
    assert judge.missing() is None
    assert judge.pin.sha256
    judge.prepare()
    right, wrong = (judge.score(Subject(one, clip, {})) for one in (item(), item(transcript=SENTENCES["fr"][1])))
    assert set(right) == {metric.name for metric in judge.metrics} == {"per", "per_mean"}
    assert isinstance(right["per"], Measured)
    assert right["per"].value == right["per_mean"].value == pytest.approx(right["per"].over / right["per"].under)
    assert right["per"].value < wrong["per"].value - 0.3
    failed = judge.when_failed(item())["per"]
    assert (failed.value, failed.over, failed.under) == (1.0, right["per"].under, right["per"].under)


def trained_voice() -> dict[str, object]:
    return read_phone_facts(PACKAGED).voices[0].model_dump()


@pytest.mark.parametrize(
    "changes",
    [
        {"transcript": None},
        {"transcript": "  "},
        {"transcript": "—"},
        {"language": None},
        {"language": "ja"},
        {"facts": {"voice": trained_voice() if (PACKAGED / "model.json").is_file() else {}}},
    ],
)
def test_what_it_is_not_asked_about(clip: Path, changes: dict) -> None:
    judge = PhoneWords()
    for answers in (judge.score(Subject(item(**changes), clip, {})), judge.when_failed(item(**changes))):
        assert set(answers) == {"per", "per_mean"}
        assert all(isinstance(one, Unmeasured) and one.blame == "item" and one.reason for one in answers.values())


def test_a_voice_that_it_never_met_is_judged(clip: Path) -> None:
    variant, pitch = held_out()[0]
    strange = item(facts={"voice": {"variant": variant, "pitch": pitch, "rate": 170, "pitch_range": 50}})
    assert isinstance(PhoneWords().score(Subject(strange, clip, {}))["per"], Measured)


def test_a_missing_judge_says_so(tmp_path: Path) -> None:
    assert "judging.weights_missing" in str(PhoneWords(tmp_path).missing())
