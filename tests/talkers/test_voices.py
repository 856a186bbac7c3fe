"""Every identity has a voice of its own and keeps it."""

from __future__ import annotations

import pytest

from dubflow.errors import WrongUse
from dubflow.speech.voices import LANGUAGES, variants
from dubflow.talkers.voices import VOICES, voice_of


def test_the_listed_variants_exist_and_no_voice_is_listed_twice() -> None:
    listed = [voice for list_ in VOICES.values() for voice in list_]
    assert len(set(listed)) == len(listed) == 38
    assert {variant for variant, _ in listed} <= set(variants())
    assert not {name for name, _ in VOICES["feminine"]} & {name for name, _ in VOICES["masculine"]}


@pytest.mark.parametrize("presentation", ["feminine", "masculine"])
@pytest.mark.parametrize("seed", [0, 1, 99])
def test_speakers_use_every_listed_voice_before_a_relative_of_one(presentation, seed: int) -> None:
    listed = VOICES[presentation]
    voices = [voice_of(number, presentation, seed) for number in range(3 * len(listed))]
    pairs = [(voice.variant, voice.pitch) for voice in voices]
    assert set(pairs[: len(listed)]) == set(listed)
    assert len(set(pairs)) == len(pairs)


def test_a_voice_depends_on_its_own_number_only() -> None:
    assert voice_of(3, "feminine", 7) == voice_of(3, "feminine", 7)
    assert voice_of(3, "feminine", 7) != voice_of(3, "feminine", 8)


def test_the_voice_stays_the_same_in_every_language() -> None:
    voice = voice_of(0, "masculine", 0)
    spoken = [voice.speaking(language) for language in LANGUAGES]
    assert {one.variant for one in spoken} == {voice.variant}
    assert {(one.pitch, one.pitch_range, one.rate) for one in spoken} == {(voice.pitch, voice.pitch_range, voice.rate)}
    assert [one.language for one in spoken] == list(LANGUAGES)


def test_haste_stays_within_exact_event_times() -> None:
    voice = voice_of(0, "masculine", 0)
    assert voice.speaking("en", 1.2).rate == round(1.2 * voice.rate)
    assert voice.speaking("en", 9.0).rate == 400


def test_negative_numbers_are_refused() -> None:
    with pytest.raises(WrongUse) as caught:
        voice_of(-1, "feminine", 0)
    assert caught.value.code == "talkers.bad_seed"
