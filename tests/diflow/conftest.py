"""Small batches and networks whose every weight matters."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

import pytest
import torch
from torch import Tensor, nn

from dubflow.diflow.nets.dubber import Picture
from dubflow.diflow.nets.prompt import Reference
from dubflow.diflow.nets.settings import TINY, NetSettings
from dubflow.diflow.nets.text import Text
from dubflow.speech.durations import frames_to_tokens


@dataclass(frozen=True)
class Batch:
    """One padded batch for both stages; ``item(i)`` is the same item alone, without padding."""

    text: Text
    frame_durations: Tensor
    token_durations: Tensor
    picture: Picture
    reference: Reference
    speaker: Tensor
    content: Tensor
    flow: Tensor
    lengths: Tensor
    noisy: Tensor
    t: Tensor

    def item(self, index: int) -> Batch:
        n, f = int(self.text.lengths[index]), int(self.picture.frames[index])
        tokens, r = int(self.lengths[index]), int(self.reference.lengths[index])
        one = slice(index, index + 1)
        return Batch(
            text=Text(self.text.phonemes[one, :n], self.text.stress[one, :n], self.text.lengths[one]),
            frame_durations=self.frame_durations[one, :n],
            token_durations=self.token_durations[one, :n],
            picture=Picture(self.picture.lips[one, :f], self.picture.face[one, :f], self.picture.frames[one]),
            reference=Reference(
                self.reference.prosody[one, :, :r], self.reference.acoustic[one, :, :r], self.reference.lengths[one]
            ),
            speaker=self.speaker[one],
            content=self.content[one, :, :tokens],
            flow=self.flow[one, :, :tokens],
            lengths=self.lengths[one],
            noisy=self.noisy[one, :, :tokens],
            t=self.t[one],
        )


def _split(total: int, parts: int, noise: torch.Generator) -> list[int]:
    """``total`` cut into ``parts`` numbers, each at least 1 where that is possible."""
    cuts = torch.randperm(total - 1, generator=noise)[: parts - 1].sort().values + 1 if parts > 1 else torch.tensor([])
    edges = [0, *(int(c) for c in cuts), total]
    return [b - a for a, b in pairwise(edges)]


@pytest.fixture(scope="session")
def make_batch() -> Callable[..., Batch]:
    """Batch of clips with the given frames; garbage lies in the padding of everything that padding must not touch."""

    def build(frames: tuple[int, ...] = (20, 11, 6), seed: int = 0, settings: NetSettings = TINY) -> Batch:
        noise = torch.Generator().manual_seed(seed)
        phones = [max(1, f // 3) for f in frames]
        tokens = [frames_to_tokens(f) for f in frames]
        references = [max(1, t // 3) for t in tokens]
        batch, books, book = len(frames), settings.books, settings.books.vocabulary

        def codes(count: int, lengths: list[int]) -> Tensor:
            drawn = torch.randint(0, book.codes, (batch, count, max(lengths)), generator=noise)
            for item, length in enumerate(lengths):
                drawn[item, :, length:] = book.pad
            return drawn

        def durations(totals: list[int]) -> Tensor:
            whole = torch.zeros(batch, max(phones), dtype=torch.int64)
            for item, (total, count) in enumerate(zip(totals, phones, strict=True)):
                whole[item, :count] = torch.tensor(_split(total, count, noise))
            return whole

        phonemes = torch.randint(3, settings.text.symbols, (batch, max(phones)), generator=noise)
        for item, count in enumerate(phones):
            phonemes[item, count:] = 0
        flow = codes(books.flow, tokens)
        hidden = torch.rand(flow.shape, generator=noise) < 0.6
        return Batch(
            text=Text(phonemes, torch.randint(0, 3, phonemes.shape, generator=noise), torch.tensor(phones)),
            frame_durations=durations(list(frames)),
            token_durations=durations(tokens),
            picture=Picture(
                torch.randn(batch, max(frames), settings.lip_features, generator=noise),
                torch.randn(batch, max(frames), settings.face_features, generator=noise),
                torch.tensor(frames),
            ),
            reference=Reference(
                codes(books.prosody, references), codes(books.acoustic, references), torch.tensor(references)
            ),
            speaker=torch.randn(batch, settings.speaker, generator=noise),
            content=codes(books.content, tokens),
            flow=flow,
            lengths=torch.tensor(tokens),
            noisy=flow.masked_fill(hidden & (flow != book.pad), book.mask),
            t=torch.rand(batch, generator=noise),
        )

    return build


@pytest.fixture(scope="session")
def stirred() -> Callable[[nn.Module], nn.Module]:
    """Put a network into eval with random weights everywhere.

    Gates and gains that start at zero would otherwise hide whole branches from a test.
    """

    def stir(network: nn.Module, seed: int = 0) -> nn.Module:
        noise = torch.Generator().manual_seed(seed)
        with torch.no_grad():
            for parameter in network.parameters():
                scale = parameter.shape[-1] ** -0.5 if parameter.ndim > 1 else 0.3
                parameter.add_(scale * torch.randn(parameter.shape, generator=noise))
        return network.eval()

    return stir
