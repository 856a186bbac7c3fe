"""The paper's extractors take the published layout as it is, and compute what their descriptions say."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch.nn import functional

from dubflow.errors import BadInput, WrongUse
from dubflow.faces.features.emofan import EmoFan
from dubflow.faces.features.lip_resnet import LipResNet
from dubflow.faces.features.paper import PaperFaceFeatures, PaperLipFeatures
from dubflow.faces.features.weights import load_strictly

Weights = dict[str, torch.Tensor]


@pytest.fixture(scope="module")
def lip_file(lip_weights: Weights, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("weights") / "lips.safetensors"
    save_file(lip_weights, path)
    return path


@pytest.fixture(scope="module")
def face_file(emofan_weights: Weights, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("weights") / "faces.pth"
    torch.save({f"module.{name}": tensor for name, tensor in emofan_weights.items()}, path)
    return path


@pytest.fixture(scope="module")
def lips(lip_file: Path) -> PaperLipFeatures:
    return PaperLipFeatures(lip_file)


def pictures(frames: int, side: int = 96, seed: int = 0, *colour: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (frames, side, side, *colour), dtype=np.uint8)


def test_lip_parameters_are_those_of_resnet_18(lip_weights: Weights) -> None:
    """11.17 million in the trunk of ResNet-18 without its first convolution and classifier."""
    trunk = sum(p.numel() for name, p in LipResNet().named_parameters() if name.startswith("trunk."))
    assert trunk == 11_166_976
    taken = {name for name in lip_weights if not name.startswith("tcn")}
    assert set(LipResNet("swish").state_dict()) == taken


def test_lip_features_have_a_row_a_frame_and_vary(lips: PaperLipFeatures) -> None:
    features = lips.extract(pictures(7))
    assert features.shape == (7, 512)
    assert features.dtype == np.float32
    assert np.isfinite(features).all()
    assert (features.std(axis=0) > 0).mean() > 0.9
    assert lips.extract(pictures(0)).shape == (0, 512)


def test_only_the_middle_88_pixels_are_seen(lips: PaperLipFeatures) -> None:
    crops = pictures(3)
    framed = crops.copy()
    framed[:, :4], framed[:, -4:], framed[:, :, :4], framed[:, :, -4:] = 0, 255, 255, 0
    np.testing.assert_array_equal(lips.extract(framed), lips.extract(crops))
    framed[:, 4, 4] ^= 255
    assert not np.array_equal(lips.extract(framed), lips.extract(crops))


def test_a_frame_is_seen_by_two_frames_on_either_side(lips: PaperLipFeatures) -> None:
    crops = pictures(11)
    other = crops.copy()
    other[5] = 255 - other[5]
    changed = np.abs(lips.extract(other) - lips.extract(crops)).max(axis=1) > 1e-4
    assert np.flatnonzero(changed).tolist() == [3, 4, 5, 6, 7]


def test_features_do_not_depend_on_the_chunk(lip_file: Path, lips: PaperLipFeatures) -> None:
    crops = pictures(9)
    np.testing.assert_allclose(PaperLipFeatures(lip_file, chunk=2).extract(crops), lips.extract(crops), atol=2e-5)


def test_lip_stem_is_the_published_one(lip_weights: Weights) -> None:
    """The first stage recomputed with plain functions: convolution, normalisation, swish, max pool."""
    network = LipResNet("swish")
    load_strictly(network, lip_weights, ("tcn",), "test")
    clip = torch.randn(1, 1, 4, 88, 88, generator=torch.Generator().manual_seed(1))
    weights = {name.removeprefix("frontend3D."): tensor for name, tensor in lip_weights.items()}
    stem = functional.conv3d(clip, weights["0.weight"], stride=(1, 2, 2), padding=(2, 3, 3))
    shape = (1, -1, 1, 1, 1)
    stem = (stem - weights["1.running_mean"].view(shape)) / (weights["1.running_var"].view(shape) + 1e-5).sqrt()
    stem = stem * weights["1.weight"].view(shape) + weights["1.bias"].view(shape)
    stem = functional.max_pool3d(stem * stem.sigmoid(), (1, 3, 3), (1, 2, 2), (0, 1, 1))
    assert stem.shape == (1, 64, 4, 22, 22)
    torch.testing.assert_close(network.frontend3D(clip), stem, atol=1e-5, rtol=1e-4)


def test_the_activation_is_read_from_the_weights_or_asked_for(
    lip_file: Path, lip_weights_with_slopes: Weights, tmp_path: Path
) -> None:
    sloped = tmp_path / "sloped.safetensors"
    save_file(lip_weights_with_slopes, sloped)
    assert "-prelu-" in PaperLipFeatures(sloped).id
    assert "-swish-" in PaperLipFeatures(lip_file).id
    plain = PaperLipFeatures(lip_file, activation="relu")
    assert "-relu-" in plain.id
    assert (plain.extract(pictures(2)) >= 0).all()
    with pytest.raises(BadInput, match=r"unknown: frontend3D\.2\.weight"):
        PaperLipFeatures(sloped, activation="relu")


def test_identities_tell_weights_apart(lip_file: Path, lip_weights: Weights, tmp_path: Path) -> None:
    other = tmp_path / "other.safetensors"
    save_file({**lip_weights, "frontend3D.1.bias": lip_weights["frontend3D.1.bias"] + 1}, other)
    assert PaperLipFeatures(other).id != PaperLipFeatures(lip_file).id
    assert PaperLipFeatures(lip_file).id == PaperLipFeatures(lip_file).id


def test_emofan_takes_the_published_names(emofan_weights: Weights) -> None:
    taken = {name for name in emofan_weights if not name.startswith("emo_fc_2.")}
    assert set(EmoFan().state_dict()) == taken


def test_face_features_of_a_frame_depend_on_it_alone_and_on_its_colour(face_file: Path) -> None:
    faces = PaperFaceFeatures(face_file)
    crops = pictures(2, 256, 1, 3)
    together = faces.extract(crops)
    assert together.shape == (2, 256)
    assert np.isfinite(together).all()
    assert np.abs(together[0] - together[1]).max() > 1e-3
    np.testing.assert_allclose(faces.extract(crops[1:2]), together[1:2], rtol=1e-3, atol=1e-4 * np.abs(together).max())
    assert np.abs(faces.extract(crops[:1, :, :, ::-1]) - together[:1]).max() > 1e-3
    assert faces.extract(pictures(0, 64, 0, 3)).shape == (0, 256)
    assert faces.id.startswith("emofan-")


def test_heatmaps_gate_what_the_hourglasses_saw(emofan_weights: Weights) -> None:
    """Without heatmaps only the stem reaches the emotion blocks: the hourglasses stop mattering."""
    blind = {
        name: torch.zeros_like(tensor) if name.startswith("l1.") else tensor for name, tensor in emofan_weights.items()
    }
    other = {
        name: tensor * 0.5 if name.startswith("m1.") and tensor.ndim == 4 else tensor for name, tensor in blind.items()
    }
    # The network is made of convolutions; a smaller picture shows the same in less time.
    picture = torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    features = []
    for weights in (emofan_weights, blind, other):
        network = EmoFan()
        load_strictly(network, weights, ("emo_fc_2.",), "test")
        with torch.inference_mode():
            features.append(network(picture))
    assert not torch.allclose(features[0], features[1], rtol=1e-3)
    torch.testing.assert_close(features[1], features[2])


def test_zero_frames_at_once_is_wrong_use(lip_file: Path) -> None:
    with pytest.raises(WrongUse, match="bad_chunk"):
        PaperLipFeatures(lip_file, chunk=0)
