"""The engine sees what training saw, speaks for exactly the frames it was given, and refuses what it never learnt."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from corpora.samples import pictures, tone
from dubbing.room import FRAMES, PREPARE, Room
from dubflow.corpora.manifest import CorpusManifest
from dubflow.corpora.prepare import prepare_corpus
from dubflow.corpora.prepared import PreparedSet
from dubflow.diflow.stored import FACTS
from dubflow.dubbing.diflow_engine import DiflowEngine
from dubflow.dubbing.engine import Job
from dubflow.dubbing.planning import plan_segments
from dubflow.dubbing.request import DubOptions, SegmentText
from dubflow.dubbing.voice import read_voice
from dubflow.dubbing.watching import UNWATCHED
from dubflow.errors import BadInput
from dubflow.media.encode import write_clip
from dubflow.progress import Silent

QUICK = DubOptions(steps=2)
LENGTH = Fraction(FRAMES, 25)


def job_of(
    clip: Path, texts: list[SegmentText], seconds: Fraction | int = LENGTH, options: DubOptions = QUICK, **voice: Path
) -> Job:
    plan = plan_segments(texts, "en", Fraction(seconds), options)
    return Job(clip, plan.frames, plan.segments, "en", read_voice(voice.get("voice", clip), options), options)


def whole(text: str) -> list[SegmentText]:
    return [SegmentText(text=text)]


@pytest.mark.slow
def test_features_are_those_of_the_prepared_set(room: Room, engine: DiflowEngine, tmp_path: Path) -> None:
    row = room.row()
    small = CorpusManifest(room.corpus.header, [row], tmp_path / "corpus")
    small.media_path(row).parent.mkdir(parents=True)
    shutil.copyfile(room.talker(), small.media_path(row))
    small.write()
    prepare_corpus(small.root, tmp_path / "set", PREPARE, codec=engine.model.codec(), workers=1, report=Silent())
    prepared = PreparedSet(tmp_path / "set")
    assert prepared.index.extractors == engine.model.facts.extractors
    arrays = prepared[row.id]
    (seen,) = engine.look(job_of(room.talker(), whole(row.transcript or ""), 3), UNWATCHED).segments
    assert np.array_equal(seen.clip.lips, arrays["lip"])
    assert np.array_equal(seen.clip.face, arrays["face"])
    assert np.array_equal(seen.clip.speaker, arrays["speaker"])
    assert np.array_equal(seen.clip.phonemes, arrays["phones"])
    assert np.array_equal(seen.clip.stress, arrays["stress"])
    assert seen.face_found == arrays["face_found"].mean() == 1


def test_a_segment_is_seen_through_its_own_frames(room: Room, engine: DiflowEngine) -> None:
    texts = [SegmentText(text="red", start=0.2, end=0.5), SegmentText(text="blue", start=0.7, end=1.1)]
    all_of_it = engine.look(job_of(room.clip(), whole("red")), UNWATCHED).segments[0].clip.lips
    job = job_of(room.clip(), texts)
    seen = engine.look(job, UNWATCHED)
    for part, segment in zip(seen.segments, job.segments, strict=True):
        assert np.array_equal(part.clip.lips, all_of_it[segment.first : segment.stop])
    (spoken,) = engine.speak([seen], UNWATCHED)
    assert [len(one.waveform) for one in spoken] == [640 * segment.frames for segment in job.segments]
    for one, segment in zip(spoken, job.segments, strict=True):
        assert one.planned is not None
        assert 0 < one.planned[0] < one.planned[1] < segment.frames / 25


def test_a_clip_is_spoken_alike_again_and_in_company(room: Room, engine: DiflowEngine) -> None:
    job = job_of(room.clip(), whole("place it"))
    first = engine.look(job, UNWATCHED)
    other = replace(first, options=QUICK.model_copy(update={"seed": 1}))
    longer = replace(first, options=QUICK.model_copy(update={"steps": 3}))
    together = [group[0].waveform for group in engine.speak([first, other, first, longer], UNWATCHED)]
    ((alone,),), ((again,),) = engine.speak([first], UNWATCHED), engine.speak([first], UNWATCHED)
    assert np.array_equal(alone.waveform, again.waveform)
    size = np.abs(alone.waveform).mean()
    assert size > 1e-3
    for number in (0, 2):  # a draw on a code's border may fall to either side; see tests/diflow/test_inference.py
        assert np.abs(alone.waveform - together[number]).mean() < 0.1 * size
    assert np.abs(alone.waveform - together[1]).mean() > 0.1 * size


def test_a_clip_without_a_face_is_refused_or_spoken(room: Room, engine: DiflowEngine, tmp_path: Path) -> None:
    clip = tmp_path / "square.mp4"
    write_clip(clip, pictures(25, 1), Fraction(25), tone(1.0, 200), 16_000)
    with pytest.raises(BadInput) as caught:
        engine.look(job_of(clip, whole("red"), 1, voice=room.clip()), UNWATCHED)
    assert caught.value.code == "dubbing.no_face"
    speaking = QUICK.model_copy(update={"no_face": "speak"})
    seen = engine.look(job_of(clip, whole("red"), 1, speaking, voice=room.clip()), UNWATCHED)
    ((spoken,),) = engine.speak([seen], UNWATCHED)
    assert spoken.face_found == 0
    assert "0 %" in spoken.notices[0]
    assert spoken.waveform.shape == (16_000,)


def test_a_face_that_goes_away_is_told(room: Room, engine: DiflowEngine, tmp_path: Path) -> None:
    from dubflow.media.decode import read_clip

    frames = read_clip(room.clip(), audio=False).frames
    assert frames is not None
    clip = tmp_path / "gone.mp4"
    covered = frames.copy()
    covered[17:] = 90
    write_clip(clip, covered, Fraction(25))
    texts = [SegmentText(text="red", start=0.0, end=0.4), SegmentText(text="blue", start=0.9, end=1.2)]
    with pytest.raises(BadInput) as caught:
        engine.look(job_of(clip, texts, voice=room.clip()), UNWATCHED)
    assert caught.value.code == "dubbing.no_face"
    assert caught.value.details["face_found"] < 0.5
    speaking = QUICK.model_copy(update={"no_face": "speak"})
    seen = engine.look(job_of(clip, texts, options=speaking, voice=room.clip()), UNWATCHED)
    assert [bool(one.notices) for one in seen.segments] == [False, True]


@pytest.mark.parametrize("changed", ["landmarker", "lip", "face", "phonemes"])
def test_other_extractors_are_refused(room: Room, tmp_path: Path, changed: str) -> None:
    folder = shutil.copytree(room.model, tmp_path / "model")
    facts = json.loads((folder / FACTS).read_text())
    facts["extractors"][changed] = "another"
    (folder / FACTS).write_text(json.dumps(facts))
    with pytest.raises(BadInput) as caught:
        DiflowEngine.open(folder)
    assert caught.value.code == "dubbing.extractors_differ"
    assert changed in caught.value.headline


def test_settings_of_its_features_come_with_the_model(room: Room, tmp_path: Path) -> None:
    folder = shutil.copytree(room.model, tmp_path / "model")
    facts = json.loads((folder / FACTS).read_text())
    facts["prepare"]["min_face_px"] = 31
    (folder / FACTS).write_text(json.dumps(facts))
    with pytest.raises(BadInput) as caught:
        DiflowEngine.open(folder)
    assert caught.value.code == "dubbing.extractors_differ"
    facts["prepare"]["surprise"] = 1
    (folder / FACTS).write_text(json.dumps(facts))
    with pytest.raises(BadInput) as caught:
        DiflowEngine.open(folder)
    assert caught.value.code == "config.bad_preset"
