"""Plans: decided by the seed, growing without change, and every kind is what its name says once it is spoken."""

from __future__ import annotations

import hashlib
from itertools import pairwise

import numpy as np
import pytest

from dubflow.errors import WrongUse
from dubflow.speech.espeak import default_synthesizer
from dubflow.speech.intervals import is_contiguous
from dubflow.speech.voices import LANGUAGES
from dubflow.talkers.events import onset_sample
from dubflow.talkers.look import CREATURES
from dubflow.talkers.performance import perform
from dubflow.talkers.scenes import FRAME_RATE, GRID_FRAMES, ClipPlan, person_of, plan_corpus, split_of
from dubflow.talkers.settings import KINDS, TalkerSettings
from dubflow.talkers.soundtrack import Soundtrack, soundtrack


def _plans(kind: str, count: int = 4, seed: int = 1, **settings) -> list[ClipPlan]:
    return plan_corpus(
        identities=2,
        clips=(count + 1) // 2,
        languages=LANGUAGES,
        seed=seed,
        settings=TalkerSettings(mix={kind: 1.0}, **settings),
    )


def _sound(plan: ClipPlan) -> Soundtrack:
    return soundtrack(plan, default_synthesizer())


def test_equal_arguments_give_equal_plans_and_other_seeds_others() -> None:
    first, again, other = (plan_corpus(identities=3, clips=10, languages=["en", "fr"], seed=seed) for seed in (4, 4, 5))
    assert first == again
    assert [plan.digest for plan in first] == [plan.digest for plan in again]
    assert not {plan.digest for plan in first} & {plan.digest for plan in other}
    assert len({plan.id for plan in first}) == 30


@pytest.mark.parametrize(
    ("settings", "digest"),
    [
        (TalkerSettings(), "1eed9b036600c6f6309becdfd6c8cce85b0ca76e9220cb2f804720de8ddddf0b"),
        (
            TalkerSettings(voices_only=True, salad_share=0.3),
            "cd1cfd5f7047de175eb71378e610cbf037e2b03ed4731d74c653af8964bad6bc",
        ),
    ],
)
def test_plans_are_those_of_the_version_before_there_were_creatures(settings: TalkerSettings, digest: str) -> None:
    known = {"identities": 4, "clips": 12, "languages": ["en", "fr"], "seed": 11}
    arguments = known if settings.voices_only else {"identities": 6, "clips": 20, "languages": LANGUAGES, "seed": 3}
    plans = plan_corpus(**arguments, settings=settings)
    assert hashlib.sha256("".join(plan.digest for plan in plans).encode()).hexdigest() == digest
    assert "non_human" not in TalkerSettings().model_dump()["mix"]  # manifests name the settings they were made with


def test_creatures_come_when_asked_for_and_are_told_by_the_plan() -> None:
    plans = _plans("non_human", count=40)
    assert {plan.figure for plan in plans} == set(CREATURES)
    assert len({plan.digest for plan in plans}) == 40
    assert all(ClipPlan.model_validate_json(plan.model_dump_json()).figure == plan.figure for plan in plans)
    human = plans[0].model_copy(update={"figure": "human"})
    assert "figure" not in human.model_dump()
    assert human.digest != plans[0].digest


def test_a_plan_survives_json() -> None:
    for plan in plan_corpus(identities=2, clips=20, languages=["en", "el"], seed=2):
        again = ClipPlan.model_validate_json(plan.model_dump_json())
        assert again == plan
        assert again.digest == plan.digest


def test_a_corpus_grows_without_touching_what_is_there() -> None:
    small = plan_corpus(identities=2, clips=5, languages=["en", "de"], seed=0)
    large = {plan.id: plan for plan in plan_corpus(identities=5, clips=9, languages=["en", "de"], seed=0)}
    assert all(large[plan.id] == plan for plan in small)


