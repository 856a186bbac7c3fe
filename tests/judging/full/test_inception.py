"""FID's Inception: the published layout, its odd pools, and features as pytorch-fid prints them."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest
import torch

from dubflow.errors import BadInput
from dubflow.judging.full.inception.judge import FidJudge, InceptionFeatures, as_seen
from dubflow.judging.full.inception.network import FidInception, pooled
from dubflow.media.encode import write_clip
from judging.full.published import known_state, norm, saved_empty, shapes_of

# Each convolution: out, in, height, width.
STEM = {
    "Conv2d_1a_3x3": (32, 3, 3, 3), "Conv2d_2a_3x3": (32, 32, 3, 3), "Conv2d_2b_3x3": (64, 32, 3, 3),
    "Conv2d_3b_1x1": (80, 64, 1, 1), "Conv2d_4a_3x3": (192, 80, 3, 3),
}  # fmt: skip


def mixed_5(before: int, pool: int) -> dict[str, tuple[int, ...]]:
    return {
        "branch1x1": (64, before, 1, 1),
        "branch5x5_1": (48, before, 1, 1), "branch5x5_2": (64, 48, 5, 5),
        "branch3x3dbl_1": (64, before, 1, 1), "branch3x3dbl_2": (96, 64, 3, 3), "branch3x3dbl_3": (96, 96, 3, 3),
        "branch_pool": (pool, before, 1, 1),
    }  # fmt: skip


def mixed_6(inner: int) -> dict[str, tuple[int, ...]]:
    return {
        "branch1x1": (192, 768, 1, 1),
        "branch7x7_1": (inner, 768, 1, 1), "branch7x7_2": (inner, inner, 1, 7), "branch7x7_3": (192, inner, 7, 1),
        "branch7x7dbl_1": (inner, 768, 1, 1), "branch7x7dbl_2": (inner, inner, 7, 1),
        "branch7x7dbl_3": (inner, inner, 1, 7), "branch7x7dbl_4": (inner, inner, 7, 1),
        "branch7x7dbl_5": (192, inner, 1, 7),
        "branch_pool": (192, 768, 1, 1),
    }  # fmt: skip


def mixed_7(before: int) -> dict[str, tuple[int, ...]]:
    return {
        "branch1x1": (320, before, 1, 1),
        "branch3x3_1": (384, before, 1, 1), "branch3x3_2a": (384, 384, 1, 3), "branch3x3_2b": (384, 384, 3, 1),
        "branch3x3dbl_1": (448, before, 1, 1), "branch3x3dbl_2": (384, 448, 3, 3),
        "branch3x3dbl_3a": (384, 384, 1, 3), "branch3x3dbl_3b": (384, 384, 3, 1),
        "branch_pool": (192, before, 1, 1),
    }  # fmt: skip


BLOCKS = {
    "Mixed_5b": mixed_5(192, 32), "Mixed_5c": mixed_5(256, 64), "Mixed_5d": mixed_5(288, 64),
    "Mixed_6a": {
        "branch3x3": (384, 288, 3, 3),
        "branch3x3dbl_1": (64, 288, 1, 1), "branch3x3dbl_2": (96, 64, 3, 3), "branch3x3dbl_3": (96, 96, 3, 3),
    },
    "Mixed_6b": mixed_6(128), "Mixed_6c": mixed_6(160), "Mixed_6d": mixed_6(160), "Mixed_6e": mixed_6(192),
    "Mixed_7a": {
        "branch3x3_1": (192, 768, 1, 1), "branch3x3_2": (320, 192, 3, 3),
        "branch7x7x3_1": (192, 768, 1, 1), "branch7x7x3_2": (192, 192, 1, 7), "branch7x7x3_3": (192, 192, 7, 1),
        "branch7x7x3_4": (192, 192, 3, 3),
    },
    "Mixed_7b": mixed_7(1280), "Mixed_7c": mixed_7(2048),
}  # fmt: skip


def published() -> dict[str, tuple[int, ...]]:
    """As ``pt_inception-2015-12-05`` names them."""
    convolutions = STEM | {
        f"{block}.{branch}": shape for block, branches in BLOCKS.items() for branch, shape in branches.items()
    }
    shapes: dict[str, tuple[int, ...]] = {"fc.weight": (1008, 2048), "fc.bias": (1008,)}
    for name, shape in convolutions.items():
        shapes |= {f"{name}.conv.weight": shape} | norm(f"{name}.bn", shape[0])
    return shapes


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("inception") / "pt_inception-2015-12-05.pth"
    torch.save(known_state(published()), path)
    return path


@pytest.fixture(scope="module")
def features(weights: Path) -> InceptionFeatures:
    return InceptionFeatures(weights)


def pattern() -> np.ndarray:
    """Two frames, one the other upside down."""
    y, x = np.mgrid[:48, :64]
    frame = np.stack([x * 4 % 256, y * 5 % 256, x * y % 256], axis=-1).astype(np.uint8)
    return np.stack([frame, frame[::-1]])


def test_the_published_layout() -> None:
    with torch.device("meta"):
        network = FidInception()
    assert shapes_of(network) == published()
    assert sum(one.numel() for one in network.parameters()) == 23_850_960


def test_features_are_pytorch_fids(features: InceptionFeatures) -> None:
    """Against numbers that pytorch-fid 0.3.0 with torchvision's blocks prints of the same weights and frames."""
    found = features.of_frames(pattern())
    assert found.shape == (2, 2048)
    assert found.mean(axis=1) == pytest.approx([1.2988023, 1.3076725], rel=1e-3)
    assert found.std(axis=1, ddof=1) == pytest.approx([1.7171026, 1.7294675], rel=1e-3)
    some = [
        [0.357647, 0.1183755, 4.7137871, 0.2523014, 2.629648, 4.5849977, 0.2423661],
        [0.2237918, 0.1562734, 4.7401533, 0.205034, 2.4177873, 4.7472753, 0.2556102],
    ]
    assert found[:, ::293] == pytest.approx(np.array(some), abs=5e-3)
    assert np.array_equal(features.of_frames(pattern()), found)


