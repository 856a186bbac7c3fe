"""The denoiser and the content model against their equations, written out plainly."""

from __future__ import annotations

import math

import pytest
import torch
from torch.nn import functional

from dubflow.diflow.flow.noise import generators
from dubflow.diflow.nets.content import ContentModel
from dubflow.diflow.nets.denoiser import FlowDenoiser
from dubflow.diflow.nets.dit import DitBlock
from dubflow.diflow.nets.positions import rotation
from dubflow.diflow.nets.prompt import Condition, prior_condition
from dubflow.diflow.nets.settings import TINY
from dubflow.errors import WrongUse


def context_inputs(b, settings, seed=0):
    noise = generators([seed])[0]
    width, longest = settings.denoiser.width, b.noisy.shape[-1]
    content = torch.randn(len(b.lengths), settings.books.content, longest, width, generator=noise)
    prior = torch.randn(len(b.lengths), settings.books.prosody, longest, width, generator=noise)
    return content, prior


@torch.no_grad()
def test_the_joined_input_is_the_papers_concatenation(stirred, make_batch) -> None:
    """Sums of parts and looked-up tables must equal W perm([e_cond; e_t]) + b with the streams laid side by side."""
    network, b = stirred(FlowDenoiser(TINY)), make_batch(frames=(9, 9))
    content, _ = context_inputs(b, TINY)
    condition = network.embedders(b.reference)
    context = network.prepare(condition, content, b.lengths, b.speaker)

    prosody, acoustic = network.embedders.prosody(b.noisy[:, :1]), network.embedders.acoustic(b.noisy[:, 1:])
    target = torch.cat([prosody, content, acoustic], dim=1)  # [B, S, L, D]
    e = torch.cat([condition.dense(2, 3), target], dim=2).permute(0, 2, 1, 3).flatten(2)
    literal = network.join(e)

    heads = []
    hook = network.blocks[0].register_forward_pre_hook(lambda _, inputs: heads.append(inputs[0]))
    network(b.noisy, b.t, context)
    hook.remove()
    torch.testing.assert_close(heads[0], literal, rtol=1e-4, atol=1e-4)


