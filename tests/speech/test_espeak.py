from __future__ import annotations

import hashlib
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from dubflow.errors import BadInput, WrongUse
from dubflow.speech.espeak import EspeakSynthesizer, Utterance, synthesize
from dubflow.speech.intervals import index_at, is_contiguous
from dubflow.speech.inventory import PHONES
from dubflow.speech.voices import LANGUAGES, Voice, accents, has_echo, variants
from dubflow.speech.words import bare_word, speakable

GRID = {
    "en": "bin blue at f two now", "es": "pon azul en efe dos ahora", "ru": "поставь синий у эф два сейчас",
    "fr": "pose bleu à effe deux maintenant", "de": "lege blau bei ef zwei jetzt", "it": "metti blu a effe due adesso",
    "el": "βάλε μπλε στο εφ δύο τώρα",
}  # fmt: skip
VOICES = [
    Voice(language="en"),
    Voice(language="en", variant="f2", rate=140),
    Voice(language="de", variant="m3", pitch=80),
    Voice(language="ru", variant="whisper", pitch_range=90),
]


def digest(utterance: Utterance) -> str:
    content = hashlib.sha256(utterance.waveform.tobytes())
    content.update(repr((utterance.phones, utterance.words, utterance.stresses, utterance.word_indices)).encode())
    return content.hexdigest()


def check_utterance(utterance: Utterance, text: str) -> None:
    assert utterance.sample_rate == 22050
    assert utterance.waveform.dtype == np.float32
    assert np.abs(utterance.waveform).max() <= 1
    assert is_contiguous(utterance.phones, utterance.duration)
    assert not utterance.unknown
    assert {p.label for p in utterance.phones} <= PHONES | {""}
    assert [w.label for w in utterance.words] == [bare_word(token) for token in text.split()]
    assert all(phone.silent or phone.duration > 0.004 for phone in utterance.phones)
    assert len(utterance.phones) == len(utterance.stresses) == len(utterance.word_indices)
    assert all(
        (index == -1) == phone.silent for phone, index in zip(utterance.phones, utterance.word_indices, strict=True)
    )
    spoken = [index for index in utterance.word_indices if index >= 0]
    assert spoken == sorted(spoken)
    for index, word in enumerate(utterance.words):
        own = [p for p, i in zip(utterance.phones, utterance.word_indices, strict=True) if i == index]
        if any(character.isalnum() for character in word.label):
            assert own, f"{word.label!r} of {text!r} has no phones"
        if own:
            assert (word.start, word.end) == (own[0].start, own[-1].end)
        else:
            assert word.duration == 0
    assert all(a.end <= b.start for a, b in zip(utterance.words, utterance.words[1:], strict=False))


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_sentence_is_covered_by_known_phones_and_its_own_words(
    synthesizer: EspeakSynthesizer, sentences: Callable[[str], list[str]], language: str
) -> None:
    texts = sentences(language)
    assert len(texts) >= 20
    for text, utterance in zip(texts, synthesizer.synthesize_all(texts, Voice(language=language)), strict=True):
        check_utterance(utterance, text)
        assert 0.02 < utterance.duration / len(text) < 0.35


@pytest.mark.parametrize("language", LANGUAGES)
def test_command_sentences_have_their_six_words(synthesizer: EspeakSynthesizer, language: str) -> None:
    text = GRID[language]
    utterance = synthesizer.synthesize(text, Voice(language=language))
    check_utterance(utterance, text)
    assert len(utterance.words) == 6
    assert all(word.duration > 0.01 for word in utterance.words)
    assert sum(stress == 1 for stress in utterance.stresses) >= 3


@given(st.text("abceéghijklmnoprstuvwyzßяжщαω 0123456789 .,;:!?-—'\"()[]{}<>/&%$€+", min_size=1, max_size=40))
@settings(deadline=None, max_examples=60, derandomize=True)
def test_any_text_is_covered_or_refused(text: str) -> None:
    for language in ("en", "ru"):
        if speakable(text):
            check_utterance(synthesize(text, Voice(language=language)), text)
        else:
            with pytest.raises(BadInput, match="nothing to speak"):
                synthesize(text, Voice(language=language))


