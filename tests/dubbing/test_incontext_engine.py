"""The in-context engine in a job: picture and sound of a real file, its own size and rate, stopped when asked to."""

from __future__ import annotations

import json
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from dubbing.room import FRAMES, Room
from dubflow.dubbing.engine import SpokenSegment
from dubflow.dubbing.incontext_engine import IncontextEngine
from dubflow.dubbing.jobs import DubTask, dub_all
from dubflow.dubbing.output import sounds_of
from dubflow.dubbing.planning import PlannedSegment
from dubflow.dubbing.request import DubRequest, engine_for
from dubflow.dubbing.stitching import stitch
from dubflow.dubbing.watching import Stage
from dubflow.errors import BadInput, WrongUse
from dubflow.faces.tracks import FaceTracks
from dubflow.incontext.adapter.files import Adapter, LoraPair, write_adapter
from dubflow.incontext.adapter.metadata import AdapterMetadata
from dubflow.incontext.backbone.folders import WORLD_KEY, save_backbone
from dubflow.incontext.inference.clips import ClipDubber
from dubflow.incontext.inference.face_region import face_weight
from dubflow.incontext.inference.settings import InferenceSettings
from dubflow.media.decode import read_clip
from dubflow.media.encode import write_clip
from dubflow.media.probe import probe
from dubflow.progress import Silent
from incontext.samples import backbone

SMALL = InferenceSettings(width=64, height=64, frames=33, overlap=1, steps=2, guidance=1.0)


class Blind:
    """A landmarker that finds nobody, in no time."""

    id = "blind"

    def landmarks(self, frames: Sequence[Any]) -> FaceTracks:
        return FaceTracks((), len(frames), (1, 1), (None,) * len(frames))


def engine(**changes: Any) -> IncontextEngine:
    settings = InferenceSettings.model_validate(SMALL.model_dump() | changes)
    return IncontextEngine(ClipDubber(backbone(), settings), "incontext-test", "embedded", landmarker=Blind())


def task(clip: Path, out: Path, segments: list[dict[str, Any]] | None = None, **changes: Any) -> DubTask:
    content = {"clip": clip, "segments": segments or [{"text": "bonjour"}], "language": "fr", "reference": "self"}
    return DubTask(DubRequest.model_validate(content | {"engine": "incontext"} | changes), out)