def plain_block(block, x, cause, heads):
    """A DiT block for one item, written with complex rotations and loops over heads."""
    vectors = block.adaptive.line(functional.silu(cause)).chunk(6)
    width, length = x.shape[-1], x.shape[0]
    size = width // heads

    def normal(y, shift, scale):
        centred = y - y.mean(-1, keepdim=True)
        return centred / (centred.pow(2).mean(-1, keepdim=True) + 1e-5).sqrt() * (1 + scale) + shift

    inputs = block.attention.inputs(normal(x, vectors[0], vectors[1])).view(length, 3, heads, size)
    angles = torch.arange(length).unsqueeze(1) * 10_000.0 ** (-torch.arange(size // 2) / (size // 2))
    turns = torch.polar(torch.ones_like(angles), angles)
    mixed = []
    for head in range(heads):
        q, k = (torch.complex(*inputs[:, part, head].chunk(2, dim=-1)) * turns for part in (0, 1))
        scores = (q @ k.conj().T).real / math.sqrt(size)
        mixed.append(scores.softmax(-1) @ inputs[:, 2, head])
    x = x + vectors[2] * block.attention.output(torch.cat(mixed, dim=-1))
    return x + vectors[5] * block.feed_forward(normal(x, vectors[3], vectors[4])), normal


@torch.no_grad()
def test_the_denoiser_is_the_papers_network(stirred, make_batch) -> None:
    """The whole of B.2.1, Denoiser Architecture, once more and plainly, for one item."""
    network, b = stirred(FlowDenoiser(TINY)), make_batch(frames=(9,))
    content, _ = context_inputs(b, TINY)
    condition = network.embedders(b.reference)

    target = [network.embedders.prosody(b.noisy[:, :1]), content, network.embedders.acoustic(b.noisy[:, 1:])]
    e = torch.cat([condition.dense(2, 3), torch.cat(target, dim=1)], dim=2)[0]
    entry = network.join(e.permute(1, 0, 2).flatten(1))
    angles = 1000 * b.t * 10_000.0 ** (-torch.arange(32) / 32)
    cause = (network.time.mlp(torch.cat([angles.sin(), angles.cos()])) + network.speaker(b.speaker))[0]
    x = entry
    for block in network.blocks:
        x, normal = plain_block(block, x, cause, TINY.denoiser.heads)
    x = network.skip(torch.cat([x, entry], dim=-1))[int(b.reference.lengths[0]) :]
    shift, scale = network.final.line(functional.silu(cause)).chunk(2)
    streams = network.final_line(normal(x, shift, scale)).chunk(4, dim=-1)
    heads = [network.prosody_head, *[network.acoustic_head] * 3]
    wanted = torch.stack([head(stream) for head, stream in zip(heads, streams, strict=True)])

    logits = network(b.noisy, b.t, network.prepare(condition, content, b.lengths, b.speaker))[0]
    torch.testing.assert_close(logits, wanted, rtol=2e-3, atol=2e-3)


@torch.no_grad()
def test_each_content_book_is_read_from_the_one_before(stirred) -> None:
    model = stirred(ContentModel(TINY))
    inside = torch.ones(1, 7, dtype=torch.bool)
    content = model(torch.randn(1, 7, TINY.width, generator=generators([0])[0]), inside)
    first = model.predictor.layers[0](content.features, inside)
    second = model.predictor.layers[1](first, inside)
    for book, h in enumerate((first, second)):
        torch.testing.assert_close(content.logits[:, book], model.head.books[book](h))
        torch.testing.assert_close(content.hidden[:, book], torch.tanh(model.projection.line(h)))
    assert torch.equal(content.tokens, content.logits.argmax(-1))


@torch.no_grad()
def test_the_posterior_is_over_codes_and_listens_to_every_input(stirred, make_batch) -> None:
    network, b = stirred(FlowDenoiser(TINY)), make_batch(frames=(9, 6))
    content, prior = context_inputs(b, TINY)
    plain = network(b.noisy, b.t, network.prepare(network.embedders(b.reference), content, b.lengths, b.speaker))
    assert plain.shape == (2, 4, b.noisy.shape[-1], 1024)
    variants = {
        "reference": network.prepare(prior_condition(prior, b.lengths), content, b.lengths, b.speaker),
        "content": network.prepare(network.embedders(b.reference), -content, b.lengths, b.speaker),
        "speaker": network.prepare(network.embedders(b.reference), content, b.lengths, -b.speaker),
    }
    for name, context in variants.items():
        assert float((network(b.noisy, b.t, context) - plain).abs().max()) > 1e-2, name
    context = network.prepare(network.embedders(b.reference), content, b.lengths, b.speaker)
    assert float((network(b.noisy, 1 - b.t, context) - plain).abs().max()) > 1e-3
    assert float((network(b.flow, b.t, context) - plain).abs().max()) > 1e-2


@torch.no_grad()
def test_rotary_positions_follow_the_setting(stirred, make_batch) -> None:
    b = make_batch(frames=(10, 5))
    content, prior = context_inputs(b, TINY)
    for placing, starts in (("concatenated", b.lengths.tolist()), ("aligned", [0, 0])):
        settings = TINY.model_copy(update={"denoiser": TINY.denoiser.model_copy(update={"positions": placing})})
        context = FlowDenoiser(settings).prepare(prior_condition(prior, b.lengths), content, b.lengths, b.speaker)
        longest = prior.shape[2]
        wanted = rotation(torch.stack([torch.arange(longest) + start for start in starts]), 40)
        torch.testing.assert_close(context.rotation.cos[:, :, longest:], wanted.cos)
        torch.testing.assert_close(context.rotation.sin[:, :, longest:], wanted.sin)


def test_a_transformer_block_starts_as_the_identity() -> None:
    x = torch.randn(2, 5, TINY.denoiser.width)
    turn = rotation(torch.arange(5).expand(2, -1), TINY.denoiser.width // TINY.denoiser.heads)
    assert torch.equal(DitBlock(TINY.denoiser)(x, torch.randn(2, TINY.denoiser.width), None, turn), x)


def test_streams_and_lengths_that_do_not_fit_are_refused(make_batch) -> None:
    network, b = FlowDenoiser(TINY), make_batch(frames=(5,))
    content, prior = context_inputs(b, TINY)
    with pytest.raises(WrongUse, match="bad_shapes"):
        network.prepare(Condition(prior, prior, b.lengths), content, b.lengths, b.speaker)
    with pytest.raises(WrongUse, match="bad_shapes"):
        network.prepare(prior_condition(prior, b.lengths), content[:, :1], b.lengths, b.speaker)
    with pytest.raises(WrongUse, match="bad_lengths"):
        network.prepare(prior_condition(prior, b.lengths), content, b.lengths + 1, b.speaker)
