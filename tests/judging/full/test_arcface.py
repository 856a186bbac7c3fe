"""ArcFace: the published layouts, faces laid onto the template, and CSIM as the judge gives it."""

from __future__ import annotations

import pickle
import shutil
import struct
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from onnxruntime import datasets
from torch.nn import functional

from dubflow.errors import BadInput
from dubflow.faces.tracks import FaceTrack
from dubflow.judging.card.functions import Measured, Unmeasured
from dubflow.judging.card.items import BenchmarkItem, Subject
from dubflow.judging.full.arcface.alignment import aligned_faces, five_points
from dubflow.judging.full.arcface.encoder import ArcFaceEncoder
from dubflow.judging.full.arcface.iresnet import DEPTHS, IResNet, variant_of
from dubflow.judging.full.arcface.judge import ArcFaceJudge
from dubflow.media.encode import write_clip
from judging.full.published import known_state, norm, saved_empty, shapes_of

WIDTHS = (64, 64, 128, 256, 512)


def published(blocks: tuple[int, ...]) -> dict[str, tuple[int, ...]]:
    """As arcface_torch's ``backbone.pth`` names them."""
    shapes: dict[str, tuple[int, ...]] = {"conv1.weight": (64, 3, 3, 3), "prelu.weight": (64,)} | norm("bn1", 64)
    for layer, count in enumerate(blocks, start=1):
        before, channels = WIDTHS[layer - 1 : layer + 1]
        for place in range(count):
            name, entering = f"layer{layer}.{place}", before if place == 0 else channels
            shapes[f"{name}.conv1.weight"] = (channels, entering, 3, 3)
            shapes[f"{name}.conv2.weight"] = (channels, channels, 3, 3)
            shapes[f"{name}.prelu.weight"] = (channels,)
            shapes |= norm(f"{name}.bn1", entering) | norm(f"{name}.bn2", channels) | norm(f"{name}.bn3", channels)
        shapes[f"layer{layer}.0.downsample.0.weight"] = (channels, before, 1, 1)
        shapes |= norm(f"layer{layer}.0.downsample.1", channels)
    shapes |= {"fc.weight": (512, 25088), "fc.bias": (512,)} | norm("bn2", 512) | norm("features", 512)
    return shapes


@pytest.fixture(scope="module")
def state() -> dict[str, torch.Tensor]:
    return known_state(published((2, 2, 2, 2)))


