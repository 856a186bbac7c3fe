"""ERes2Net with random weights in the layout of the published files."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from dubflow.errors import BadInput
from dubflow.judging.card.functions import Measured, Unmeasured
from dubflow.judging.card.items import BenchmarkItem, Subject
from dubflow.judging.full.eres2net.judge import SHORTEST_SAMPLES, Eres2NetSpeaker, VSimJudge
from dubflow.judging.full.eres2net.network import LAYOUTS, ERes2Net, Fusion
from dubflow.judging.voice import paired_similarity
from dubflow.media.encode import write_audio

RATE = 16_000

# Spelled from the published code of 3D-Speaker, not from ours: name to shape.
PUBLISHED = {
    "en-voxceleb": {
        "conv1.weight": (32, 1, 3, 3), "bn1.running_var": (32,),
        "layer1.0.conv1.weight": (32, 32, 1, 1), "layer1.0.convs.1.weight": (16, 16, 3, 3),
        "layer1.0.bns.1.bias": (16,), "layer1.0.conv3.weight": (64, 32, 1, 1),
        "layer1.0.shortcut.0.weight": (64, 32, 1, 1), "layer1.0.shortcut.1.running_mean": (64,),
        "layer2.3.bn3.weight": (128,), "layer3.5.fuse_models.0.local_att.0.weight": (16, 128, 1, 1),
        "layer3.5.fuse_models.0.local_att.0.bias": (16,), "layer3.5.fuse_models.0.local_att.3.weight": (64, 16, 1, 1),
        "layer4.0.shortcut.0.weight": (512, 256, 1, 1), "layer4.2.fuse_models.0.local_att.4.running_mean": (128,),
        "layer1_downsample.weight": (128, 64, 3, 3), "layer2_downsample.weight": (256, 128, 3, 3),
        "layer3_downsample.weight": (512, 256, 3, 3), "fuse_mode12.local_att.0.weight": (32, 256, 1, 1),
        "fuse_mode123.local_att.1.num_batches_tracked": (), "fuse_mode1234.local_att.3.bias": (512,),
        "seg_1.weight": (192, 10240), "seg_1.bias": (192,),
    },
    "zh-cn-common": {
        "conv1.weight": (64, 1, 3, 3), "layer1.0.conv1.weight": (72, 64, 1, 1),
        "layer1.2.convs.2.weight": (24, 24, 3, 3), "layer1.0.conv3.weight": (256, 72, 1, 1),
        "layer3.0.fuse_models.1.local_att.0.weight": (24, 192, 1, 1), "layer4.2.bns.2.weight": (192,),
        "layer1_downsample.weight": (512, 256, 3, 3), "layer3_downsample.weight": (2048, 1024, 3, 3),
        "fuse_mode1234.local_att.0.weight": (512, 4096, 1, 1), "seg_1.weight": (192, 40960),
    },
}  # fmt: skip


def random_network(seed: int = 0) -> ERes2Net:
    torch.manual_seed(seed)
    network = ERes2Net(LAYOUTS["en-voxceleb"])
    for name, buffer in network.named_buffers():
        if name.endswith("running_mean"):
            buffer.normal_(0, 0.1)
        elif name.endswith("running_var"):
            buffer.uniform_(0.5, 2)
    return network.eval()


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("eres2net") / "pretrained_eres2net.ckpt"
    torch.save(random_network().state_dict(), path)
    return path


@pytest.fixture(scope="module")
def speaker(weights: Path) -> Eres2NetSpeaker:
    return Eres2NetSpeaker(weights)


@pytest.mark.parametrize("variant", list(LAYOUTS))
def test_names_and_shapes_as_published(variant: str) -> None:
    with torch.device("meta"):
        state = ERes2Net(LAYOUTS[variant]).state_dict()
    found = {name: tuple(state[name].shape) for name in PUBLISHED[variant] if name in state}
    assert found == PUBLISHED[variant]
    stages = {
        name.split(".")[0] + "." + name.split(".")[1]
        for name in state
        if name.startswith("layer") and "down" not in name
    }
    assert len(stages) == 3 + 4 + 6 + 3
    fused = {name.split(".fuse")[0] for name in state if ".fuse_models." in name}
    assert {name.split(".")[0] for name in fused} == {"layer3", "layer4"}


def test_sizes_as_published() -> None:
    """6.61 million parameters by 3D-Speaker's own count; the file of the other is 221,210,095 bytes long, of which an
    archive's entries and headers are about 330 a tensor."""
    with torch.device("meta"):
        small, large = (ERes2Net(LAYOUTS[one]) for one in ("en-voxceleb", "zh-cn-common"))
    assert round(sum(one.numel() for one in small.parameters()) / 1e6, 2) == 6.61
    held = sum(one.numel() * one.element_size() for one in large.state_dict().values())
    assert 0 < 221_210_095 - held < 450 * len(large.state_dict())


