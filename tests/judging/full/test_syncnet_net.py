"""SyncNet: the published layout, what it sees and hears, and its figures as the judge gives them."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn import functional

from dubflow.errors import BadInput, WrongUse
from dubflow.faces.tracks import FaceTrack
from dubflow.judging.card.functions import Measured, Unmeasured
from dubflow.judging.card.items import BenchmarkItem, Subject
from dubflow.judging.full.syncnet.encoder import SyncNetEncoder
from dubflow.judging.full.syncnet.judge import SyncNetJudge, lasting
from dubflow.judging.full.syncnet.mfcc import mfcc, sixteen_bits, triangles
from dubflow.judging.full.syncnet.network import SyncNet
from dubflow.judging.sync_crops import lrs_crops
from dubflow.judging.syncnet import sync_score
from dubflow.media.decode import read_clip
from dubflow.media.encode import write_clip
from judging.full.published import known_state, norm, saved_empty, shapes_of

CONVOLUTIONS = {
    "netcnnaud.0": (64, 1, 3, 3),
    "netcnnaud.4": (192, 64, 3, 3),
    "netcnnaud.8": (384, 192, 3, 3),
    "netcnnaud.11": (256, 384, 3, 3),
    "netcnnaud.14": (256, 256, 3, 3),
    "netcnnaud.18": (512, 256, 5, 4),
    "netcnnlip.0": (96, 3, 5, 7, 7),
    "netcnnlip.4": (256, 96, 1, 5, 5),
    "netcnnlip.8": (256, 256, 1, 3, 3),
    "netcnnlip.11": (256, 256, 1, 3, 3),
    "netcnnlip.14": (256, 256, 1, 3, 3),
    "netcnnlip.18": (512, 256, 1, 6, 6),
    "netfcaud.0": (512, 512),
    "netfclip.0": (512, 512),
}


def published() -> dict[str, tuple[int, ...]]:
    """As the file ``syncnet_v2.model`` names them: a normalisation behind every convolution and first linear map."""
    shapes: dict[str, tuple[int, ...]] = {}
    for name, shape in CONVOLUTIONS.items():
        part, place = name.split(".")
        shapes |= {f"{name}.weight": shape, f"{name}.bias": shape[:1]} | norm(f"{part}.{int(place) + 1}", shape[0])
    for part in ("netfcaud", "netfclip"):
        shapes |= {f"{part}.3.weight": (1024, 512), f"{part}.3.bias": (1024,)}
    return shapes


@pytest.fixture(scope="module")
def state() -> dict[str, torch.Tensor]:
    return known_state(published())


@pytest.fixture(scope="module")
def weights(state: dict[str, torch.Tensor], tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("syncnet") / "syncnet_v2.model"
    torch.save(state, path)
    return path


@pytest.fixture(scope="module")
def encoder(weights: Path) -> SyncNetEncoder:
    return SyncNetEncoder(weights)


def noise(frames: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Crops and sound of as many frames."""
    rng = np.random.default_rng(seed)
    crops = rng.integers(0, 256, size=(frames, 224, 224, 3), dtype=np.uint8)
    return crops, rng.uniform(-0.5, 0.5, size=frames * 640).astype(np.float32)


def test_the_published_layout() -> None:
    with torch.device("meta"):
        network = SyncNet()
    assert shapes_of(network) == published()
    assert sum(one.numel() for one in network.parameters()) == 13_631_616


def test_what_is_heard_is_the_packages_mfcc() -> None:
    """Against numbers that python_speech_features 0.6 prints of the same samples, and of silence."""
    n = np.arange(4000)
    tones = 8000 * np.sin(2 * np.pi * 440 * n / 16000) + 3000 * np.sin(2 * np.pi * 3000 * n / 16000 + n * n * 1e-5)
    samples = np.round(tones + (n * 7919 % 101 - 50) * 10).astype(np.int16)
    found = mfcc(samples)
    assert found.shape == (24, 13)
    first = [21.08847628, -10.69169074, 7.75450678, 11.05168809, -48.13884252, -57.95770319, 9.07618704, -34.75513965,
             -25.87931136, 41.9475569, -0.50733039, 13.61218845, 20.7214]  # fmt: skip
    last = [20.86533363, -5.25403553, 3.83985698, 15.58791712, -32.90885951, -42.03004744, 10.43910998, -44.19552911,
            -0.00046469, 39.36057442, -15.89800312, 35.25456888, 11.24574416]  # fmt: skip
    assert found[0] == pytest.approx(first, abs=1e-7)
    assert found[-1] == pytest.approx(last, abs=1e-7)
    assert np.abs(found).sum() == pytest.approx(6979.341194291273, rel=1e-10)
    assert mfcc(np.zeros(400, np.int16))[0] == pytest.approx([np.log(np.finfo(float).eps), *[0] * 12], abs=1e-9)


