"""Clips are cut in their silence, into halves of 8k + 1 frames, and refused with a reason where that cannot be."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from dubflow.errors import BadInput
from dubflow.incontext.pairs.engine_parts import SwitchingClip
from dubflow.incontext.pairs.prompts.structure import Prompt
from dubflow.incontext.pairs.splitting import SilenceSplitter, SplitSettings
from dubflow.speech.espeak import default_synthesizer
from dubflow.talkers.scenes import plan_corpus
from dubflow.talkers.settings import TalkerSettings
from dubflow.talkers.soundtrack import soundtrack

RATE = 16_000
SPLIT = SplitSettings.model_validate({"least_frames": 17, "lost_s": 0.0})


def _clip(stretches: list[tuple[float, float]], frames: int) -> SwitchingClip:
    times = np.arange(frames * RATE // 25) / RATE
    spoken = np.zeros(len(times), np.float32)
    for start, end in stretches:
        spoken[(times >= start) & (times < end)] = 0.3
    waveform = (spoken * np.sin(2 * np.pi * 200 * times)).astype(np.float32)
    return SwitchingClip(np.zeros((frames, 2, 2, 3), np.uint8), waveform, RATE)


def _prompt(switch: float) -> Prompt:
    first = {"language": "en", "text": "bin blue", "start": 0.0, "end": round(switch - 0.3, 1)}
    second = {"language": "fr", "text": "pose bleu", "start": round(switch + 0.3, 1), "end": round(switch + 1.5, 1)}
    return Prompt.model_validate({"segments": [first, second]})


@given(
    st.floats(0.35, 0.6),
    st.floats(0.8, 2.0),
    st.floats(0.45, 1.2),
    st.floats(0.8, 2.0),
    st.floats(-0.3, 0.3),
)
@settings(deadline=None, max_examples=20)
def test_the_laws_of_a_cut(lead: float, first: float, pause: float, second: float, away: float) -> None:
    """Halves are 8k + 1 frames, meet at the cut, lie in the clip and keep all speech; the cut is in the silence."""
    speech = [(lead, lead + first), (lead + first + pause, lead + first + pause + second)]
    frames = int((speech[1][1] + 0.4) * 25)
    wanted = round(lead + first + pause / 2 + away, 1)
    split = SilenceSplitter(SPLIT).split(_prompt(wanted), _clip(speech, frames))
    assert split.first.stop == split.second.start
    assert 0 <= split.first.start < split.second.stop <= frames
    for half in (split.first, split.second):
        assert half.frames % 8 == 1
        assert half.frames >= 17
    cut = split.first.stop / 25
    assert speech[0][1] < cut < speech[1][0]
    assert split.first.start / 25 <= speech[0][0]
    assert split.second.stop / 25 >= speech[1][1]
    assert split.figures["cut_s"] == pytest.approx(cut)
    assert split.figures["offset_s"] == pytest.approx(cut - _prompt(wanted).switch_s)  # type: ignore[operator]
    # The longest halves that the clip has room for: nothing is lost beyond 8k + 1.
    assert split.first.start < 8
    assert frames - split.second.stop < 8


def test_it_cuts_in_the_middle_where_it_can() -> None:
    """Ten seconds with silence from 4 to 6: the middle is frame 125, and 121 frames a side stand around it."""
    speech = [(0.2, 4.0), (6.0, 9.7)]
    free = SilenceSplitter(SPLIT).split(_prompt(5.0), _clip(speech, 249))
    assert free.first.stop == 125
    settings = SplitSettings.model_validate({"half_frames": 121})
    equal = SilenceSplitter(settings).split(_prompt(5.0), _clip(speech, 249))
    assert (equal.first.frames, equal.second.frames, equal.first.stop) == (121, 121, 125)


def test_a_little_may_be_lost_where_the_settings_say_so() -> None:
    clip = _clip([(0.0, 1.6), (2.0, 3.5)], 89)
    with pytest.raises(BadInput):
        SilenceSplitter(SPLIT).split(_prompt(1.7), clip)
    lenient = SPLIT.model_copy(update={"lost_s": 0.3})
    split = SilenceSplitter(lenient).split(_prompt(1.7), clip)
    assert 0 < max(split.first.start / 25, 3.5 - split.second.stop / 25) <= 0.32


def test_of_several_silences_the_prompts_is_taken() -> None:
    speech = [(0.3, 1.5), (2.0, 3.2), (3.9, 5.2)]
    clip = _clip(speech, 137)
    cuts = [SilenceSplitter(SPLIT).split(_prompt(switch), clip).first.stop / 25 for switch in (1.7, 3.5)]
    assert 1.5 < cuts[0] < 2.0
    assert 3.2 < cuts[1] < 3.9


def test_the_cut_moves_within_the_silence_rather_than_through_a_word() -> None:
    # The middle is frame 41; the second half would then end at frame 82 and cut the last word, which ends in frame 83.
    speech = [(0.1, 1.4), (1.88, 3.31)]
    split = SilenceSplitter(SPLIT).split(_prompt(1.6), _clip(speech, 84))
    assert split.second.stop >= 83
    assert 1.4 < split.first.stop / 25 < 1.88


@pytest.mark.parametrize(
    ("speech", "frames", "changes", "code"),
    [
        ([], 89, {}, "nobody_speaks"),
        ([(0.3, 1.4)], 89, {}, "no_silence"),
        ([(0.1, 3.3)], 89, {}, "no_silence"),
        ([(0.3, 1.6), (1.75, 3.2)], 89, {}, "no_silence"),
        ([(0.3, 1.4), (4.6, 5.5)], 153, {}, "switch_elsewhere"),
        ([(0.2, 0.5), (1.0, 2.4)], 65, {"half_frames": 33}, "half_too_short"),
        ([(0.2, 1.4), (1.9, 3.2)], 89, {"half_frames": 49}, "half_too_short"),
        ([(0.0, 1.6), (2.0, 3.5)], 89, {"half_frames": 33}, "speech_cut"),
    ],
)
def test_what_cannot_be_cut(speech: list[tuple[float, float]], frames: int, changes: dict[str, Any], code: str) -> None:
    settings = SplitSettings.model_validate({"least_frames": 17, "lost_s": 0.0} | changes)
    with pytest.raises(BadInput) as caught:
        SilenceSplitter(settings).split(_prompt(1.7), _clip(speech, frames))
    assert caught.value.code == f"incontext.{code}"


@pytest.mark.parametrize("changes", [{"half_frames": 120}, {"least_frames": 16}, {"margin_s": 0.2}, {"colour": 1}])
def test_settings_that_contradict_themselves(changes: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        SplitSettings.model_validate(changes)


def test_settings_are_part_of_the_id() -> None:
    longer = SPLIT.model_copy(update={"least_frames": 25})
    assert SilenceSplitter(SPLIT).id != SilenceSplitter(longer).id


def test_talkers_who_switch_are_cut_between_their_turns() -> None:
    """Speech, silence, speech by synthetic voices in seven languages, whose phones' times are known."""
    settings = TalkerSettings(mix={"language_switch": 1.0}, event_share=0.0, switch_gap_s=0.5)
    languages = ("en", "es", "ru", "fr", "de", "it", "el")
    plans = plan_corpus(identities=7, clips=1, languages=languages, seed=8, settings=settings)
    for plan in plans:
        sound = soundtrack(plan, default_synthesizer())
        first, second = sound.turns
        clip = SwitchingClip(np.zeros((sound.frames, 2, 2, 3), np.uint8), sound.waveform, sound.sample_rate)
        split = SilenceSplitter(SPLIT).split(_prompt(round((first.end + second.start) / 2, 1)), clip)
        assert first.end < split.first.stop / 25 < second.start
        assert split.first.start / 25 <= first.start + 0.04
        assert split.second.stop / 25 >= second.end - 0.04