def test_pools_count_nothing_beyond_the_edge() -> None:
    ones, ramp = torch.ones(1, 1, 4, 4), torch.arange(9.0).reshape(1, 1, 3, 3)
    assert torch.equal(pooled(ones, "mean"), ones)
    assert pooled(ramp, "mean")[0, 0].tolist() == [[2, 2.5, 3], [3.5, 4, 4.5], [5, 5.5, 6]]
    assert pooled(-1 - ramp, "maximum")[0, 0].tolist() == [[-1, -1, -2], [-1, -1, -2], [-4, -4, -5]]
    network = FidInception()
    assert [network.get_submodule(f"Mixed_7{letter}")._pool for letter in "bc"] == ["mean", "maximum"]


def test_frames_are_scaled_as_published() -> None:
    """Bilinear about pixel centres, without smoothing first: column c shows place (c + .5) W / 299 - .5."""
    frames = np.zeros((1, 2, 700, 3), np.uint8)
    frames[..., 0] = np.random.default_rng(0).integers(0, 256, size=700)
    frames[..., 1] = 255
    seen = as_seen(torch.from_numpy(frames))
    assert seen.shape == (1, 3, 299, 299)
    places = (np.arange(299) + 0.5) * 700 / 299 - 0.5
    expected = np.interp(places, np.arange(700), frames[0, 0, :, 0]) / 127.5 - 1
    assert seen[0, 0, 100].numpy() == pytest.approx(expected, abs=1e-4)
    assert seen[0, 1].numpy() == pytest.approx(1, abs=1e-6)
    assert (seen[0, 2] == -1).all()


def test_clips_are_read_frame_by_frame(features: InceptionFeatures, tmp_path: Path) -> None:
    write_clip(tmp_path / "clip.mp4", list(np.concatenate([pattern()] * 2)[:3]), 25, None)
    found = features.of_clip(tmp_path / "clip.mp4")
    assert found.shape == (3, 2048)
    apart = np.linalg.norm(found[0] - found[1])
    assert np.linalg.norm(found[0] - found[2]) < apart / 2  # the same frame, but for the codec
    (tmp_path / "text.mp4").write_text("no clip")
    with pytest.raises(BadInput):
        features.of_clip(tmp_path / "text.mp4")


def test_other_weights_are_refused(tmp_path: Path) -> None:
    shapes = {**published(), "fc.weight": (1000, 2048), "AuxLogits.fc.bias": (1000,)}
    del shapes["Mixed_6c.branch7x7dbl_4.conv.weight"]
    with pytest.raises(BadInput) as caught:
        InceptionFeatures(saved_empty(shapes, tmp_path / "torchvision.pth"))
    assert caught.value.code == "judging.weights_do_not_fit"
    assert caught.value.details["missing"] == ["Mixed_6c.branch7x7dbl_4.conv.weight"]
    assert caught.value.details["unknown"] == ["AuxLogits.fc.bias"]
    assert caught.value.details["misshapen"] == ["fc.weight [1000, 2048] instead of [1008, 2048]"]


def test_pins_and_what_is_missing(weights: Path) -> None:
    judge = FidJudge(weights)
    assert [(metric.name, metric.aggregate) for metric in judge.metrics] == [("fid", "distribution")]
    assert judge.missing() is None
    assert pickle.loads(pickle.dumps(judge)).pin == judge.pin
    assert "reference" in str(judge.pin.settings["against"])
    assert "Inception" in str(FidJudge(None).missing())
