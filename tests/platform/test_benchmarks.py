"""Benchmarks of two tiers: one digest a seed, people whom nobody has met, and items that are what they say."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from itertools import pairwise
from pathlib import Path

import pytest

from dubflow.config import load_preset
from dubflow.corpora.manifest import read_manifest
from dubflow.errors import BadInput, WrongUse
from dubflow.judging.card.items import Benchmark
from dubflow.judging.phone_judge.material import voices_in
from dubflow.judging.sync_judge.facts import NEAR_PITCH
from dubflow.media.digest import sha256_file
from dubflow.platform.benchmark_people import (
    STARTER_IDENTITIES,
    STARTER_SEED,
    known_voices,
    most_people,
    person_facts,
    unheard_people,
)
from dubflow.platform.benchmark_plans import SCENES, BenchmarkSettings, language_pairs, plan_tier
from dubflow.platform.benchmarks import BENCHMARK, Built, build_challenging, build_standard, open_benchmark, summary
from dubflow.progress import Silent
from dubflow.speech.espeak import default_synthesizer
from dubflow.speech.voices import LANGUAGES, variants
from dubflow.talkers.performance import plan_of
from dubflow.talkers.scenes import FRAME_RATE, plan_corpus
from dubflow.talkers.scripts import GridCommand, Script
from dubflow.talkers.settings import TalkerSettings

pytestmark = pytest.mark.slow

SMALL = BenchmarkSettings(standard_items=6, challenging_items=10, people=3, size=64, languages=("en", "fr"))


def _bytes(folder: Path) -> dict[str, bytes]:
    files = (path for path in folder.rglob("*") if path.is_file() and path.name != ".lock")
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


@pytest.fixture(scope="module")
def tiers(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Built]:
    home = tmp_path_factory.mktemp("benchmarks")
    return {
        tier: build(home / "benchmarks" / tier, SMALL, workers=1, progress=Silent())
        for tier, build in {"standard": build_standard, "challenging": build_challenging}.items()
    }


@pytest.fixture(params=["standard", "challenging"])
def built(request: pytest.FixtureRequest, tiers: dict[str, Built]) -> Built:
    return tiers[request.param]


@pytest.mark.slow
def test_every_file_is_there_and_is_the_one_that_the_item_names(built: Built) -> None:
    for item in built.benchmark.items:
        assert {"source", "voice"} <= set(item.files)
        for file in item.files.values():
            assert sha256_file(built.folder / file.path) == file.sha256


def test_own_text_is_its_own_reference_and_has_another_clip_for_its_voice(built: Built) -> None:
    rows = {row.id: row for row in read_manifest(built.folder)}
    own = [item for item in built.benchmark.items if item.facts["task"] == "own_text"]
    assert len(own) == len(built.benchmark.items) // 2
    for item in own:
        row = rows[item.id]
        assert item.reference == item.source
        assert item.transcript == row.transcript
        assert item.language == item.source_language == row.language
        assert item.facts["setting"] == "2.0"
        lender = rows[item.facts["voice_clip"]]
        assert lender.speaker == row.speaker
        assert lender.sha256 == item.voice.sha256 != row.sha256
        assert {segment.speaker for segment in lender.segments} == {row.speaker}


def test_translations_have_no_reference_and_say_the_same_in_another_language(built: Built) -> None:
    rows = {row.path: row for row in read_manifest(built.folder)}
    translations = [item for item in built.benchmark.items if item.facts["task"] == "translation"]
    assert translations
    for item in translations:
        assert item.reference is None
        assert item.voice == item.source
        row = rows[item.source.path]
        spoken = plan_of(row).turns[0].script
        assert item.facts["source_transcript"] == row.transcript == spoken.text
        assert item.source_language == spoken.language != item.language
        assert item.tags.language_pair == f"{item.source_language}-{item.language}"
        assert item.facts["code"] == spoken.code
        assert item.transcript != row.transcript
        assert item.id == f"{row.id}_{item.tags.language_pair}"


def test_each_tier_has_its_scenes_in_equal_parts(tiers: dict[str, Built]) -> None:
    found = {tier: Counter(item.tags.difficulty for item in one.benchmark.items) for tier, one in tiers.items()}
    assert found["standard"] == {"standard": 6}
    assert found["challenging"] == dict.fromkeys(SCENES["challenging"], 2)
    for item in tiers["challenging"].benchmark.items:
        assert ("occluder" in item.facts) == (item.tags.difficulty == "occluded")
        assert ("figure" in item.facts) == (item.tags.difficulty == "non_human")
        assert ("seat" in item.facts) == (item.tags.difficulty == "two_speakers")
    for row in read_manifest(tiers["challenging"].folder):
        if "two_speakers" in row.tags:
            plan = plan_of(row)
            assert len(plan.people) == 2
            assert {segment.speaker for segment in row.segments} == {row.speaker}
            assert row.speaker == plan.people[plan.turns[0].person].speaker


def test_same_seed_same_bytes_and_an_interrupted_build_goes_on(tiers: dict[str, Built], tmp_path: Path) -> None:
    first, out = tiers["standard"], tmp_path / "again"
    shutil.copytree(first.folder, out)
    (out / BENCHMARK).unlink()
    row = read_manifest(out).rows[0]
    (out / row.path).unlink()
    again = build_standard(out, SMALL, workers=1, progress=Silent())
    assert again.rendered == 1
    assert again.benchmark == first.benchmark
    assert _bytes(out) == _bytes(first.folder)


def test_a_finished_build_is_found_without_touching_it(built: Built) -> None:
    before = {path: path.stat().st_mtime_ns for path in built.folder.rglob("*") if path.is_file()}
    benchmark, folder = open_benchmark(
        built.benchmark.name, built.folder.parents[1], settings=SMALL, workers=1, progress=Silent()
    )
    assert (benchmark, folder) == (built.benchmark, built.folder)
    assert {path: path.stat().st_mtime_ns for path in before} == before
    assert open_benchmark(str(built.folder), Path()) == (built.benchmark, built.folder)
    assert open_benchmark(str(built.path), Path()) == (built.benchmark, built.folder)


def test_another_seed_is_another_benchmark_and_is_not_mixed_in(tiers: dict[str, Built], tmp_path: Path) -> None:
    other = SMALL.model_copy(update={"seed": 1})
    synthesizer = default_synthesizer()
    plans = {one.seed: plan_tier("standard", one, synthesizer) for one in (SMALL, other)}
    assert not {slot.plan.digest for slot in plans[0]} & {slot.plan.digest for slot in plans[1]}
    assert plan_tier("standard", SMALL, synthesizer) == plans[0]
    folder = tmp_path / "mixed"
    shutil.copytree(tiers["standard"].folder, folder)
    with pytest.raises(WrongUse) as caught:
        build_standard(folder, other, workers=1, progress=Silent())
    assert caught.value.code == "platform.other_benchmark"
    assert _bytes(folder) == _bytes(tiers["standard"].folder)


def test_a_clip_changed_by_somebody_makes_another_digest(tiers: dict[str, Built]) -> None:
    benchmark = tiers["standard"].benchmark
    item = benchmark.items[0]
    changed = item.model_copy(update={"source": item.source.model_copy(update={"sha256": "0" * 64})})
    other = Benchmark(name=benchmark.name, world=benchmark.world, items=(changed, *benchmark.items[1:]))
    assert other.digest != benchmark.digest


def test_what_is_no_benchmark_is_refused(tmp_path: Path) -> None:
    for name in ("standart", str(tmp_path)):
        with pytest.raises(BadInput) as caught:
            open_benchmark(name, tmp_path)
        assert caught.value.code == "judging.no_benchmark"


def test_nobody_in_a_benchmark_has_a_voice_that_was_trained_on(built: Built) -> None:
    trained = {
        (person.voice.variant, person.voice.pitch)
        for plan in plan_corpus(identities=STARTER_IDENTITIES, clips=1, languages=["en"], seed=STARTER_SEED)
        for person in plan.people[:1]
    }
    assert trained == known_voices()
    assert len(trained) == STARTER_IDENTITIES
    heard = {(one.variant, one.pitch) for one in voices_in(read_manifest(built.folder), ("train", "val", "test"))}
    assert heard
    assert not heard & trained
    people = {person_facts(person)["world_person"]: person for person in unheard_people(most_people())}
    for item in built.benchmark.items:
        voice = item.facts["voice"]
        assert (voice["variant"], voice["pitch"]) in heard
        person = people[item.facts["world_person"]]
        assert person_facts(person)["voice"] == voice
        assert person.speaker == item.tags.speaker


def test_all_people_there_are_have_voices_and_faces_of_their_own() -> None:
    people = unheard_people(99)
    assert len(people) == most_people()
    assert [person.speaker for person in people] == [f"b{number}" for number in range(1, len(people) + 1)]
    assert len({(person.voice.variant, person.voice.pitch) for person in people}) == len(people)
    assert {person.voice.variant for person in people} <= set(variants())
    world = plan_corpus(identities=STARTER_IDENTITIES, clips=1, languages=["en"], seed=STARTER_SEED)
    faces = {person.look_seed for plan in world for person in plan.people}
    assert not faces & {person.look_seed for person in people}
    for person in people:
        near = [one for one in known_voices() if one[0] == person.voice.variant]
        assert all(abs(pitch - person.voice.pitch) > NEAR_PITCH for _, pitch in near)
    first = Counter(person.presentation for person in people[:8])
    assert min(first["feminine"], first["masculine"]) >= 3
    assert unheard_people(4) == people[:4]


@pytest.mark.slow
@pytest.mark.parametrize("tier", ["standard", "challenging"])
def test_the_default_tiers_hold_every_language_pair_length_and_speaker(tier: str) -> None:
    settings = BenchmarkSettings()
    slots = plan_tier(tier, settings, default_synthesizer())
    assert len(slots) == settings.items(tier) == {"standard": 48, "challenging": 40}[tier]
    assert Counter(slot.task for slot in slots) == {"own_text": len(slots) // 2, "translation": len(slots) // 2}
    assert len({slot.plan.id for slot in slots}) == len({slot.text.code for slot in slots}) == len(slots)
    translated = [slot for slot in slots if slot.task == "translation"]
    pairs = {(slot.plan.turns[0].script.language, slot.text.language) for slot in translated}
    assert pairs == set(language_pairs(LANGUAGES))
    assert {slot.text.language for slot in slots if slot.task == "own_text"} == set(LANGUAGES)
    each = Counter(slot.speaker.speaker for slot in slots)
    assert len(each) == settings.people
    assert max(each.values()) - min(each.values()) <= 3
    kinds = Counter(slot.plan.kind for slot in slots)
    assert set(kinds) == set(SCENES[tier])
    assert len(set(kinds.values())) == 1
    if tier == "challenging":
        assert {slot.plan.figure for slot in slots} == {"human", "cat", "fox", "robot", "clay"}
        assert {slot.plan.occluder for slot in slots} == {"none", "mask", "microphone", "cup", "hand"}
    assert any(one.speaker == two.speaker and one.task == two.task == "own_text" for one, two in pairwise(slots))


def test_language_pairs_go_through_english_where_it_is_spoken() -> None:
    assert language_pairs(["de", "en", "el"]) == [("en", "de"), ("de", "en"), ("en", "el"), ("el", "en")]
    assert language_pairs(["de", "el"]) == [("de", "el"), ("el", "de")]
    assert language_pairs(["en"]) == []


def test_a_single_language_has_own_text_alone() -> None:
    settings = SMALL.model_copy(update={"languages": ("de",), "standard_items": 4})
    slots = plan_tier("standard", settings, default_synthesizer())
    assert {slot.task for slot in slots} == {"own_text"}
    assert all(isinstance(slot.text, Script) and slot.text.language == "de" for slot in slots)


def test_more_items_than_sentences_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(GridCommand, "draw", classmethod(lambda cls, rng: GridCommand.from_code("bbaf2n")))
    with pytest.raises(WrongUse) as caught:
        plan_tier("standard", SMALL.model_copy(update={"grid_share": 1.0}), default_synthesizer())
    assert caught.value.code == "platform.nothing_new_to_say"


@pytest.mark.parametrize(
    "wrong", [{"languages": ["en", "xx"]}, {"languages": ["en", "en"]}, {"people": 99}, {"people": 1}, {"size": 63}]
)
def test_settings_that_cannot_be_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="validation error"):
        BenchmarkSettings.model_validate(wrong)


def test_the_shipped_preset_is_the_default() -> None:
    assert load_preset("tiny", "benchmark", BenchmarkSettings) == BenchmarkSettings()
    assert BenchmarkSettings().sample_rate == TalkerSettings().sample_rate


def test_a_summary_counts_items(built: Built) -> None:
    counts = summary(built.benchmark)
    assert counts["digest"] == built.benchmark.digest
    assert counts["world"] == "embedded"
    for name in ("tasks", "difficulty", "language_pair", "speaker", "length"):
        assert sum(counts[name].values()) == counts["items"]
    assert json.loads(json.dumps(counts)) == counts
    for row in read_manifest(built.folder):
        assert 2.0 <= row.duration <= 5.0
        assert row.frames == round(row.duration * FRAME_RATE)
