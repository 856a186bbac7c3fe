"""Every identity has a voice of its own and keeps it."""

from __future__ import annotations

from itertools import pairwise

import pytest

from dubflow.errors import WrongUse
from dubflow.speech.voices import LANGUAGES, variants
from dubflow.talkers.voices import VARIANTS, voice_of, voices_without_repeat


def test_the_listed_variants_exist_and_are_distinct() -> None:
    names = [name for list_ in VARIANTS.values() for name in list_]
    assert len(set(names)) == len(names) == 30
    assert set(names) <= set(variants())


@pytest.mark.parametrize("presentation", ["feminine", "masculine"])
@pytest.mark.parametrize("seed", [0, 1, 99])
def test_speakers_differ_in_variant_or_clearly_in_pitch(presentation, seed: int) -> None:
    count = voices_without_repeat(presentation)
    voices = [voice_of(number, presentation, seed) for number in range(count)]
    first_round = voices[: len(VARIANTS[presentation])]
    assert len({voice.variant for voice in first_round}) == len(first_round)
    for name in VARIANTS[presentation]:
        pitches = sorted(voice.pitch for voice in voices if voice.variant == name)
        assert len(pitches) == count // len(VARIANTS[presentation])
        assert min(b - a for a, b in pairwise(pitches)) >= 7


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
