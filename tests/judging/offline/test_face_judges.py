"""The offline judges of what is seen, on drawn clips of the embedded world."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from dubflow.judging.card.functions import Measured, Unmeasured
from dubflow.judging.card.items import BenchmarkItem, Subject, item_file
from dubflow.judging.offline.picture import FaceJudge
from dubflow.media.encode import write_audio, write_clip
from dubflow.speech.espeak import EspeakSynthesizer
from dubflow.talkers.performance import perform
from dubflow.talkers.picture import paint_clip
from dubflow.talkers.scenes import plan_corpus
from dubflow.talkers.settings import TalkerSettings
from dubflow.talkers.soundtrack import soundtrack

pytestmark = pytest.mark.slow
SHIFT = 6


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two people's clips, one of them with its sound late, with another background, and without a face."""
    folder = tmp_path_factory.mktemp("faces")
    settings = TalkerSettings(size=128, mix={"plain": 1.0}, event_share=0.0, grid_share=1.0)
    with EspeakSynthesizer() as synthesizer:
        for plan, name in zip(
            plan_corpus(identities=2, clips=1, languages=("en",), seed=3, settings=settings),
            ("one", "other"),
            strict=True,
        ):
            sound = soundtrack(plan, synthesizer)
            frames = list(paint_clip(plan, perform(plan, sound), sound.frames))
            write_clip(folder / f"{name}.mp4", frames, 25, sound.waveform, crf=12)
            if name == "one":
                late = np.pad(sound.waveform, (SHIFT * 640, 0))[: sound.waveform.size]
                write_clip(folder / "late.mp4", frames, 25, late, crf=12)
                painted = [frame.copy() for frame in frames]
                for frame in painted:
                    frame[:12] = 255 - frame[:12]
                write_clip(folder / "painted.mp4", painted, 25, sound.waveform, crf=12)
                write_clip(folder / "nobody.mp4", [np.full_like(frames[0], 90)] * len(frames), 25, sound.waveform)
                write_audio(folder / "sound.wav", sound.waveform, 16_000)
    return folder


def asked(world: Path, clip: str, source: str | None = "one", *, identity: bool = False) -> dict:
    file = None if source is None else item_file(world / f"{source}.mp4", world)
    item = BenchmarkItem(id="x", source=file)
    files = {} if source is None else {"source": world / f"{source}.mp4"}
    judge = FaceJudge(identity=identity)
    judge.prepare()
    answers = dict(judge.score(Subject(item, world / clip, files)))
    assert set(answers) == {metric.name for metric in judge.metrics}
    return answers


def test_a_clip_beside_itself_and_beside_its_changes(world: Path) -> None:
    same, late, painted = (asked(world, f"{name}.mp4") for name in ("one", "late", "painted"))
    assert all(isinstance(answer, Measured) for answer in same.values())
    assert abs(same["mouth_offset"].value) <= 1
    assert late["mouth_offset"].value == pytest.approx(same["mouth_offset"].value - SHIFT, abs=1)
    assert late["mouth_correlation"].value < same["mouth_correlation"].value - 0.1
    assert (same["lmd"].value, same["qd"].value) == pytest.approx((0, 0), abs=1e-9)
    assert same["mar_diversity_geometric"].value > 0.02
    assert (same["psnr_outside_face"].value, same["ssim_outside_face"].value) == (100, pytest.approx(1))
    assert painted["psnr_outside_face"].value < 25
    assert painted["ssim_outside_face"].value < 0.95


def test_identity(world: Path) -> None:
    same, other = (asked(world, f"{name}.mp4", identity=True)["csim_embedded"] for name in ("one", "other"))
    assert same.value > 0.9
    assert other.value < same.value - 0.15


def test_whose_doing_it_is(world: Path) -> None:
    for clip in ("nobody.mp4", "sound.wav"):
        assert {answer.blame for answer in asked(world, clip).values()} == {"clip"}
    assert {answer.blame for answer in asked(world, "one.mp4", "nobody").values()} == {"item"}
    alone = asked(world, "one.mp4", None)
    assert isinstance(alone["mouth_offset"], Measured)
    assert isinstance(alone["lmd"], Unmeasured)
    assert alone["lmd"].blame == "item"
    assert asked(world, "one.mp4", None, identity=True)["csim_embedded"].blame == "item"


def test_failed_clips(world: Path) -> None:
    judge = FaceJudge()
    assert judge.when_failed(BenchmarkItem(id="x", source=item_file(world / "one.mp4", world))) == {}
    lacking = judge.when_failed(BenchmarkItem(id="x"))
    assert "lmd" in lacking
    assert "mouth_offset" not in lacking
    assert judge.missing() is None
    assert judge.pin != FaceJudge(identity=True).pin
