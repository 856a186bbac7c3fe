"""Modality-isolated attention: diffusers' own without a layout, no leak with one, padding and checkpointing safe."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from dubflow.incontext.attention import ContextAttention, installed
from dubflow.incontext.backbone.settings import Version
from dubflow.incontext.forward import Velocities, forward, inputs
from dubflow.incontext.masks import AvMask, Block, Layout, MaskScheme, SelfAttention, target_pairs
from dubflow.incontext.tokens import ContextTokens, batched
from incontext.samples import text, tokens, transformer, without_self_attention

VERSIONS: tuple[Version, ...] = ("2.0", "2.3", "2.5")
ISOLATED = MaskScheme()


def worst(one: Velocities, other: Velocities) -> float:
    return max(float((one.video - other.video).abs().max()), float((one.audio - other.audio).abs().max()))


def with_other_reference(made: ContextTokens, name: str) -> ContextTokens:
    """The same with another reference in one modality."""
    part = getattr(made, name)
    latents = part.latents.clone()
    latents[:, part.reference] += 1
    return replace(made, **{name: replace(part, latents=latents)})


@pytest.mark.parametrize("version", VERSIONS)
def test_without_a_layout_it_is_diffusers_own_attention_to_the_bit(version: Version) -> None:
    net, made, said = transformer(version), tokens(version), text(version)
    said = replace(said, mask=torch.tensor([[False, True, True, True, True, True]] * 2))  # a real mask on the text
    given = inputs(net, made, said)
    extra: list[dict[str, Any]] = [{}]
    if net.config.perturbed_attn:
        extra += [{"spatio_temporal_guidance_blocks": [1], "perturbation_mask": mask}
                  for mask in (torch.tensor([0.0, 0.0]), torch.tensor([0.0, 1.0]))]  # fmt: skip
    with torch.no_grad():
        theirs = [net(**given, **more, return_dict=False) for more in extra]
        installed(net)
        ours = [net(**given, **more, return_dict=False) for more in extra]
    assert isinstance(net.transformer_blocks[0].attn2.processor, ContextAttention)
    for one, other in zip(theirs, ours, strict=True):
        assert torch.equal(one[0], other[0])
        assert torch.equal(one[1], other[1])


def test_interleaved_rotary_positions_are_diffusers_own_too() -> None:
    net, made, said = transformer(), tokens(), text()
    for module in net.modules():
        if "rope_type" in vars(module):
            module.rope_type = "interleaved"
    given = inputs(net, made, said)
    with torch.no_grad():
        theirs = net(**given, return_dict=False)
        installed(net)
        assert torch.equal(theirs[0], net(**given, return_dict=False)[0])
        sliced, masked = (forward(net, made, said, MaskScheme(compute=way)) for way in ("sliced", "masked"))
    assert worst(sliced, masked) < 1e-5


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("within", ["full", "reference_isolated"])
@pytest.mark.parametrize("av", ["isolated", "a2v_only", "none"])
def test_computing_only_what_is_allowed_is_equal_to_masking(
    version: Version, av: AvMask, within: SelfAttention
) -> None:
    net, made, said = transformer(version), tokens(version, order="target_first"), text(version)
    scheme = MaskScheme(av=av, self_attention=within)
    with torch.no_grad():
        sliced = forward(net, made, said, scheme)
        masked = forward(net, made, said, scheme.model_copy(update={"compute": "masked"}))
    assert worst(sliced, masked) < 2e-5


@pytest.mark.parametrize("compute", ["sliced", "masked"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_isolated_references_leak_nothing_across_and_open_ones_do(dtype: torch.dtype, compute: Any) -> None:
    net, made, said = without_self_attention(transformer(dtype=dtype)), tokens(), text()
    heard, shown = with_other_reference(made, "audio"), with_other_reference(made, "video")

    def change(av: AvMask, other: ContextTokens) -> tuple[float, float]:
        scheme = MaskScheme(av=av, compute=compute)
        with torch.no_grad():
            one, two = forward(net, made, said, scheme), forward(net, other, said, scheme)
        return float((one.video - two.video).abs().max()), float((one.audio - two.audio).abs().max())

    assert change("isolated", heard) == change("isolated", shown) == (0.0, 0.0)
    picture, _ = change("none", heard)
    _, sound = change("none", shown)
    assert picture > 1e-3
    assert sound > 1e-3
    # a2v_only: the picture hears its own sound only, the sound sees everything.
    assert change("a2v_only", heard)[0] == 0.0
    assert change("a2v_only", shown)[1] > 1e-3


def test_the_way_within_a_modality_is_open_under_the_papers_mask() -> None:
    net, made, said = transformer(), tokens(), text()
    with torch.no_grad():
        one = forward(net, made, said, ISOLATED)
        two = forward(net, with_other_reference(made, "video"), said, ISOLATED)
    assert float((one.video - two.video).abs().max()) > 1e-3


def test_eq_3_allows_targets_of_both_modalities_and_nothing_else() -> None:
    made = tokens(order="target_first")
    allowed = target_pairs(made.video, made.audio)
    for row in range(made.video.latents.shape[1]):
        for column in range(made.audio.latents.shape[1]):
            both = row in range(8) and column in range(9)
            assert bool(allowed[row, column]) == both


def test_no_mask_is_written_out_per_head() -> None:
    made = batched([tokens(batch=1), tokens(batch=1, audio=4)])
    for scheme in (ISOLATED, MaskScheme(compute="masked", self_attention="reference_isolated"), MaskScheme(av="none")):
        for blocks in Layout.of(made, scheme).blocks.values():
            for block in blocks:
                assert block.allowed is None or (block.allowed.shape[1] == 1 and block.allowed.dtype == torch.bool)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_rows_without_keys_give_the_bias_of_the_projection_and_finite_gradients(dtype: torch.dtype) -> None:
    net = transformer(dtype=dtype)
    attention, state = net.transformer_blocks[0].audio_to_video_attn, installed(net)
    asked = torch.randn(1, 4, attention.query_dim, dtype=dtype, requires_grad=True)
    seen = torch.randn(1, 3, attention.cross_attention_dim, dtype=dtype, requires_grad=True)
    allowed = torch.ones(1, 1, 4, 3, dtype=torch.bool)
    allowed[:, :, :2] = False
    answers: list[Tensor] = []
    for blocks in ((Block(slice(None), slice(None), allowed),), (Block(slice(2, 4), slice(0, 3)),)):
        with state.using(Layout({"audio_to_video": blocks})):
            answer = attention(asked, seen)
        answers.append(answer)
        bias = attention.to_out[0].bias
        assert torch.equal(answer[:, :2], bias.expand(1, 2, -1))
        gradients = torch.autograd.grad(answer.float().square().sum(), [asked, seen, attention.to_q.weight])
        assert all(torch.isfinite(one).all() for one in gradients)
        assert not gradients[0][:, :2].any()
        assert gradients[0][:, 2:].any()
    assert torch.allclose(answers[0].float(), answers[1].float(), atol=1e-5 if dtype == torch.float32 else 5e-2)


@pytest.mark.parametrize("compute", ["sliced", "masked"])
@pytest.mark.parametrize("av", ["isolated", "none"])
def test_padding_changes_no_item(av: AvMask, compute: Any) -> None:
    net, said = transformer(), text(batch=3)
    scheme = MaskScheme(av=av, compute=compute)
    items = [
        tokens(batch=1, seed=1),
        tokens(batch=1, seed=2, shape=(3, 2, 2), audio=4),
        tokens(batch=1, seed=3, audio=12, references=False),
    ]
    with torch.no_grad():
        whole = forward(net, batched(items), said, scheme)
        for row, item in enumerate(items):
            own = replace(said, video=said.video[row : row + 1], audio=said.audio[row : row + 1], mask=said.mask[:1])
            alone = forward(net, item, own, scheme)
            found = Velocities(
                whole.video[row : row + 1, : alone.video.shape[1]], whole.audio[row : row + 1, : alone.audio.shape[1]]
            )
            assert worst(found, alone) < 2e-5


def test_recomputed_blocks_find_the_layout_of_their_own_forward_pass() -> None:
    """Two passes of different layouts, then their gradients: with checkpointing both layouts are needed again."""
    said = text()
    passes = [
        (tokens(seed=1), ISOLATED),
        (tokens(seed=2, shape=(3, 2, 2), audio=5, order="target_first"), MaskScheme(av="none")),
    ]

    def gradients(checkpointing: bool) -> list[Tensor]:
        net = transformer()
        net.train()
        if checkpointing:
            net.enable_gradient_checkpointing()
        losses = []
        for made, scheme in passes:
            found = forward(net, made, said, scheme)
            losses.append(found.video.square().mean() + found.audio.square().mean())
        sum(losses, torch.zeros(())).backward()
        return [one.grad for one in net.parameters() if one.grad is not None]

    plain, again = gradients(False), gradients(True)
    assert len(plain) == len(again) > 50
    assert max(float((a - b).abs().max()) for a, b in zip(plain, again, strict=True)) < 1e-5
