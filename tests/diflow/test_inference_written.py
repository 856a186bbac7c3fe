"""Text that is given is read as text that was learnt."""

from __future__ import annotations

import pytest

from dubflow.diflow.inference.written import written
from dubflow.errors import BadInput, WrongUse
from dubflow.speech.espeak import default_synthesizer
from dubflow.speech.inventory import SILENCE_ID, decode, encode
from dubflow.speech.phonemes import LANGUAGES
from dubflow.talkers.scenes import plan_corpus
from dubflow.talkers.settings import TalkerSettings
from dubflow.talkers.soundtrack import soundtrack


def test_drawn_talkers_say_what_their_text_gives() -> None:
    settings = TalkerSettings(voices_only=True, mix={"plain": 1.0}, grid_share=0.5)
    plans = plan_corpus(identities=7, clips=4, languages=LANGUAGES, seed=3, settings=settings)
    assert {plan.turns[0].script.language for plan in plans} == set(LANGUAGES)
    for plan in plans:
        sound = soundtrack(plan, default_synthesizer())
        (turn,) = sound.turns
        phonemes, stress = written(turn.turn.script.text, turn.turn.script.language)
        # The very rows that prepare makes of a clip whose phone times are given.
        assert decode(phonemes) == [phone.label for phone in sound.phones_of()]
        assert stress.tolist() == list(sound.stresses())


def test_the_letter_a_of_a_command_is_a_letter() -> None:
    letter, article = (decode(written(text, "en")[0]) for text in ("lay red with a three now", "red with a three"))
    assert "eɪ" in letter[6:]
    assert "ɐ" not in letter
    assert "ɐ" in article


def test_silence_stands_around_and_at_a_comma_once() -> None:
    phonemes, stress = written("Red, now. Blue", "en")
    silent = phonemes == SILENCE_ID
    assert silent[0]
    assert silent[-1]
    assert silent.sum() == 4
    assert not (silent[1:] & silent[:-1]).any()
    assert not stress[silent].any()
    assert phonemes[1:4].tolist() == encode(["ɹ", "ɛ", "d"]).tolist()


@pytest.mark.parametrize("text", ["", "   ", "...", "♪"])
def test_what_has_no_sound_is_refused(text: str) -> None:
    with pytest.raises(BadInput) as caught:
        written(text, "en")
    assert caught.value.code == "diflow.nothing_to_say"


def test_unknown_languages_are_refused() -> None:
    with pytest.raises(WrongUse) as caught:
        written("hallo", "xx")
    assert caught.value.code == "speech.unknown_language"