def test_a_clip_gets_a_new_picture_and_sound_and_keeps_its_size_and_length(room: Room, tmp_path: Path) -> None:
    out = tmp_path / "a.mp4"
    (result,) = dub_all([task(room.clip(), out)], engine(), Silent()).results
    before, after = probe(room.clip()).video, probe(out).video
    assert before is not None
    assert after is not None
    assert before.video is not None
    assert after.video is not None
    assert after.duration == before.duration
    assert (after.video.width, after.video.height, after.video.frames, after.video.rate) == (
        before.video.width, before.video.height, FRAMES, Fraction(25),
    )  # fmt: skip
    assert (result.engine, result.world, result.sample_rate) == ("incontext-test", "embedded", 24_000)
    assert (result.samples, result.duration_error_s) == (24_000 * FRAMES // 25, 0.0)
    own, new = (read_clip(path, audio=False).frames for path in (room.clip(), out))
    assert own is not None
    assert new is not None
    assert np.abs(own.astype(int) - new).mean() > 5
    (again,) = dub_all([task(room.clip(), out)], engine(), Silent()).results
    assert again.out_sha256 == result.out_sha256


def test_other_rates_and_sizes_come_back_exactly(room: Room, tmp_path: Path) -> None:
    rate = Fraction(30000, 1001)
    read = read_clip(room.clip())
    assert read.frames is not None
    assert read.waveform is not None
    source = tmp_path / "odd.mp4"
    write_clip(source, read.frames[:, :90, :150], rate, read.waveform[:16000], 16_000)
    out = tmp_path / "o" / "a.mp4"
    dub_all([task(source, out)], engine(), Silent())
    before, after = probe(source).video, probe(out).video
    assert before is not None
    assert after is not None
    assert before.video is not None
    assert after.video is not None
    assert after.duration == before.duration
    assert (after.video.rate, after.video.frames) == (rate, before.video.frames)
    assert (after.video.width, after.video.height) == (150, 90)


def test_segments_are_figures_of_one_answer(room: Room, tmp_path: Path) -> None:
    segments = [{"text": "un deux", "start": 0.1, "end": 0.5}, {"text": "trois", "start": 0.7, "end": 1.1}]
    planned = dub_all([task(room.clip(), tmp_path / "a.mp4", segments)], engine(), Silent()).results[0]
    assert [one.text for one in planned.segments] == ["un deux", "trois"]
    assert planned.samples == 24_000 * FRAMES // 25


def test_what_was_made_in_one_piece_is_not_faded_where_it_was_cut() -> None:
    ids = np.zeros(1, np.int64)
    segments = [PlannedSegment("a", 2, 8, ids, ids), PlannedSegment("b", 10, 18, ids, ids)]
    loud = np.ones(960 * 20, np.float32)

    def said(start: int, stop: int) -> SpokenSegment:
        return SpokenSegment(loud[960 * start : 960 * stop], None, 1.0, covers=(start, stop), sample_rate=24_000)

    pieces = sounds_of(segments, [said(0, 9), said(9, 20)])
    assert [(first, len(sound)) for first, sound in pieces] == [(0, 960 * 20)]
    sound = stitch(pieces, 960 * 20, 24_000, own_rate=24_000)
    assert (sound[480:-480] == 1).all()
    apart = sounds_of(segments, [SpokenSegment(loud[:3840], None, 1.0), SpokenSegment(loud[:5120], None, 1.0)])
    assert [first for first, _ in apart] == [2, 10]


def test_it_is_stopped_between_steps(room: Room, tmp_path: Path) -> None:
    class Impatient:
        def __init__(self) -> None:
            self.shares: list[float] = []

        def stage(self, stage: Stage, share: float) -> None:
            if stage == "speaking":
                self.shares.append(share)

        def stopped(self) -> bool:
            return len(self.shares) >= 2

    watch = Impatient()
    with pytest.raises(BadInput, match=r"dubbing\.cancelled"):
        dub_all([task(room.clip(), tmp_path / "a.mp4")], engine(steps=9), Silent(), watch)
    assert len(watch.shares) == 2
    assert not (tmp_path / "a.mp4").exists()


def test_without_a_face_it_is_dubbed_all_the_same_and_said(room: Room, tmp_path: Path) -> None:
    (result,) = dub_all([task(room.clip(), tmp_path / "a.mp4")], engine(keep_outside=True), Silent()).results
    assert result.segments[0].face_found == 0.0
    assert any("no face" in notice for notice in result.segments[0].notices)


@pytest.mark.slow
def test_outside_the_face_the_clip_stays(room: Room, tmp_path: Path) -> None:
    settings = SMALL.model_copy(update={"keep_outside": True})
    seer = IncontextEngine(ClipDubber(backbone(), settings), "incontext-test", "embedded")
    out = tmp_path / "a.mp4"
    (result,) = dub_all([task(room.clip(), out)], seer, Silent()).results
    assert result.segments[0].face_found > 0.9
    own, new = (read_clip(path, audio=False).frames for path in (room.clip(), out))
    assert own is not None
    assert new is not None
    from dubflow.faces.landmarks import MediaPipeLandmarker

    weight = face_weight(MediaPipeLandmarker().landmarks(own).main, *own.shape[1:3])
    assert 0.05 < (weight > 0).mean() < 0.9
    change = np.abs(own.astype(int) - new).max(axis=-1)
    assert change[weight == 0].mean() < 4  # one more encoding
    assert change[weight == 255].mean() > 20


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("base") / "tiny"
    save_backbone(backbone(), folder)
    return folder


def adapter(path: Path, **metadata: Any) -> Path:
    layer = "transformer_blocks.1.audio_attn2.to_v"
    rows, columns = backbone().transformer.get_submodule(layer).weight.shape
    rng = np.random.default_rng(0)
    a, b = (torch.from_numpy(rng.standard_normal(shape).astype(np.float32)) for shape in ((2, columns), (rows, 2)))
    write_adapter(path, Adapter({layer: LoraPair(a, b)}, AdapterMetadata(**metadata)))
    return path


@pytest.mark.slow
def test_a_model_is_opened_under_its_adapters_settings(base: Path, tmp_path: Path) -> None:
    told = {"base_version": "2.0", "mask_scheme": "none", "sampler_preset": "tiny", "world": "embedded"}
    worn = adapter(tmp_path / "lora.safetensors", **told)
    one = IncontextEngine.open(base, adapter=worn, device="cpu")
    assert one.world == "embedded"
    assert one._dubber.settings.masks.av == "none"
    plain = IncontextEngine.open(base, preset="tiny", device="cpu")
    assert (plain.world, plain.id == one.id) == ("embedded", False)
    named = IncontextEngine.open(Path("tiny"), preset="tiny", device="cpu")
    assert (named.world, named.id) == (plain.world, plain.id)
    with pytest.raises(BadInput, match=r"incontext\.adapter_use"):
        IncontextEngine.open(base, adapter=worn, preset="paper", device="cpu")
    IncontextEngine.open(base, adapter=worn, preset="paper", allow=True, device="cpu")
    with pytest.raises(BadInput, match=r"incontext\.version_mismatch"):
        other = adapter(tmp_path / "new.safetensors", base_version="2.3")
        IncontextEngine.open(base, adapter=other, preset="tiny", allow=True, device="cpu")
    with pytest.raises(WrongUse, match=r"incontext\.no_upsampler"):
        IncontextEngine.open(base, preset="code", device="cpu")
    with pytest.raises(WrongUse, match=r"dubbing\.no_second_stage"):
        IncontextEngine.open(base, preset="tiny", refiner=worn, device="cpu")
    index = base / "model_index.json"
    said = json.loads(index.read_text())
    assert said.pop(WORLD_KEY) == "embedded"
    index.write_text(json.dumps(said))
    assert IncontextEngine.open(base, preset="tiny", device="cpu").world == "real"


def test_a_model_says_which_engine_it_is_for(base: Path, tmp_path: Path) -> None:
    assert engine_for("auto", base) == engine_for("auto", tmp_path / "ltx.safetensors") == "incontext"
    assert engine_for("auto", tmp_path) == engine_for("diflow", base) == "diflow"