def test_cepstra_by_hand() -> None:
    """A click: flat power in every bin, so each triangle holds its own area, and the energy is that of 257 bins."""
    click = np.zeros(1000, np.int16)
    click[200] = 1000
    found = mfcc(click)
    assert len(found) == 1 + 4
    # In the frame from 160 on: the click, and -970 behind it.
    power = np.square(np.abs(1000 - 970 * np.exp(-2j * np.pi * np.arange(257) / 512))) / 512
    assert found[1, 0] == pytest.approx(np.log(power.sum()))
    logs = np.log(triangles() @ power)
    third = (2 / 26) ** 0.5 * (logs * np.cos(np.pi * 3 * (2 * np.arange(26) + 1) / 52)).sum()
    assert found[1, 3] == pytest.approx(third * (1 + 11 * np.sin(np.pi * 3 / 22)))
    assert [mfcc(np.ones(n, np.int16)).shape[0] for n in (1, 400, 401, 560, 561)] == [1, 1, 2, 2, 3]
    with pytest.raises(BadInput):
        mfcc(np.zeros(0, np.int16))


def test_triangles_rise_to_one_and_touch() -> None:
    filters = triangles()
    assert filters.shape == (26, 257)
    assert (filters.max(axis=1) == 1).all()
    first, last = filters[0].argmax(), filters[-1].argmax()
    assert filters.sum(axis=0)[first : last + 1] == pytest.approx(1)


def test_samples_are_sixteen_bits() -> None:
    assert sixteen_bits(np.array([0, 0.5, -1, 1, 1.5], np.float32)).tolist() == [0, 16384, -32768, 32767, 32767]


def test_the_streams_are_the_published_ones(encoder: SyncNetEncoder, state: dict[str, torch.Tensor]) -> None:
    """Against plain functions, stride and padding of each layer spelled as published."""

    def layer(maps: torch.Tensor, name: str, **how: object) -> torch.Tensor:
        part, place = name.split(".")
        convolve = functional.conv2d if part.endswith("aud") else functional.conv3d
        maps = convolve(maps, state[f"{name}.weight"], state[f"{name}.bias"], **how)
        kept = [state[f"{part}.{int(place) + 1}.{one}"] for one in ("running_mean", "running_var", "weight", "bias")]
        return functional.relu(functional.batch_norm(maps, *kept))

    def head(maps: torch.Tensor, part: str) -> torch.Tensor:
        kept = [state[f"{part}.1.{one}"] for one in ("running_mean", "running_var", "weight", "bias")]
        hidden = functional.linear(maps.flatten(1), state[f"{part}.0.weight"], state[f"{part}.0.bias"])
        hidden = functional.relu(functional.batch_norm(hidden, *kept))
        return functional.linear(hidden, state[f"{part}.3.weight"], state[f"{part}.3.bias"])

    crops, sound = noise(7)
    video, audio = encoder.embed(crops, sound)
    assert video.shape == audio.shape == (2, 1024)
    # The second window: frames 1 to 5 in BGR, cepstra 4 to 23.
    maps = torch.from_numpy(crops[1:6, :, :, ::-1].astype(np.float32)).permute(3, 0, 1, 2)[None]
    maps = functional.max_pool3d(layer(maps, "netcnnlip.0", stride=(1, 2, 2)), (1, 3, 3), (1, 2, 2))
    maps = layer(maps, "netcnnlip.4", stride=(1, 2, 2), padding=(0, 1, 1))
    maps = functional.max_pool3d(maps, (1, 3, 3), (1, 2, 2), padding=(0, 1, 1))
    for name in ("netcnnlip.8", "netcnnlip.11", "netcnnlip.14"):
        maps = layer(maps, name, padding=(0, 1, 1))
    maps = layer(functional.max_pool3d(maps, (1, 3, 3), (1, 2, 2)), "netcnnlip.18")
    assert maps.shape == (1, 512, 1, 1, 1)
    seen = head(maps, "netfclip")[0].numpy()
    assert video[1] == pytest.approx(seen, abs=1e-3 * np.abs(seen).max())
    maps = torch.from_numpy(mfcc(sixteen_bits(sound))[4:24].T.copy()).float()[None, None]
    maps = layer(layer(maps, "netcnnaud.0", padding=1), "netcnnaud.4", padding=1)
    maps = layer(functional.max_pool2d(maps, 3, (1, 2)), "netcnnaud.8", padding=1)
    maps = layer(layer(maps, "netcnnaud.11", padding=1), "netcnnaud.14", padding=1)
    maps = layer(functional.max_pool2d(maps, 3, 2), "netcnnaud.18")
    assert maps.shape == (1, 512, 1, 1)
    heard = head(maps, "netfcaud")[0].numpy()
    assert audio[1] == pytest.approx(heard, abs=1e-3 * np.abs(heard).max())


