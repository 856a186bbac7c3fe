"""I3D: the published layout, TensorFlow's padding, and stretches of clips."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn import functional

from dubflow.errors import BadInput
from dubflow.judging.full.i3d.judge import FvdJudge, I3dFeatures, as_seen
from dubflow.judging.full.i3d.network import SHORTEST, I3d, same_max_pool, same_pad
from dubflow.media.encode import write_clip
from judging.full.published import known_state, norm, saved_empty, shapes_of

# Of Inception v1: channels before a block, then of its four branches (the second and third by way of fewer).
BLOCKS = {
    "3b": (192, 64, 96, 128, 16, 32, 32), "3c": (256, 128, 128, 192, 32, 96, 64),
    "4b": (480, 192, 96, 208, 16, 48, 64), "4c": (512, 160, 112, 224, 24, 64, 64),
    "4d": (512, 128, 128, 256, 24, 64, 64), "4e": (512, 112, 144, 288, 32, 64, 64),
    "4f": (528, 256, 160, 320, 32, 128, 128),
    "5b": (832, 256, 160, 320, 32, 128, 128), "5c": (832, 384, 192, 384, 48, 128, 128),
}  # fmt: skip


def published() -> dict[str, tuple[int, ...]]:
    """As ``rgb_imagenet.pt`` names them."""
    convolutions = {
        "Conv3d_1a_7x7": (64, 3, 7, 7, 7),
        "Conv3d_2b_1x1": (64, 64, 1, 1, 1),
        "Conv3d_2c_3x3": (192, 64, 3, 3, 3),
    }
    for name, (before, b0, b1a, b1b, b2a, b2b, b3b) in BLOCKS.items():
        one, three = (1, 1, 1), (3, 3, 3)
        convolutions |= {
            f"Mixed_{name}.b0": (b0, before, *one),
            f"Mixed_{name}.b1a": (b1a, before, *one),
            f"Mixed_{name}.b1b": (b1b, b1a, *three),
            f"Mixed_{name}.b2a": (b2a, before, *one),
            f"Mixed_{name}.b2b": (b2b, b2a, *three),
            f"Mixed_{name}.b3b": (b3b, before, *one),
        }
    shapes: dict[str, tuple[int, ...]] = {
        "logits.conv3d.weight": (400, 1024, 1, 1, 1),
        "logits.conv3d.bias": (400,),
    }
    for name, shape in convolutions.items():
        shapes |= {f"{name}.conv3d.weight": shape} | norm(f"{name}.bn", shape[0])
    return shapes


@pytest.fixture(scope="module")
def state() -> dict[str, torch.Tensor]:
    return known_state(published())


@pytest.fixture(scope="module")
def weights(state: dict[str, torch.Tensor], tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("i3d") / "rgb_imagenet.pt"
    torch.save(state, path)
    return path


@pytest.fixture(scope="module")
def features(weights: Path) -> I3dFeatures:
    return I3dFeatures(weights)


def noise(frames: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, size=(frames, 40, 50, 3), dtype=np.uint8)


def test_the_published_layout() -> None:
    with torch.device("meta"):
        network = I3d()
    assert shapes_of(network) == published()
    assert sum(one.numel() for one in network.parameters()) == 12_697_264


def test_padding_is_tensorflows() -> None:
    """Length 5 in steps of 2 makes 3 places, 7 wide: 6 more, 3 before; length 4: 5 more, 2 before and 3 behind."""
    maps = torch.ones(1, 1, 5, 4, 2)
    padded = same_pad(maps, (7, 7, 1), (2, 2, 2))
    assert padded.shape == (1, 1, 5 + 6, 4 + 5, 2)
    assert padded[0, 0, :, 4, 0].tolist() == [0, 0, 0, 1, 1, 1, 1, 1, 0, 0, 0]
    assert padded[0, 0, 5, :, 0].tolist() == [0, 0, 1, 1, 1, 1, 0, 0, 0]
    ramp = torch.arange(1.0, 6).reshape(1, 1, 5, 1, 1)
    assert same_max_pool(ramp, (2, 1, 1), (2, 1, 1)).flatten().tolist() == [2, 4, 5]
    assert same_max_pool(ramp, (3, 1, 1), (2, 1, 1)).flatten().tolist() == [2, 4, 5]
    assert same_max_pool(-ramp, (3, 1, 1), (1, 1, 1)).flatten().tolist() == [0, -1, -2, -3, 0]  # zeros count
    for length in range(1, 30):
        for kernel, stride in ((7, 2), (3, 1), (3, 2), (2, 2), (1, 2)):
            pooled = same_max_pool(torch.ones(1, 1, length, 1, 1), (kernel, 1, 1), (stride, 1, 1))
            assert pooled.shape[2] == -(-length // stride)


def test_the_network_is_the_published_one(features: I3dFeatures, state: dict[str, torch.Tensor]) -> None:
    """Against plain functions, padded by the published rule, in the published order."""

    def padded(maps: torch.Tensor, kernel: int, stride: int, time: tuple[int, int] | None = None) -> torch.Tensor:
        sides: list[int] = []
        for axis, length in enumerate(maps.shape[2:]):
            wide, step = time if time is not None and axis == 0 else (kernel, stride)
            total = max(wide - step if length % step == 0 else wide - length % step, 0)
            sides = [total // 2, total - total // 2, *sides]
        return functional.pad(maps, sides)

    def unit(maps: torch.Tensor, name: str, stride: int = 1) -> torch.Tensor:
        weight = state[f"{name}.conv3d.weight"]
        maps = functional.conv3d(padded(maps, weight.shape[2], stride), weight, stride=stride)
        kept = (state[f"{name}.bn.{one}"] for one in ("running_mean", "running_var", "weight", "bias"))
        return functional.relu(functional.batch_norm(maps, *kept, eps=1e-3))

    def flat_pool(maps: torch.Tensor) -> torch.Tensor:
        return functional.max_pool3d(padded(maps, 3, 2, (1, 1)), (1, 3, 3), (1, 2, 2))

    def block(maps: torch.Tensor, name: str) -> torch.Tensor:
        around = functional.max_pool3d(padded(maps, 3, 1), 3, 1)
        one, other = (unit(unit(maps, f"{name}.{branch}a"), f"{name}.{branch}b") for branch in ("b1", "b2"))
        return torch.cat([unit(maps, f"{name}.b0"), one, other, unit(around, f"{name}.b3b")], 1)

    frames = noise(SHORTEST)
    with torch.inference_mode():
        maps = flat_pool(unit(as_seen(torch.from_numpy(frames)), "Conv3d_1a_7x7", 2))
        maps = flat_pool(unit(unit(maps, "Conv3d_2b_1x1"), "Conv3d_2c_3x3"))
        for name in BLOCKS:
            if name == "4b":
                maps = functional.max_pool3d(padded(maps, 3, 2), 3, 2)
            if name == "5b":
                maps = functional.max_pool3d(padded(maps, 2, 2), 2, 2)
            maps = block(maps, f"Mixed_{name}")
        assert maps.shape == (1, 1024, 2, 7, 7)
        mean = maps.mean(dim=(2, 3, 4))[0]
        by_hand = (state["logits.conv3d.weight"][:, :, 0, 0, 0] @ mean + state["logits.conv3d.bias"]).numpy()
    found = features.of_frames(frames)
    assert found.shape == (400,)
    assert found == pytest.approx(by_hand, abs=1e-3 * np.abs(by_hand).max())


def test_frames_as_the_network_sees_them() -> None:
    frames = np.zeros((3, 4, 4, 3), np.uint8)
    frames[1, ..., 2] = 255
    seen = as_seen(torch.from_numpy(frames))
    assert seen.shape == (1, 3, 3, 224, 224)
    assert seen[0, 2, 1].numpy() == pytest.approx(1, abs=1e-6)
    assert (seen[0, :2] == -1).all()
    assert (seen[0, 2, [0, 2]] == -1).all()


def test_clips_are_cut_into_stretches(features: I3dFeatures, tmp_path: Path) -> None:
    """36 frames are two stretches of 16, the second of which has nothing of the first; 15 are none."""
    write_clip(tmp_path / "clip.mp4", [np.full((32, 32, 3), 8 * (n % 16), np.uint8) for n in range(36)], 25, None)
    found = features.of_clip(tmp_path / "clip.mp4")
    assert found.shape == (2, 400)
    assert found[0] == pytest.approx(found[1], abs=0.05 * np.abs(found).max())  # the same frames, but for the codec
    write_clip(tmp_path / "short.mp4", [np.zeros((32, 32, 3), np.uint8)] * 15, 25, None)
    with pytest.raises(BadInput, match=r"short\.mp4") as caught:
        features.of_clip(tmp_path / "short.mp4")
    assert caught.value.code == "judging.too_short"


def test_other_weights_are_refused(tmp_path: Path) -> None:
    shapes = {**published(), "logits.conv3d.weight": (157, 1024, 1, 1, 1), "logits.conv3d.bias": (157,)}
    with pytest.raises(BadInput) as caught:
        I3dFeatures(saved_empty(shapes, tmp_path / "rgb_charades.pt"))
    assert caught.value.code == "judging.weights_do_not_fit"
    assert len(caught.value.details["misshapen"]) == 2


@pytest.mark.filterwarnings("ignore")  # that scripts are deprecated, and that this is one
def test_archives_with_code_are_refused(tmp_path: Path) -> None:
    """StyleGAN-V's I3D is TorchScript, which runs its own code when it is loaded."""
    torch.jit.script(torch.nn.Linear(2, 2)).save(str(tmp_path / "i3d_torchscript.pt"))
    with pytest.raises(BadInput) as caught:
        I3dFeatures(tmp_path / "i3d_torchscript.pt")
    assert caught.value.code == "judging.bad_weights"


def test_pins_and_what_is_missing(weights: Path) -> None:
    judge = FvdJudge(weights)
    (metric,) = judge.metrics
    assert (metric.name, metric.aggregate) == ("fvd", "distribution")
    assert "StyleGAN-V" in metric.comparable_with
    assert judge.missing() is None
    assert pickle.loads(pickle.dumps(judge)).pin == judge.pin
    assert judge.pin.settings["stretch"] == 16
    assert "I3D" in str(FvdJudge(None).missing())
