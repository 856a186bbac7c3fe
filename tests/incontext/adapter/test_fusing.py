"""Adapters beside and inside a base: the same outputs, sums of several, 8 bits, memory of one tensor, refusals."""

from __future__ import annotations

import weakref
from pathlib import Path

import pytest
import torch
from torch import Tensor

from dubflow.errors import BadInput, WrongUse
from dubflow.incontext.adapter.files import Adapter, LoraPair, adapter_from, read_adapter, write_adapter
from dubflow.incontext.adapter.fusing import added, fuse, fuse_live, plan_fuse, with_loras
from dubflow.incontext.adapter.lora import LoraSettings, add_lora, lora_weights
from dubflow.incontext.adapter.metadata import AdapterMetadata
from dubflow.incontext.backbone.folders import save_backbone, write_part
from dubflow.incontext.backbone.parts import Backbone
from dubflow.incontext.backbone.positions import audio_positions, video_positions
from dubflow.incontext.backbone.sources import open_base
from dubflow.incontext.backbone.tensor_file import TensorFacts
from dubflow.incontext.backbone.tiny import tiny_backbone


def _adapter(seed: int, rank: int = 4) -> Adapter:
    transformer = tiny_backbone().transformer
    add_lora(transformer, LoraSettings(rank=rank), seed=seed)
    draw = torch.Generator().manual_seed(seed)
    weights = {
        name: tensor if "lora_A" in name else 0.3 * torch.randn(tensor.shape, generator=draw)
        for name, tensor in lora_weights(transformer).items()
    }
    return adapter_from(weights, AdapterMetadata(base_version="2.0"))


def _velocity(backbone: Backbone, transformer: object = None) -> Tensor:
    draw = torch.Generator().manual_seed(3)
    with torch.no_grad():
        video, audio = (transformer or backbone.transformer)(  # type: ignore[operator]
            hidden_states=torch.randn(1, 4, 8, generator=draw),
            audio_hidden_states=torch.randn(1, 5, 8, generator=draw),
            encoder_hidden_states=torch.randn(1, 6, 32, generator=draw),
            audio_encoder_hidden_states=torch.randn(1, 6, 32, generator=draw),
            timestep=torch.full((1, 4), 300.0),
            audio_timestep=torch.full((1, 5), 300.0),
            video_coords=video_positions(backbone.geometry, (1, 2, 2), 25.0),
            audio_coords=audio_positions(backbone.geometry, 5),
            return_dict=False,
        )
    return torch.cat([video.flatten(), audio.flatten()])


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("base") / "base"
    save_backbone(tiny_backbone(), path)
    return path


def _loaded(folder: Path) -> object:
    from diffusers import LTX2VideoTransformer3DModel

    return LTX2VideoTransformer3DModel.from_pretrained(folder, local_files_only=True).eval()


def test_two_fused_are_two_beside(base: Path, tmp_path: Path) -> None:
    first, second = _adapter(1), _adapter(2, rank=2)
    backbone = tiny_backbone()
    plain = _velocity(backbone)
    with_loras(backbone.transformer, {"dub": (first, 1.0), "distilled": (second, 0.5)}, "2.0")
    beside = _velocity(backbone)
    assert not torch.allclose(beside, plain, atol=1e-3)
    done = fuse(base, [(first, 1.0), (second, 0.5)], tmp_path / "fused", shard_bytes=60_000)
    assert len(done.files) > 1
    assert done.changed == 56
    torch.testing.assert_close(_velocity(backbone, _loaded(tmp_path / "fused")), beside, atol=1e-5, rtol=1e-5)
    backbone.transformer.set_adapters(["dub"], [1.0])
    alone = _velocity(backbone)
    fuse(base, [(first, 1.0)], tmp_path / "alone")
    torch.testing.assert_close(_velocity(backbone, _loaded(tmp_path / "alone")), alone, atol=1e-5, rtol=1e-5)
    live = tiny_backbone()
    fuse_live(live.transformer, [(first, 1.0)], "2.0")
    assert torch.equal(_velocity(live), _velocity(live, _loaded(tmp_path / "alone")))


def test_a_file_beside_a_base_is_the_live_adapter(tmp_path: Path) -> None:
    live = tiny_backbone()
    add_lora(live.transformer, LoraSettings(rank=4), seed=1)
    with torch.no_grad():
        for name, parameter in live.transformer.named_parameters():
            if "lora_B" in name:
                parameter.normal_(0.0, 0.3, generator=torch.Generator().manual_seed(5))
    write_adapter(tmp_path / "x.safetensors", adapter_from(lora_weights(live.transformer)))
    other = tiny_backbone()
    with_loras(other.transformer, {"read": (read_adapter(tmp_path / "x.safetensors"), 1.0)}, "2.0")
    assert torch.equal(_velocity(other), _velocity(live))


