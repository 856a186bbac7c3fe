"""The judge that the package carries, on people whom it never saw (embedded world)."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from dubflow.judging.card.functions import Measured
from dubflow.judging.card.items import BenchmarkItem, Subject, item_file
from dubflow.judging.offline import looking
from dubflow.judging.offline.looking import look
from dubflow.judging.offline.picture import FaceJudge
from dubflow.judging.sync_judge.crops import mouth_crops
from dubflow.judging.sync_judge.encoder import SmallSync
from dubflow.judging.sync_judge.judge import SmallSyncJudge
from dubflow.judging.sync_judge.material import SyncClip
from dubflow.judging.sync_judge.measure import SHIFTS, accuracy, conditions, moved
from dubflow.media.decode import read_audio

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def clips(strangers: Path) -> list[SyncClip]:
    found = []
    for number in range(3):
        path = strangers / f"{number}.mp4"
        seen = look(path)
        assert seen is not None
        found.append(SyncClip(str(number), f"s{number}", "en", mouth_crops(seen.frames, seen.track), read_audio(path)))
    return found


@pytest.fixture(scope="module")
def judge() -> SmallSync:
    return SmallSync.open()


def test_the_offset_follows_the_sound(judge: SmallSync, clips: list[SyncClip]) -> None:
    found = accuracy(judge, clips, SHIFTS)
    assert found.within_one >= 0.95
    assert found.exact >= 0.9
    for clip in clips:
        offsets = [judge.score(clip.crops, moved(clip.waveform, late)).offset for late in (-5, 0, 5)]
        assert np.diff(offsets).tolist() == [-5, -5]


def test_the_order_of_conditions(judge: SmallSync, clips: list[SyncClip]) -> None:
    scores = conditions(judge, clips)
    true = scores["true"]
    for name in ("other_speaker", "noise", "silence"):
        assert scores[name].confidence < true.confidence / 2, name
        assert scores[name].distance > true.distance + 0.1, name
    assert true.distance < scores["late_6"].distance < scores["noise"].distance
    assert scores["late_6"].confidence < true.confidence


def test_the_same_again(judge: SmallSync, clips: list[SyncClip]) -> None:
    one = clips[0]
    assert judge.score(one.crops, one.waveform) == SmallSync.open().score(one.crops, one.waveform)


def test_worse_pictures_cost_confidence_and_not_the_offset(judge: SmallSync, clips: list[SyncClip]) -> None:
    rng = np.random.default_rng(0)
    for one in clips:
        dark = (one.crops * 0.25).astype(np.uint8)
        grainy = np.clip(one.crops + rng.normal(0, 8, one.crops.shape), 0, 255).astype(np.uint8)
        covered = one.crops.copy()
        covered[:, :, :24] = 30
        clear = judge.score(one.crops, one.waveform)
        for worse in (dark, grainy, covered):
            found = judge.score(worse, one.waveform)
            assert abs(found.offset - clear.offset) <= 1
            assert found.confidence > clear.confidence / 3


def _asked(
    judge: SmallSyncJudge, folder: Path, clip: Path, source: str | None = "0", facts: dict | None = None
) -> dict:
    file = None if source is None else item_file(folder / f"{source}.mp4", folder)
    item = BenchmarkItem(id="x", source=file, facts=facts or {})
    answers = dict(judge.score(Subject(item, clip, {} if file is None else {"source": folder / file.path})))
    assert set(answers) == {metric.name for metric in judge.metrics}
    return answers


def test_as_evaluations_ask(strangers: Path, tmp_path: Path, moved_clip: Callable[[Path, Path, int], Path]) -> None:
    judge = SmallSyncJudge()
    judge.prepare()
    late = moved_clip(strangers / "0.mp4", tmp_path / "late.mp4", 6)
    same, behind, alone = (
        _asked(judge, strangers, strangers / "0.mp4"),
        _asked(judge, strangers, late),
        _asked(judge, strangers, strangers / "1.mp4", None),
    )
    assert all(isinstance(answer, Measured) for said in (same, behind, alone) for answer in said.values())
    assert abs(same["av_offset_small"].value) <= 1
    assert behind["av_offset_small"].value == pytest.approx(same["av_offset_small"].value - 6, abs=1)
    assert judge.missing() is None
    assert judge.pin == SmallSyncJudge().pin


def test_whose_doing_it_is(strangers: Path) -> None:
    judge = SmallSyncJudge()
    blames = {
        "clip": _asked(judge, strangers, strangers / "nobody.mp4"),
        "item": _asked(judge, strangers, strangers / "0.mp4", "nobody"),
    }
    for blame, answers in blames.items():
        assert {answer.blame for answer in answers.values()} == {blame}


def test_it_is_not_asked_about_voices_that_it_knows(strangers: Path) -> None:
    judge = SmallSyncJudge()
    known = SmallSync.open().facts.voices[0].model_dump()
    answers = _asked(judge, strangers, strangers / "0.mp4", facts={"voice": known})
    assert {answer.blame for answer in answers.values()} == {"item"}
    assert set(judge.when_failed(BenchmarkItem(id="x", facts={"voice": known}))) == set(answers)
    assert judge.when_failed(BenchmarkItem(id="x", facts={"voice": {"variant": "whoever", "pitch": 1}})) == {}


def test_a_clip_is_looked_at_once_for_all_judges(strangers: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    looked: list[Path] = []
    look_anew = looking._look

    def counted(path: Path) -> looking.Seen | None:
        looked.append(path)
        return look_anew(path)

    monkeypatch.setattr(looking, "_look", counted)
    looking._look_at.cache_clear()
    for judge in (FaceJudge(), FaceJudge(identity=True), SmallSyncJudge()):
        _asked(judge, strangers, strangers / "1.mp4")
    assert sorted(path.name for path in looked) == ["0.mp4", "1.mp4"]