def test_windows_are_as_many_as_the_script_has(encoder: SyncNetEncoder) -> None:
    crops, sound = noise(8)
    for frames, samples, windows in (
        (8, 8 * 640, 3),
        (8, 7 * 640 + 639, 2),
        (6, 8 * 640, 1),
        (5, 8 * 640, 0),
        (8, 0, 0),
    ):
        video, audio = encoder.embed(crops[:frames], sound[:samples])
        assert video.shape == audio.shape == (windows, 1024)


def test_what_comes_later_is_embedded_later(encoder: SyncNetEncoder) -> None:
    """Three frames more before the same picture and sound move every embedding by three; twice is the same."""
    crops, sound = noise(8)
    video, audio = encoder.embed(crops, sound)
    again = encoder.embed(crops, sound)
    assert all(np.array_equal(one, other) for one, other in zip((video, audio), again, strict=True))
    late = encoder.embed(np.concatenate([crops[:3], crops]), np.pad(sound, (3 * 640, 0)))
    assert late[0][3:] == pytest.approx(video, abs=1e-4 * np.abs(video).max())
    assert late[1][3:] == pytest.approx(audio, abs=1e-4 * np.abs(audio).max())


def test_other_weights_and_crops_are_refused(weights: Path, tmp_path: Path, encoder: SyncNetEncoder) -> None:
    shapes = published()
    shapes["netcnnlip.99.weight"] = shapes.pop("netcnnlip.18.weight")
    with pytest.raises(BadInput) as caught:
        SyncNetEncoder(saved_empty(shapes, tmp_path / "other.model"))
    assert caught.value.code == "judging.weights_do_not_fit"
    assert caught.value.details["missing"] == ["netcnnlip.18.weight"]
    assert caught.value.details["unknown"] == ["netcnnlip.99.weight"]
    with pytest.raises(BadInput) as caught:
        encoder.embed(np.zeros((9, 96, 96, 3), np.uint8), np.zeros(9 * 640, np.float32))
    assert caught.value.code == "judging.bad_crops"


def asked(judge: SyncNetJudge, clip: Path, source: Path | None = None) -> dict:
    files = {} if source is None else {"source": source}
    answers = dict(judge.score(Subject(BenchmarkItem(id="x"), clip, files)))
    assert set(answers) == {metric.name for metric in judge.metrics}
    return answers