def test_the_mix_is_kept() -> None:
    plans = plan_corpus(identities=8, clips=25, languages=LANGUAGES, seed=3)
    shares = TalkerSettings().mix
    for kind in KINDS:
        assert abs(sum(plan.kind == kind for plan in plans) / len(plans) - shares.get(kind, 0.0)) < 0.03, kind
    assert {turn.script.language for plan in plans for turn in plan.turns} == set(LANGUAGES)
    assert 0.45 < np.mean([plan.is_grid for plan in plans]) < 0.75
    assert 0.15 < np.mean([bool(plan.events) for plan in plans]) < 0.35


def test_grid_salad_and_free_sentences_come_in_the_shares_asked_for() -> None:
    settings = TalkerSettings(grid_share=0.2, salad_share=0.5)
    plans = plan_corpus(identities=10, clips=60, languages=["en"], seed=3, settings=settings)
    salads = sum(plan.turns[0].script.is_salad for plan in plans) / len(plans)
    grid = sum(plan.is_grid for plan in plans) / len(plans)
    assert not any(plan.is_grid and plan.turns[0].script.is_salad for plan in plans)
    assert salads == pytest.approx(0.5, abs=0.07)  # three standard errors of 600 draws
    assert grid == pytest.approx(0.2, abs=0.05)


def test_no_speaker_crosses_splits_and_ten_identities_fill_all_three() -> None:
    plans = plan_corpus(identities=10, clips=12, languages=["en", "ru"], seed=6)
    where: dict[str, set[str]] = {}
    for plan in plans:
        for person in plan.people:
            where.setdefault(person.speaker, set()).add(plan.split)
    assert all(len(splits) == 1 for splits in where.values())
    assert [split_of(k) for k in range(5)] == ["train", "train", "val", "test", "train"]


def test_a_person_is_the_same_in_every_clip() -> None:
    plans = plan_corpus(identities=4, clips=15, languages=LANGUAGES, seed=9)
    people = {person.speaker: person for plan in plans for person in plan.people}
    assert all(person == people[person.speaker] for plan in plans for person in plan.people)
    assert len({person.voice.variant for name, person in people.items() if name.startswith("s")}) == 4
    assert all(person.look().presentation == person.presentation for person in people.values())
    assert person_of(0, 9) == people["s1"]


def test_grid_clips_last_three_seconds() -> None:
    # All of one seed: a sentence too long for its clip would show here.
    for plan in _plans("plain", count=16, grid_share=1.0):
        sound = _sound(plan)
        assert sound.frames == GRID_FRAMES
        assert len(sound.waveform) == 3 * plan.sample_rate
        assert sound.turns[0].start > 0.15
        assert sound.turns[0].end < 3.0 - 0.25


def test_words_and_phones_tile_the_clip() -> None:
    for plan in plan_corpus(identities=2, clips=7, languages=LANGUAGES, seed=8):
        sound = _sound(plan)
        assert is_contiguous(sound.phones_of(), sound.duration)
        words = sound.words()
        assert [word.label for word in words] == [word for turn in plan.turns for word in turn.script.words]
        assert all(a.end <= b.start + 1e-9 for a, b in pairwise(words))
        assert 0 < words[0].start < words[-1].end < sound.duration
        for spoken in sound.turns:
            assert spoken.words[0].start == pytest.approx(spoken.start)
            assert spoken.words[-1].end == pytest.approx(spoken.end)