def test_merged_words_get_their_own_phones(synthesizer: EspeakSynthesizer) -> None:
    utterance = synthesizer.synthesize("out of the house in the box for you", Voice())
    spoken = ["".join(p.label for p, i in zip(utterance.phones, utterance.word_indices, strict=True) if i == k) for k in range(9)]  # fmt: skip  # noqa: E501
    assert spoken[1:3] == ["əv", "ðə"]
    assert spoken[4:6] == ["ɪn", "ðə"]
    assert spoken[7:] == ["fɔːɹ", "juː"]


def test_numbers_stay_one_word(synthesizer: EspeakSynthesizer) -> None:
    utterance = synthesizer.synthesize("in 1999 we left", Voice())
    check_utterance(utterance, "in 1999 we left")
    assert utterance.words[1].duration > 1.0


def test_lips_are_silent_while_they_close(synthesizer: EspeakSynthesizer) -> None:
    utterance = synthesizer.synthesize("a puppy, a paper cup, a top cop", Voice())
    for phone in utterance.phones:
        if phone.label in ("p", "k") and phone.start > 0.05:
            first = utterance.waveform[round(phone.start * 22050) :][:200]
            assert np.abs(first).max() == 0


def test_silences_are_silent_and_vowels_are_loud(synthesizer: EspeakSynthesizer) -> None:
    utterance = synthesizer.synthesize("Well, we are; no! Oh, you...", Voice())
    silences = [p for p in utterance.phones if p.silent]
    assert len(silences) >= 5
    for phone in utterance.phones:
        samples = utterance.waveform[round(phone.start * 22050) : round(phone.end * 22050)]
        assert (np.abs(samples).max() == 0) == phone.silent


def test_long_texts_keep_their_positions(synthesizer: EspeakSynthesizer, sentences: Callable[[str], list[str]]) -> None:
    text = " ".join(sentences("en") * 5)
    assert len(text) > 4096
    utterance = synthesizer.synthesize(text, Voice(rate=300))
    check_utterance(utterance, text)
    places = index_at(utterance.words, [utterance.duration * part for part in (0.1, 0.5, 0.9)])
    assert abs(places / len(utterance.words) - [0.1, 0.5, 0.9]).max() < 0.05


def test_same_bytes_whatever_came_before_in_any_order_in_any_process(synthesizer: EspeakSynthesizer) -> None:
    jobs = [(GRID[voice.language], voice) for voice in VOICES] * 2
    straight = [digest(synthesizer.synthesize(*job)) for job in jobs]
    assert straight[:4] == straight[4:]
    assert len(set(straight)) == 4
    with EspeakSynthesizer() as other:
        backwards = [digest(other.synthesize(*job)) for job in reversed(jobs)][::-1]
    assert backwards == straight
    assert [digest(synthesize(*job)) for job in jobs[:4]] == straight[:4]
    batch = synthesizer.synthesize_all([GRID["en"], "something else", GRID["en"]], VOICES[0])
    assert [digest(batch[0]), digest(batch[2])] == [straight[0]] * 2


def test_two_synthesizers_at_once_agree(synthesizer: EspeakSynthesizer) -> None:
    from concurrent.futures import ThreadPoolExecutor

    jobs = [(GRID[language], Voice(language=language, variant=v)) for language in LANGUAGES for v in ("", "f3")]
    expected = [digest(synthesizer.synthesize(*job)) for job in jobs]
    with EspeakSynthesizer() as first, EspeakSynthesizer() as second, ThreadPoolExecutor(4) as pool:
        forth = [pool.submit(first.synthesize, *job) for job in jobs]
        back = [pool.submit(second.synthesize, *job) for job in reversed(jobs)]
        assert [digest(f.result()) for f in forth] == expected
        assert [digest(f.result()) for f in back][::-1] == expected