def test_figures_of_whole_frames(weights: Path, encoder: SyncNetEncoder, tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    frames = rng.integers(0, 256, size=(12, 48, 64, 3), dtype=np.uint8)
    sound = rng.uniform(-0.3, 0.3, size=12 * 640).astype(np.float32)
    write_clip(tmp_path / "clip.mp4", list(frames), 25, sound)
    judge = SyncNetJudge(weights, "lse_lrs")
    found = asked(pickle.loads(pickle.dumps(judge)), tmp_path / "clip.mp4")
    clip = read_clip(tmp_path / "clip.mp4", fps=25)
    assert clip.frames is not None
    assert clip.waveform is not None
    by_hand = sync_score(*encoder.embed(lrs_crops(clip.frames), clip.waveform))
    values = {name: answer.value for name, answer in found.items() if isinstance(answer, Measured)}
    assert values == pytest.approx(
        {"lse_c_lrs": by_hand.confidence, "lse_d_lrs": by_hand.distance, "av_offset_lrs": float(by_hand.offset)}
    )


def test_whose_doing_it_is(weights: Path, tmp_path: Path) -> None:
    grey, long = [np.full((64, 64, 3), 90, np.uint8)] * 8, [np.full((64, 64, 3), 90, np.uint8)] * 12
    write_clip(tmp_path / "short.mp4", grey[:4], 25, np.full(4 * 640, 0.1, np.float32))
    write_clip(tmp_path / "long.mp4", long, 25, np.full(12 * 640, 0.1, np.float32))
    whole = SyncNetJudge(weights, "lse_lrs")
    for source, blame in ((None, "clip"), ("long.mp4", "clip"), ("short.mp4", "item")):
        path = None if source is None else tmp_path / source
        assert {one.blame for one in asked(whole, tmp_path / "short.mp4", path).values()} == {blame}
    # A source without sound is none the less one that can be dubbed.
    write_clip(tmp_path / "mute.mp4", long, 25, None)
    assert {one.blame for one in asked(whole, tmp_path / "mute.mp4", tmp_path / "mute.mp4").values()} == {"clip"}
    nobody = asked(SyncNetJudge(weights, "lse_pipeline"), tmp_path / "long.mp4", tmp_path / "long.mp4")
    assert all(isinstance(one, Unmeasured) and one.blame == "item" for one in nobody.values())


def test_pins_and_what_is_missing(weights: Path, tmp_path: Path) -> None:
    pipeline, whole = SyncNetJudge(weights, "lse_pipeline"), SyncNetJudge(weights, "lse_lrs")
    assert {metric.judge for metric in (*pipeline.metrics, *whole.metrics)} == {"syncnet-pipeline", "syncnet-lrs"}
    assert pipeline.pin.sha256 == whole.pin.sha256
    assert str(pipeline.pin.settings["detector"]).startswith("mediapipe")
    assert (pipeline.missing(), whole.missing()) == (None, None)
    assert "syncnet" in str(SyncNetJudge(None, "lse_lrs").missing()).lower()
    assert "elsewhere" in str(SyncNetJudge(tmp_path / "elsewhere", "lse_lrs").missing())
    with pytest.raises(WrongUse) as caught:
        SyncNetJudge(None, "lse_lrs").prepare()
    assert caught.value.code == "judging.weights_not_named"
    with pytest.raises(WrongUse):
        SyncNetJudge(weights, "mouths")  # type: ignore[arg-type]


def test_only_faces_that_last_are_judged() -> None:
    found = np.array([False, True, False, True, True, False])
    landmarks = np.where(found[:, None, None], 1.0, np.nan).astype(np.float32) * np.ones((1, 478, 3), np.float32)
    track = FaceTrack(landmarks, found, tuple(None if one else "lost_track" for one in found))
    assert lasting(track, 4) == slice(1, 5)
    assert lasting(track, 5) is None


@pytest.mark.slow
def test_figures_of_a_drawn_face(weights: Path, tmp_path: Path) -> None:
    """The figures of a talking head's face don't depend on what is written beside it, those of whole frames do."""
    from dubflow.speech.espeak import EspeakSynthesizer
    from dubflow.talkers.performance import perform
    from dubflow.talkers.picture import paint_clip
    from dubflow.talkers.scenes import plan_corpus
    from dubflow.talkers.settings import TalkerSettings
    from dubflow.talkers.soundtrack import soundtrack

    settings = TalkerSettings(size=160, mix={"plain": 1.0}, event_share=0.0, grid_share=1.0)
    with EspeakSynthesizer() as synthesizer:
        (plan,) = plan_corpus(identities=1, clips=1, languages=("en",), seed=3, settings=settings)
        sound = soundtrack(plan, synthesizer)
        frames = list(paint_clip(plan, perform(plan, sound), sound.frames))[:16]
    heard = sound.waveform[: len(frames) * 640]
    beside = [np.pad(frame, ((0, 0), (0, 160), (0, 0)), constant_values=60) for frame in frames]
    write_clip(tmp_path / "one.mp4", frames, 25, heard, crf=4)
    write_clip(tmp_path / "beside.mp4", beside, 25, heard, crf=4)
    pipeline, whole = SyncNetJudge(weights, "lse_pipeline"), SyncNetJudge(weights, "lse_lrs")
    faces, pictures = (
        [asked(judge, tmp_path / name) for name in ("one.mp4", "beside.mp4")] for judge in (pipeline, whole)
    )
    assert all(isinstance(one, Measured) for found in (*faces, *pictures) for one in found.values())
    apart = abs(faces[0]["lse_d_pipeline"].value - faces[1]["lse_d_pipeline"].value)
    assert apart < 0.2 * abs(pictures[0]["lse_d_lrs"].value - pictures[1]["lse_d_lrs"].value)