def test_fusing_is_the_sum_and_touches_nothing_else(base: Path, tmp_path: Path) -> None:
    adapter = _adapter(1)
    fuse(base / "transformer", [(adapter, 0.25), (adapter, 0.75)], tmp_path / "fused")
    before, after = open_base(base).parts["transformer"], open_base(tmp_path / "fused").parts["transformer"]
    assert set(before.facts) == set(after.facts)
    for name in before.facts:
        pair = adapter.pairs.get(name.removesuffix(".weight"))
        expected = before.load(name) + (pair.b @ pair.a if pair and name.endswith(".weight") else 0)
        torch.testing.assert_close(after.load(name), expected, atol=1e-6, rtol=1e-6)


def test_layers_of_the_connectors_are_said_to_be_left_out(base: Path, tmp_path: Path) -> None:
    adapter = _adapter(1)
    pair = LoraPair(torch.randn(2, 96), torch.randn(32, 2))
    more = Adapter(dict(adapter.pairs) | {"connectors.text_proj_in": pair}, adapter.metadata)
    done = fuse(base, [(more, 1.0)], tmp_path / "more")
    assert done.left_out == ("connectors.text_proj_in",)
    fuse(base, [(adapter, 1.0)], tmp_path / "plain")
    name = "diffusion_pytorch_model.safetensors"
    assert (tmp_path / "more" / name).read_bytes() == (tmp_path / "plain" / name).read_bytes()
    beside = tiny_backbone()
    with_loras(beside.transformer, {"more": (more, 1.0)}, "2.0")
    torch.testing.assert_close(_velocity(beside, _loaded(tmp_path / "plain")), _velocity(beside), atol=1e-5, rtol=1e-5)


def test_8_bit_weights_are_added_to_and_never_overflow() -> None:
    weight = torch.tensor([[400.0, 1.0], [-440.0, 0.5]]).to(torch.float8_e4m3fn)
    pair = LoraPair(torch.tensor([[1.0, 1.0]]), torch.tensor([[200.0], [-0.25]]))
    fused = added(weight, [(pair, 1.0)])
    assert fused.dtype == torch.float8_e4m3fn
    assert fused.float().tolist() == [[448.0, 208.0], [-448.0, 0.25]]


def test_a_plan_writes_nothing_and_says_the_same(base: Path, tmp_path: Path) -> None:
    adapter = _adapter(1)
    planned = plan_fuse(base, [(adapter, 1.0)])
    done = fuse(base, [(adapter, 1.0)], tmp_path / "fused")
    assert (planned.changed, planned.tensors, planned.bytes) == (done.changed, done.tensors, done.bytes)
    assert planned.files == ()


def test_one_tensor_is_in_memory_at_a_time(tmp_path: Path) -> None:
    alive: list[weakref.ref[Tensor]] = []
    most = 0

    def load(name: str) -> Tensor:
        nonlocal most
        tensor = torch.zeros(100, 10)
        alive.append(weakref.ref(tensor))
        most = max(most, sum(reference() is not None for reference in alive))
        return tensor

    facts = {f"layer.{index}": TensorFacts(torch.float32, (100, 10)) for index in range(20)}
    paths = write_part(tmp_path / "part", {}, facts, load, shard_bytes=10_000)
    assert len(paths) == 10
    assert most <= 2  # the one that was just written, until its name is given to the next


def test_an_adapter_of_another_base_is_refused(base: Path, tmp_path: Path) -> None:
    adapter = _adapter(1)
    other = adapter.with_metadata(AdapterMetadata(base_version="2.3"))
    with pytest.raises(BadInput) as caught:
        plan_fuse(base, [(other, 1.0)])
    assert caught.value.code == "incontext.version_mismatch"
    pair = next(iter(adapter.pairs.values()))
    for pairs in ({"transformer_blocks.9.attn1.to_q": pair}, {"audio_proj_in": pair}):
        with pytest.raises(BadInput) as caught:
            fuse(base, [(Adapter(pairs), 1.0)], tmp_path / "fused")
        assert caught.value.code == "incontext.adapter_does_not_fit"
    with pytest.raises(BadInput):
        with_loras(tiny_backbone().transformer, {"x": (other, 1.0)}, "2.0")
    assert not (tmp_path / "fused").exists()
    with pytest.raises(WrongUse) as exists:
        fuse(base, [(adapter, 1.0)], base)
    assert exists.value.code == "incontext.folder_exists"