@pytest.fixture(scope="module")
def weights(state: dict[str, torch.Tensor], tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("arcface") / "backbone.pth"
    torch.save(state, path)
    return path


@pytest.fixture(scope="module")
def encoder(weights: Path) -> ArcFaceEncoder:
    return ArcFaceEncoder(weights)


@pytest.mark.parametrize(
    ("name", "blocks", "parameters"),
    [("iresnet50", (3, 4, 14, 3), 43_590_848), ("iresnet100", (3, 13, 30, 3), 65_156_160)],
)
def test_the_published_layout(name: str, blocks: tuple[int, ...], parameters: int) -> None:
    """43.59 and 65.15 million, as printed beside the published models."""
    with torch.device("meta"):
        network = IResNet(DEPTHS[name])
    assert shapes_of(network) == published(blocks)
    assert sum(one.numel() for one in network.parameters()) == parameters
    assert variant_of(dict.fromkeys(published(blocks), torch.zeros(0))) == name


def test_the_network_is_the_published_one(encoder: ArcFaceEncoder, state: dict[str, torch.Tensor]) -> None:
    """Against plain functions in the published order, every block's first convolution at full size."""

    def normed(maps: torch.Tensor, name: str) -> torch.Tensor:
        kept = (state[f"{name}.{one}"] for one in ("running_mean", "running_var", "weight", "bias"))
        return functional.batch_norm(maps, *kept)

    faces = np.random.default_rng(0).integers(0, 256, size=(2, 112, 112, 3), dtype=np.uint8)
    maps = (torch.from_numpy(faces.transpose(0, 3, 1, 2).astype(np.float32)) - 127.5) / 127.5
    maps = functional.conv2d(maps, state["conv1.weight"], padding=1)
    maps = functional.prelu(normed(maps, "bn1"), state["prelu.weight"])
    for layer in (1, 2, 3, 4):
        for place in (0, 1):
            name, stride = f"layer{layer}.{place}", 2 - place
            inner = functional.conv2d(normed(maps, f"{name}.bn1"), state[f"{name}.conv1.weight"], padding=1)
            inner = functional.prelu(normed(inner, f"{name}.bn2"), state[f"{name}.prelu.weight"])
            inner = functional.conv2d(inner, state[f"{name}.conv2.weight"], stride=stride, padding=1)
            if place == 0:
                maps = functional.conv2d(maps, state[f"{name}.downsample.0.weight"], stride=2)
                maps = normed(maps, f"{name}.downsample.1")
            maps = normed(inner, f"{name}.bn3") + maps
    assert maps.shape == (2, 512, 7, 7)
    by_hand = functional.linear(normed(maps, "bn2").flatten(1), state["fc.weight"], state["fc.bias"])
    by_hand = normed(by_hand, "features").numpy()
    found = encoder.embed(faces)
    assert found.shape == (2, 512)
    assert found == pytest.approx(by_hand, abs=1e-3 * np.abs(by_hand).max())
    assert np.array_equal(encoder.embed(faces), found)
    assert encoder.embed(faces[:0]).shape == (0, 512)


def test_other_weights_are_refused(tmp_path: Path, encoder: ArcFaceEncoder) -> None:
    for shapes, wrong in (
        (published((2, 2, 2, 3)), "blocks"),
        ({name.replace("layer", "stage"): shape for name, shape in published((2, 2, 2, 2)).items()}, "blocks"),
        ({**published((2, 2, 2, 2)), "head.weight": (10, 512)}, "head.weight"),
    ):
        with pytest.raises(BadInput, match=wrong) as caught:
            ArcFaceEncoder(saved_empty(shapes, tmp_path / "backbone.pth"))
        assert caught.value.code == "judging.weights_do_not_fit"
    with pytest.raises(BadInput) as caught:
        encoder.embed(np.zeros((1, 96, 112, 3), np.uint8))
    assert caught.value.code == "judging.bad_crops"


EYES_NOSE_MOUTH = np.array([[38.2946, 51.6963], [73.5318, 51.5014], [56.0252, 71.7366], [41.5493, 92.3655],
                            [70.7299, 92.2041]])  # fmt: skip


def face_at(points: np.ndarray) -> FaceTrack:
    """A track of one frame, found and then lost, whose five points are these; eyes' corners beside their centres."""
    landmarks = np.full((2, 478, 3), np.nan, np.float32)
    landmarks[0] = 1.0
    for index, point in {4: points[2], 61: points[3], 291: points[4]}.items():
        landmarks[0, index, :2] = point
    aside = np.array([9, 1])
    for eye, corners in ((points[0], (33, 133)), (points[1], (362, 263))):
        landmarks[0, corners[0], :2], landmarks[0, corners[1], :2] = eye - aside, eye + aside
    return FaceTrack(landmarks, np.array([True, False]), (None, "lost_track"))


@pytest.mark.parametrize(("angle", "scale", "shift"), [(0, 1, (30, 40)), (25, 2.2, (150, 20)), (-170, 1.5, (300, 330))])
def test_faces_come_to_lie_on_the_template(angle: float, scale: float, shift: tuple[int, int]) -> None:
    """Wherever a face is and however it is held, what is drawn at its five points is at the template's afterwards."""
    turn = np.deg2rad(angle)
    linear = scale * np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    centres = EYES_NOSE_MOUTH @ linear.T + shift  # counted from the first pixel's centre
    frame = np.zeros((480, 480, 3), np.uint8)
    rows, columns = np.mgrid[:480, :480]
    for number, (x, y) in enumerate(centres):
        near = np.exp(-((columns - x) ** 2 + (rows - y) ** 2) / (2 * (2 * scale) ** 2))
        frame[..., number % 3] = np.maximum(frame[..., number % 3], np.rint(250 * near).astype(np.uint8))
    track = face_at(centres + 0.5)
    assert five_points(track.landmarks[:1])[0] == pytest.approx(centres + 0.5, abs=1e-3)
    (face,) = aligned_faces([frame, frame], track)
    assert face.shape == (112, 112, 3)
    for number, (x, y) in enumerate(EYES_NOSE_MOUTH):
        around = face[round(y) - 6 : round(y) + 7, round(x) - 6 : round(x) + 7, number % 3].astype(float)
        down, right = np.mgrid[-6:7, -6:7]
        assert round(x) + (around * right).sum() / around.sum() == pytest.approx(x, abs=0.15)
        assert round(y) + (around * down).sum() / around.sum() == pytest.approx(y, abs=0.15)


def test_no_face_and_other_frames_are_refused() -> None:
    track = face_at(EYES_NOSE_MOUTH)
    for frames, which, code in (
        (1, slice(None), "judging.frames_differ"),
        (1, slice(1, 2), "judging.no_face"),
    ):
        with pytest.raises(BadInput) as caught:
            part = FaceTrack(track.landmarks[which], track.found[which], track.reasons[which])
            aligned_faces(np.zeros((frames, 120, 120, 3), np.uint8), part)
        assert caught.value.code == code


def field(number: int, content: bytes | int | str) -> bytes:
    """One field of a protocol buffer: a number, or bytes with their length before them."""

    def varint(value: int) -> bytes:
        parts = []
        while value > 127:
            parts.append(value & 127 | 128)
            value >>= 7
        return bytes([*parts, value])

    if isinstance(content, int):
        return varint(number << 3) + varint(content)
    raw = content.encode() if isinstance(content, str) else content
    return varint(number << 3 | 2) + varint(len(raw)) + raw


def onnx_file(path: Path, matrix: np.ndarray, batch: int | str = "n", side: int = 112) -> Path:
    """A model of ONNX (IR 8, opset 13): mean over the picture ``[n, 3, side, side]``, then ``matrix`` ``[3, D]``."""

    def value(name: str, *sizes: int | str) -> bytes:
        dims = b"".join(field(1, field(1, one) if isinstance(one, int) else field(2, one)) for one in sizes)
        return field(1, name) + field(2, field(1, field(1, 1) + field(2, dims)))

    def node(kind: str, inputs: tuple[str, ...], output: str) -> bytes:
        return b"".join(field(1, one) for one in inputs) + field(2, output) + field(4, kind)

    width = matrix.shape[1]
    weights = field(1, 3) + field(1, width) + field(2, 1) + field(8, "w")
    weights += field(9, struct.pack(f"<{matrix.size}f", *matrix.ravel()))
    graph = field(1, node("GlobalAveragePool", ("x",), "mean")) + field(1, node("Flatten", ("mean",), "flat"))
    graph += field(1, node("MatMul", ("flat", "w"), "y")) + field(2, "g") + field(5, weights)
    graph += field(11, value("x", batch, 3, side, side)) + field(12, value("y", batch, width))
    path.write_bytes(field(1, 8) + field(7, graph) + field(8, field(2, 13)))
    return path


@pytest.mark.parametrize("batch", ["n", 1])
def test_onnx_networks_see_the_same_pictures(tmp_path: Path, batch: int | str) -> None:
    """Means of red, green and blue in -1..1, so a network that shows what it is given shows that."""
    matrix = np.random.default_rng(1).normal(size=(3, 512)).astype(np.float32)
    encoder = ArcFaceEncoder(onnx_file(tmp_path / "w600k.onnx", matrix, batch))
    faces = np.random.default_rng(2).integers(0, 256, size=(40, 112, 112, 3), dtype=np.uint8)
    expected = (faces.reshape(40, -1, 3).mean(axis=1) - 127.5) / 127.5 @ matrix
    assert encoder.embed(faces) == pytest.approx(expected, abs=1e-4)
    assert encoder.id.startswith("arcface-onnx-")


def test_files_that_are_no_such_network_are_refused(tmp_path: Path) -> None:
    other = shutil.copy(datasets.get_example("sigmoid.onnx"), tmp_path / "sigmoid.onnx")
    narrow = onnx_file(tmp_path / "narrow.onnx", np.ones((3, 128), np.float32))
    small = onnx_file(tmp_path / "small.onnx", np.ones((3, 512), np.float32), side=96)
    for path in (Path(other), narrow, small):
        with pytest.raises(BadInput, match=path.name) as caught:
            ArcFaceEncoder(path)
        assert caught.value.code == "judging.weights_do_not_fit"
    (tmp_path / "text.onnx").write_text("no network")
    endless = onnx_file(tmp_path / "endless.onnx", np.full((3, 512), np.inf, np.float32))
    with pytest.raises(BadInput) as caught:
        ArcFaceEncoder(tmp_path / "text.onnx")
    assert caught.value.code == "judging.bad_weights"
    with pytest.raises(BadInput) as caught:
        ArcFaceEncoder(endless).embed(np.zeros((1, 112, 112, 3), np.uint8))
    assert caught.value.code == "judging.bad_weights"
    with pytest.raises(BadInput) as caught:
        ArcFaceEncoder(tmp_path / "nowhere.onnx")
    assert caught.value.code == "judging.weights_missing"


def test_pins_and_what_is_missing(tmp_path: Path, weights: Path) -> None:
    judge = ArcFaceJudge(weights)
    assert [metric.name for metric in judge.metrics] == ["csim"]
    assert judge.missing() is None
    assert judge.pin == pickle.loads(pickle.dumps(judge)).pin
    onnx = ArcFaceJudge(onnx_file(tmp_path / "a.onnx", np.ones((3, 512), np.float32)))
    assert onnx.missing() is None
    assert onnx.pin.sha256 != judge.pin.sha256
    assert "ArcFace" in str(ArcFaceJudge(None).missing())
    assert judge.when_failed(BenchmarkItem(id="x"))["csim"] == Unmeasured(
        "The item has neither source nor reference.", "item"
    )


@pytest.mark.slow
def test_csim_of_drawn_faces(tmp_path: Path) -> None:
    """By a network that shows mean colours: a face is like itself, even if the clip around it changes, and less like
    one in other colours; without a face it is somebody's doing."""
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
        frames = list(paint_clip(plan, perform(plan, sound), sound.frames))[:8]
    beside = [np.pad(frame, ((0, 0), (0, 80), (0, 0)), constant_values=60) for frame in frames]
    other = [cv2.cvtColor(frame, cv2.COLOR_RGB2BGR) for frame in frames]
    nobody = [np.full_like(frames[0], 90)] * 8
    for name, clip in (("one", frames), ("beside", beside), ("other", other), ("nobody", nobody)):
        write_clip(tmp_path / f"{name}.mp4", clip, 25, sound.waveform[: 8 * 640], crf=4)
    matrix = np.zeros((3, 512), np.float32)
    matrix[[0, 1, 2], [0, 1, 2]] = 1
    judge = ArcFaceJudge(onnx_file(tmp_path / "colours.onnx", matrix))

    def csim(clip: str, **files: str) -> Measured | Unmeasured:
        given = {role: tmp_path / f"{name}.mp4" for role, name in files.items()}
        return judge.score(Subject(BenchmarkItem(id="x"), tmp_path / f"{clip}.mp4", given))["csim"]

    same, moved, changed = (csim(name, source="one") for name in ("one", "beside", "other"))
    assert isinstance(same, Measured)
    assert isinstance(moved, Measured)
    assert isinstance(changed, Measured)
    assert same.value > 0.999
    assert moved.value > 0.99
    assert changed.value < moved.value
    assert csim("one", reference="one") == same
    for answer, blame in ((csim("nobody", source="one"), "clip"), (csim("one", source="nobody"), "item")):
        assert isinstance(answer, Unmeasured)
        assert answer.blame == blame
    assert csim("one") == Unmeasured("The item has neither source nor reference.", "item")