def test_fusion_only_shares_out() -> None:
    torch.manual_seed(1)
    fusion = Fusion(8).eval()
    first, second = torch.randn(2, 1, 8, 4, 5)
    assert torch.allclose(fusion(first, first), 2 * first, atol=1e-6)
    mixed = fusion(first, second)
    low, high = torch.minimum(2 * first, 2 * second), torch.maximum(2 * first, 2 * second)
    assert bool(((mixed >= low - 1e-6) & (mixed <= high + 1e-6)).all())


def by_hand(state: dict[str, torch.Tensor], features: torch.Tensor) -> torch.Tensor:
    """The vector ``[192]`` of features ``[frames, 80]`` from named weights alone, step by step as the paper has it."""

    def conv(name: str, picture: torch.Tensor, stride: int = 1) -> torch.Tensor:
        weight = state[name + ".weight"]
        return F.conv2d(picture, weight, state.get(name + ".bias"), stride, padding=weight.shape[-1] // 2)

    def norm(name: str, picture: torch.Tensor) -> torch.Tensor:
        mean, spread, gain, shift = (
            state[f"{name}.{part}"][:, None, None] for part in ("running_mean", "running_var", "weight", "bias")
        )
        return (picture - mean) / (spread + 1e-5).sqrt() * gain + shift

    def fuse(name: str, first: torch.Tensor, second: torch.Tensor) -> torch.Tensor:
        inner = F.silu(norm(name + ".local_att.1", conv(name + ".local_att.0", torch.cat((first, second), 1))))
        share = 1 + torch.tanh(norm(name + ".local_att.4", conv(name + ".local_att.3", inner)))
        return share * first + (2 - share) * second

    def block(name: str, picture: torch.Tensor, stride: int) -> torch.Tensor:
        entering = norm(name + ".bn1", conv(name + ".conv1", picture, stride)).clamp(0, 20)
        first, second = entering.chunk(2, dim=1)
        first = norm(name + ".bns.0", conv(name + ".convs.0", first)).clamp(0, 20)
        fused = f"{name}.fuse_models.0"
        second = fuse(fused, first, second) if f"{fused}.local_att.0.weight" in state else first + second
        second = norm(name + ".bns.1", conv(name + ".convs.1", second)).clamp(0, 20)
        beside = picture
        if name + ".shortcut.0.weight" in state:
            beside = norm(name + ".shortcut.1", conv(name + ".shortcut.0", picture, stride))
        return (norm(name + ".bn3", conv(name + ".conv3", torch.cat((first, second), 1))) + beside).clamp(0, 20)

    picture = norm("bn1", conv("conv1", features.T[None, None])).clamp(min=0)
    stages = []
    for stage, count in enumerate((3, 4, 6, 3)):
        for index in range(count):
            picture = block(f"layer{stage + 1}.{index}", picture, 2 if stage and not index else 1)
        stages.append(picture)
    fused = fuse("fuse_mode12", stages[1], conv("layer1_downsample", stages[0], 2))
    fused = fuse("fuse_mode123", stages[2], conv("layer2_downsample", fused, 2))
    fused = fuse("fuse_mode1234", stages[3], conv("layer3_downsample", fused, 2))[0].flatten(0, 1)
    pooled = torch.cat((fused.mean(1), (fused.var(1, unbiased=True) + 1e-8).sqrt()))
    return state["seg_1.weight"] @ pooled + state["seg_1.bias"]


@pytest.mark.parametrize("gain", [1.0, 30.0])
def test_as_computed_by_hand(gain: float) -> None:
    """With a gain much lies beyond 20, where the blocks clip and the first layer does not."""
    network = random_network(2)
    features = gain * torch.randn(37, 80)
    with torch.inference_mode():
        expected = by_hand(network.state_dict(), features)
        found = network(features[None])[0]
    assert torch.allclose(found, expected, atol=1e-4 * float(expected.abs().max()))


def test_one_vector_whatever_else_is_in_the_batch() -> None:
    network = random_network()
    with torch.inference_mode():
        batch = torch.randn(3, 60, 80)
        together = network(batch)
        for index in range(3):
            assert torch.allclose(network(batch[index : index + 1])[0], together[index], atol=1e-5)


def test_the_same_again_at_another_level_and_with_an_offset(speaker: Eres2NetSpeaker, noise) -> None:
    sound = noise(1.0)
    one = speaker.embed(sound)
    speaker.embed(noise(0.7, 3))
    assert one.shape == (192,)
    np.testing.assert_array_equal(speaker.embed(sound), one)
    quieter = speaker.embed((0.25 * sound + 0.01).astype(np.float32))
    assert paired_similarity(one[None], quieter[None])[0] > 0.9999
    other = speaker.embed(noise(1.0, 9))
    assert np.abs(other - one).max() > 1e-4


def test_length(speaker: Eres2NetSpeaker, noise) -> None:
    sound = noise(1.0)
    assert np.isfinite(speaker.embed(sound[:SHORTEST_SAMPLES])).all()
    with pytest.raises(BadInput) as caught:
        speaker.embed(sound[: SHORTEST_SAMPLES - 1])
    assert caught.value.code == "judging.too_short"
    with pytest.raises(BadInput) as caught:
        speaker.embed(np.full(8000, np.nan, np.float32))
    assert caught.value.code == "judging.bad_waveform"


def test_another_networks_weights_are_refused(weights: Path, tmp_path: Path) -> None:
    with pytest.raises(BadInput) as caught:
        Eres2NetSpeaker(weights, "zh-cn-common")
    assert caught.value.code == "judging.weights_do_not_fit"
    state = torch.load(weights, weights_only=True)
    renamed = {name.replace("seg_1", "seg_2"): tensor for name, tensor in state.items()}
    torch.save(renamed, tmp_path / "renamed.ckpt")
    with pytest.raises(BadInput) as caught:
        Eres2NetSpeaker(tmp_path / "renamed.ckpt")
    assert caught.value.details["missing"] == ["seg_1.bias", "seg_1.weight"]
    assert caught.value.details["unknown"] == ["seg_2.bias", "seg_2.weight"]


def test_the_judge(weights: Path, tmp_path: Path, noise) -> None:
    judge = pickle.loads(pickle.dumps(VSimJudge(weights)))
    assert judge.missing() is None
    assert judge.pin.version == "eres2net-en-voxceleb"
    assert len(pickle.dumps(judge)) < 10_000
    for name, seed in (("same", 1), ("other", 2)):
        write_audio(tmp_path / f"{name}.wav", noise(1.0, seed), RATE)
    write_audio(tmp_path / "tiny.wav", noise(0.05), RATE)
    item = BenchmarkItem(id="one")
    clip = tmp_path / "same.wav"

    def asked(**files: str) -> Measured | Unmeasured:
        return judge.score(Subject(item, clip, {role: tmp_path / f"{name}.wav" for role, name in files.items()}))[
            "v_sim"
        ]

    assert asked(reference="same").value == pytest.approx(1, abs=1e-6)
    assert asked(voice="other", reference="same").value < 0.99999  # the voice comes first
    assert asked().blame == "item"
    assert asked(voice="tiny").blame == "item"
    clip = tmp_path / "tiny.wav"
    assert asked(voice="same").blame == "clip"
    assert judge.when_failed(item)["v_sim"].blame == "item"
    unnamed = VSimJudge(None)
    assert "full.eres2net" in unnamed.missing()
    assert "none.ckpt" in VSimJudge(tmp_path / "none.ckpt").missing()