def test_voices_differ(synthesizer: EspeakSynthesizer) -> None:
    base = Voice()
    others = [{"variant": "m3"}, {"pitch": 90}, {"pitch_range": 0}, {"rate": 250}, {"language": "en-gb-scotland"}]
    sounds = {digest(synthesizer.synthesize(GRID["en"], base.model_copy(update=change))) for change in [{}, *others]}
    assert len(sounds) == 6


def test_rate_stretches_time(synthesizer: EspeakSynthesizer) -> None:
    slow, usual, fast = (synthesizer.synthesize(GRID["en"], Voice(rate=r)).duration for r in (90, 175, 390))
    assert slow > 1.6 * usual > 2.4 * fast


@pytest.mark.parametrize("variant", ["f2", "Marco", "robosoft2"])
def test_closures_are_found_through_an_echo(synthesizer: EspeakSynthesizer, variant: str) -> None:
    assert has_echo(variant)
    text = "a puppy, a paper cup, a top cop"
    plain, echoing = (synthesizer.synthesize(text, Voice(variant=v)) for v in ("", variant))
    check_utterance(echoing, text)
    assert [p.label for p in echoing.phones] == [p.label for p in plain.phones]
    lengths = [[p.duration for p in u.phones if p.label in ("p", "k")] for u in (plain, echoing)]
    assert np.median(np.abs(np.subtract(*lengths))) < 0.015


def test_every_variant_speaks(synthesizer: EspeakSynthesizer) -> None:
    assert len(variants()) > 80
    for variant in variants():
        check_utterance(synthesizer.synthesize("top cop", Voice(variant=variant)), "top cop")


def test_every_accent_speaks(synthesizer: EspeakSynthesizer) -> None:
    assert {"en-gb", "en-us", "es-419", "fr-ch"} <= set(accents())
    for accent in accents():
        check_utterance(synthesizer.synthesize("a no", Voice(language=accent)), "a no")


@pytest.mark.parametrize(
    ("voice", "code"),
    [
        (Voice(variant="nobody"), "speech.unknown_variant"),
        (Voice(language="tlh"), "speech.unknown_language"),
        (Voice(language="ja"), "speech.unknown_language"),
        (Voice(language="EN"), "speech.unknown_language"),
        (Voice(language=""), "speech.unknown_language"),
        (Voice(language="en-xx"), "speech.unknown_language"),
    ],
)
def test_unknown_names_are_refused(synthesizer: EspeakSynthesizer, voice: Voice, code: str) -> None:
    with pytest.raises(WrongUse) as caught:
        synthesizer.synthesize("hello", voice)
    assert caught.value.code == code


@pytest.mark.parametrize(
    "settings", [{"rate": 40}, {"rate": 500}, {"pitch": 100}, {"variant": "../en"}, {"language": "en+f2"}, {"speed": 1}]
)
def test_settings_outside_their_range_are_refused(settings: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        Voice.model_validate(settings)


def test_markup_and_phoneme_brackets_are_read_as_text(synthesizer: EspeakSynthesizer) -> None:
    for text in ("say <b>this</b> now", "say [[h@loU]] now", 'a <audio src="x.wav"/> b'):
        check_utterance(synthesizer.synthesize(text, Voice()), text)


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "espeakng_loader", None)
    with EspeakSynthesizer() as fresh, pytest.raises(WrongUse) as caught:
        fresh._process.request([{"op": "speak", "text": "x", "voice": "en"}])
    assert caught.value.code == "install.missing_extra"
    assert caught.value.details == {"module": "espeakng_loader", "extra": "speech"}


def test_the_engine_never_enters_this_process(synthesizer: EspeakSynthesizer) -> None:
    synthesizer.synthesize("hello", Voice())
    assert "espeak" not in Path("/proc/self/maps").read_text()
    server = synthesizer._process._server
    assert server is not None
    assert len(list(Path(f"/proc/{server.pid}/task").iterdir())) == 1, "a process with threads must not fork"
    assert synthesizer.engine_version.startswith("1.")
