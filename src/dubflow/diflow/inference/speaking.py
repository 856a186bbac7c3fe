"""Stage 1 at work: texts in the voices of references.

Letters: B batch, N phonemes, L tokens, R tokens of the prompt, A width.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from dubflow.diflow.flow.noise import seed_of
from dubflow.diflow.inference.batching import asked, buckets, device_of, references_batch, speakers_batch, text_batch
from dubflow.diflow.inference.generation import draw_tokens
from dubflow.diflow.inference.items import Sentence
from dubflow.diflow.inference.settings import InferenceSettings
from dubflow.diflow.nets.durations import whole_durations
from dubflow.diflow.nets.tts import TtsNetwork
from dubflow.errors import BadInput
from dubflow.speech.codecs import Tokens

_Plan = tuple[Tensor, Tensor]  # encoded phonemes [N, A], tokens of each phoneme [N]


def speak(
    network: TtsNetwork, sentences: Sequence[Sentence], settings: InferenceSettings | None = None
) -> list[Tokens]:
    """Speak each sentence; answers in their order.

    Raises:
        BadInput: ``diflow.too_long`` for what would last longer than the network reads, ``diflow.no_duration``.
        WrongUse: ``diflow.bad_shapes`` for speaker vectors of another codec.
        OurFault: ``diflow.not_finite``.
    """
    settings = settings or InferenceSettings()
    spoken: dict[int, Tokens] = {}
    with asked(network, settings):
        plans: dict[int, _Plan] = {}
        for batch in buckets([len(sentence.phonemes) for sentence in sentences], settings):
            plans.update(zip(batch, _plan(network, [sentences[item] for item in batch]), strict=True))
        lengths = [int(plans[item][1].sum()) for item in range(len(sentences))]
        for batch in buckets(lengths, settings):
            tokens = _speak_batch(network, [sentences[i] for i in batch], [plans[i] for i in batch], settings)
            spoken.update(zip(batch, tokens, strict=True))
    return [spoken[item] for item in range(len(sentences))]


def _plan(network: TtsNetwork, chosen: Sequence[Sentence]) -> list[_Plan]:
    """Encoded phonemes and their durations, of each sentence of a batch."""
    text = text_batch([one.phonemes for one in chosen], [one.stress for one in chosen], device_of(network))
    encoded = network.encoder(text)
    predicted = network.durations(encoded, text.inside).float()
    durations = whole_durations(predicted, text.inside)
    if any(one.tokens is not None for one in chosen):
        own = durations.sum(dim=1).tolist()
        totals = [mine if one.tokens is None else one.tokens for one, mine in zip(chosen, own, strict=True)]
        exact = whole_durations(predicted, text.inside, totals)
        given = torch.tensor([one.tokens is not None for one in chosen], device=durations.device)
        durations = torch.where(given.unsqueeze(-1), exact, durations)
    longest = int(durations.sum(dim=1).max())
    if longest > network.settings.fft.max_length:
        raise BadInput(
            "diflow.too_long",
            f"A sentence would last {longest / 80:.0f} s; this network reads {network.settings.fft.max_length} tokens.",
            "Speak it in parts.",
        )
    return [(encoded[row, :count], durations[row, :count]) for row, count in enumerate(text.lengths.tolist())]


def _speak_batch(
    network: TtsNetwork,
    sentences: Sequence[Sentence],
    plans: Sequence[_Plan],
    settings: InferenceSettings,
) -> list[Tokens]:
    device = device_of(network)
    encoded = torch.nn.utils.rnn.pad_sequence([one for one, _ in plans], batch_first=True)
    durations = torch.nn.utils.rnn.pad_sequence([one for _, one in plans], batch_first=True)
    lengths = durations.sum(dim=1)
    content = network.stretch(encoded, durations, int(lengths.max()))
    pad = network.settings.books.vocabulary.pad
    references = [one.reference for one in sentences]
    reference = references_batch(references, lengths.tolist(), settings.prompt_share, pad, device)
    speakers = [np.asarray(one.voice, np.float32) for one in sentences]
    vectors = speakers_batch(speakers, network.settings.speaker, device)
    context = network.context(content, lengths, reference, vectors)
    seeds = [seed_of(settings.seed, one.seed) for one in sentences]
    return draw_tokens(network.denoiser, context, content, lengths.tolist(), seeds, speakers, settings)
