"""DiFlowDubber's inference as the paper writes it, without any thought of speed: what our own is measured against.

The weights are those of our networks. At every step of a sample everything is done again: phoneme encoder, Synchronizer
with its search, FaPro, CCTA, speaker MLP, the dense e_cond with its zero streams, all six streams side by side through
the whole of W; attention is a softmax of a product, padding is computed, and the logits of all positions are formed.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.attention import SDPBackend, sdpa_kernel

from dubflow.diflow.nets.denoiser import FlowDenoiser
from dubflow.diflow.nets.dit import DitBlock
from dubflow.diflow.nets.dubber import DubberNetwork, Picture
from dubflow.diflow.nets.grid import inside_of
from dubflow.diflow.nets.prompt import prior_condition
from dubflow.diflow.nets.text import Text


class PlainDubber:
    """Stage 2, every step from the beginning; a ``Denoiser`` of ``dubflow.diflow.flow.samplers``."""

    def __init__(self, network: DubberNetwork, text: Text, picture: Picture, speaker: Tensor) -> None:
        self.network, self.text, self.picture, self.speaker = network, text, picture, speaker

    def __call__(self, tokens: Tensor, t: Tensor) -> Tensor:
        """Logits ``[B, m + k, L, V]`` for ``x_t`` ``[B, m + k, L]`` at times ``[B]``."""
        return self.denoise(tokens, t, *self.condition())

    def condition(self) -> tuple[Tensor, Tensor, Tensor]:
        """The dense ``e_cond`` ``[B, S, L, D]``, h~_p2c ``[B, n, L, D]`` and lengths ``[B]``."""
        with sdpa_kernel(SDPBackend.MATH):
            plan = self.network.plan(self.text, self.picture)
        lengths = plan.synchronized.lengths
        wide = self.network.fapro.widened(plan.prior, plan.synchronized.inside)
        books = self.network.settings.books
        return prior_condition(wide, lengths).dense(books.content, books.acoustic), plan.content.hidden, lengths

    def denoise(self, tokens: Tensor, t: Tensor, condition: Tensor, content: Tensor, lengths: Tensor) -> Tensor:
        """Appendix B.2.1, Denoiser Architecture."""
        denoiser = self.network.denoiser
        m = denoiser.books.prosody
        prosody, acoustic = denoiser.embedders.prosody(tokens[:, :m]), denoiser.embedders.acoustic(tokens[:, m:])
        target = torch.cat([prosody, content, acoustic], dim=1)  # e_t
        e = torch.cat([condition, target], dim=2)
        entry = denoiser.join(e.permute(0, 2, 1, 3).flatten(2))

        longest = tokens.shape[-1]
        inside = inside_of(lengths, longest).repeat(1, 2)
        cos, sin = angles(denoiser, lengths, longest)
        cause = time_features(denoiser, t) + denoiser.speaker(self.speaker)
        x = entry
        for block in denoiser.blocks:
            assert isinstance(block, DitBlock)
            x = plain_block(block, x, cause, inside, cos, sin)
        x = denoiser.skip(torch.cat([x, entry], dim=-1))[:, longest:]

        shift, scale = denoiser.final.line(functional.silu(cause)).unsqueeze(1).chunk(2, dim=-1)
        x = denoiser.final_line(normal(x) * (1 + scale) + shift)
        streams = x.chunk(denoiser.books.flow, dim=-1)
        heads: list[nn.Module] = [denoiser.prosody_head] * m + [denoiser.acoustic_head] * denoiser.books.acoustic
        return torch.stack([head(stream) for head, stream in zip(heads, streams, strict=True)], dim=1)


def plain_block(block: DitBlock, x: Tensor, cause: Tensor, inside: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """One DiT block over ``[B, T, D]``, keys limited to ``inside`` ``[B, T]``."""
    vectors = block.adaptive.line(functional.silu(cause)).unsqueeze(1).chunk(6, dim=-1)
    heads, width = block.attention.heads, x.shape[-1]
    q, k, v = block.attention.inputs(normal(x) * (1 + vectors[1]) + vectors[0]).chunk(3, dim=-1)
    q, k, v = (part.unflatten(-1, (heads, -1)).transpose(1, 2) for part in (q, k, v))
    q, k = turned(q, cos, sin), turned(k, cos, sin)
    scores = (q @ k.transpose(-1, -2)) / math.sqrt(width // heads)
    weights = scores.masked_fill(~inside[:, None, None], -torch.inf).softmax(dim=-1)
    x = x + vectors[2] * block.attention.output((weights @ v).transpose(1, 2).flatten(2))
    return x + vectors[5] * block.feed_forward(normal(x) * (1 + vectors[4]) + vectors[3])


def normal(x: Tensor) -> Tensor:
    """Layer normalisation without weights."""
    centred = x - x.mean(dim=-1, keepdim=True)
    return centred / (centred.pow(2).mean(dim=-1, keepdim=True) + 1e-5).sqrt()


def angles(denoiser: FlowDenoiser, lengths: Tensor, longest: int) -> tuple[Tensor, Tensor]:
    """Cosines and sines of the rotary positions, ``[B, 1, 2 L, head / 2]``: condition, then target."""
    half = denoiser.shape.width // denoiser.shape.heads // 2
    steps = torch.arange(longest, device=lengths.device, dtype=torch.float32)
    starts = lengths if denoiser.shape.positions == "concatenated" else torch.zeros_like(lengths)
    places = torch.cat([steps.expand(len(lengths), -1), steps + starts.unsqueeze(-1)], dim=1)
    frequencies = 10_000.0 ** (-torch.arange(half, device=lengths.device) / half)
    turns = places[:, None, :, None] * frequencies
    return turns.cos(), turns.sin()


def turned(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """RoPE: the two halves of each head's channels are the parts of complex numbers."""
    first, second = x.chunk(2, dim=-1)
    return torch.cat([first * cos - second * sin, second * cos + first * sin], dim=-1).to(x.dtype)


def time_features(denoiser: FlowDenoiser, t: Tensor) -> Tensor:
    """The time step as a vector ``[B, D]``."""
    half = denoiser.time.features // 2
    turns = 1000 * t.unsqueeze(-1) * 10_000.0 ** (-torch.arange(half, device=t.device) / half)
    features = torch.cat([turns.sin(), turns.cos()], dim=-1)
    embedded: Tensor = denoiser.time.mlp(features.to(denoiser.join.weight.dtype))
    return embedded