def test_phones_lie_where_the_sound_is() -> None:
    for plan in _plans("plain", count=6, event_share=0.0):
        sound = _sound(plan)
        rate = sound.sample_rate
        power = np.square(sound.waveform)
        start, end = round(sound.turns[0].start * rate), round(sound.turns[0].end * rate)
        assert power[: start - rate // 50].max(initial=0) < 1e-4
        assert power[end + rate // 50 :].max(initial=0) < 1e-4
        assert power[start:end].mean() == pytest.approx(0.08**2, rel=0.5)


def test_a_language_switch_has_two_halves_and_a_silent_middle() -> None:
    for plan in _plans("language_switch", count=6, event_share=0.0, switch_gap_s=1.2):
        sound = _sound(plan)
        half = sound.frames // 2
        assert sound.frames == 2 * half
        assert (half - 1) % 8 == 0
        before, after = sound.segments(plan)
        middle = half / FRAME_RATE
        assert before.language != after.language
        assert before.speaker == after.speaker
        assert before.end <= middle - 0.6 + 1e-9
        assert after.start >= middle + 0.6 - 1e-9
        rate = sound.sample_rate
        quiet = sound.waveform[round((middle - 0.58) * rate) : round((middle + 0.58) * rate)]
        assert not quiet.any()


def test_two_speakers_take_turns() -> None:
    for plan in _plans("two_speakers", count=6):
        sound = _sound(plan)
        segments = sound.segments(plan)
        assert {segment.speaker for segment in segments} == {person.speaker for person in plan.people}
        assert all(a.end + 0.25 < b.start for a, b in pairwise(segments))
        assert all(a.speaker != b.speaker for a, b in pairwise(segments))
        times = (np.arange(sound.frames) + 0.5) / FRAME_RATE
        for performance in perform(plan, sound):
            silent = np.ones(sound.frames, dtype=bool)
            for spoken in sound.turns:
                if spoken.turn.person == performance.person:
                    silent &= (times < spoken.start - 0.12) | (times > spoken.end + 0.12)
            assert performance.opening[silent].max() < 1e-9
            assert performance.opening[~silent].max() > 0.1


def test_kinds_are_what_they_say() -> None:
    nobody, profile = _plans("no_face")[0], _plans("profile")[0]
    assert perform(nobody, _sound(nobody)) == []
    assert min(abs(pose.yaw) for pose in perform(profile, _sound(profile))[0].poses) > 0.5
    assert all(plan.occluder != "none" for plan in _plans("occluded"))
    assert all(plan.occluder == "none" for plan in _plans("low_light"))


def test_events_sound_from_the_first_sample_of_their_frame() -> None:
    for plan in _plans("plain", count=6, event_share=1.0, seed=5):
        dry = _sound(plan.model_copy(update={"events": ()}))
        mixed = _sound(plan)
        first = onset_sample(plan.events[0].frame, plan.sample_rate, FRAME_RATE)
        # Mixing lowers everything by one factor where the sum would leave -1 to 1.
        spoken = dry.waveform[:first]
        factor = float(mixed.waveform[:first] @ spoken / (spoken @ spoken)) if spoken.any() else 1.0
        assert np.abs(mixed.waveform[:first] - factor * spoken).max() < 1e-6
        assert abs(mixed.waveform[first] - factor * dry.waveform[first]) > 1e-3
        assert plan.events[-1].frame < mixed.frames


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        ({"identities": 0}, "talkers.nothing_to_render"),
        ({"clips": 0}, "talkers.nothing_to_render"),
        ({"languages": []}, "talkers.nothing_to_render"),
        ({"languages": ["en", "xx"]}, "talkers.unknown_language"),
        ({"seed": -1}, "talkers.bad_seed"),
        ({"settings": TalkerSettings(mix={"language_switch": 1.0})}, "talkers.one_language"),
        ({"clips": 4500, "settings": TalkerSettings(mix={"plain": 1.0}, grid_share=0.0)}, "talkers.nothing_new_to_say"),
    ],
)
def test_impossible_corpora_are_refused(arguments, code: str) -> None:
    with pytest.raises(WrongUse) as caught:
        plan_corpus(**{"identities": 1, "clips": 1, "languages": ["en"], "seed": 0, **arguments})
    assert caught.value.code == code


def test_settings_refuse_what_they_do_not_know() -> None:
    too_much = {"grid_share": 0.6, "salad_share": 0.5}
    for wrong in (
        {"mix": {"plain": -1.0}}, {"mix": {}}, {"mix": {"upside_down": 1.0}}, {"size": 63}, {"colour": 1}, too_much,
    ):  # fmt: skip
        with pytest.raises(ValueError, match="validation error"):
            TalkerSettings.model_validate(wrong)
