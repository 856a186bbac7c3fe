"""Where a LoRA goes, and what it does and does not change."""

from __future__ import annotations

from collections import Counter

import pytest
import torch

from dubflow.errors import BadInput, WrongUse
from dubflow.incontext.adapter.lora import LoraSettings, add_lora, lora_modules, lora_parameters, lora_weights, put_lora
from dubflow.incontext.backbone.tiny import tiny_backbone


def with_lora(version: str = "2.0", rank: int = 2, seed: int = 0):  # type: ignore[no-untyped-def]
    transformer = tiny_backbone(version).transformer  # type: ignore[arg-type]
    add_lora(transformer, LoraSettings(rank=rank), seed=seed)
    return transformer


@pytest.mark.parametrize("version", ["2.0", "2.3"])
def test_every_branch_gets_its_layers(version: str) -> None:
    transformer = with_lora(version)
    modules = lora_modules(transformer)
    kinds = Counter(name.split(".")[2] for name in modules)
    attention = {"attn1", "attn2", "audio_attn1", "audio_attn2", "audio_to_video_attn", "video_to_audio_attn"}
    assert kinds == {**dict.fromkeys(attention, 8), "ff": 4, "audio_ff": 4}  # of two blocks
    assert len(modules) == 2 * 28
    assert all(name.startswith("transformer_blocks.") for name in modules)


def test_the_lora_alone_learns_in_float32_and_alpha_is_the_rank() -> None:
    transformer = tiny_backbone().transformer.to(torch.bfloat16)
    add_lora(transformer, LoraSettings(rank=3))
    trained = {name for name, parameter in transformer.named_parameters() if parameter.requires_grad}
    assert trained == {name for name, _ in lora_parameters(transformer)}
    assert {parameter.dtype for _, parameter in lora_parameters(transformer)} == {torch.float32}
    layer = transformer.transformer_blocks[0].attn1.to_q
    assert layer.scaling["default"] == 1


def test_a_fresh_lora_changes_nothing_and_its_seed_is_its_own() -> None:
    torch.manual_seed(5)
    before = torch.get_rng_state()
    one, same, other = with_lora(seed=1), with_lora(seed=1), with_lora(seed=2)
    assert torch.equal(torch.get_rng_state(), before)
    a, b, c = lora_weights(one), lora_weights(same), lora_weights(other)
    assert all(torch.equal(a[name], b[name]) for name in a)
    assert any(not torch.equal(a[name], c[name]) for name in a)
    assert not any(value.any() for name, value in a.items() if "lora_B" in name)
    layer, plain = one.transformer_blocks[0].ff.net[2], tiny_backbone().transformer.transformer_blocks[0].ff.net[2]
    x = torch.randn(2, plain.in_features)
    assert torch.equal(layer(x), plain(x))


def test_weights_go_out_and_in_to_the_bit() -> None:
    one, other = with_lora(seed=1), with_lora(seed=2)
    for _, parameter in lora_parameters(one):
        torch.nn.init.normal_(parameter)
    put_lora(other, lora_weights(one))
    a, b = lora_weights(one), lora_weights(other)
    assert a.keys() == b.keys()
    assert all(torch.equal(a[name], b[name]) for name in a)
    assert all(name.endswith((".lora_A.weight", ".lora_B.weight")) for name in a)


def test_what_does_not_fit_is_refused() -> None:
    transformer = with_lora()
    with pytest.raises(BadInput) as refused:
        put_lora(transformer, lora_weights(with_lora(rank=3)))
    assert refused.value.code == "incontext.lora_disagrees"
    with pytest.raises(WrongUse) as second:
        add_lora(transformer, LoraSettings())
    assert second.value.code == "incontext.has_lora"
    with pytest.raises(WrongUse) as idle:
        add_lora(tiny_backbone().transformer, LoraSettings(targets=("to_q", "to_nowhere")))
    assert idle.value.code == "incontext.idle_target"
