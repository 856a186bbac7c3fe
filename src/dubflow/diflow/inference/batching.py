"""Items into batches of like length, and their arrays into padded tensors.

Letters: B batch, N phonemes, T positions, D channels, Q books.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from dubflow.diflow.inference.items import Floats, Ids
from dubflow.diflow.inference.settings import InferenceSettings
from dubflow.diflow.nets.prompt import Reference
from dubflow.diflow.nets.text import Text
from dubflow.errors import WrongUse
from dubflow.speech.codecs import Tokens
from dubflow.speech.inventory import PAD_ID


def buckets(lengths: Sequence[int], settings: InferenceSettings) -> Iterator[list[int]]:
    """Item numbers in batches: shortest first, none much shorter than the longest of its batch."""
    batch: list[int] = []
    for item in sorted(range(len(lengths)), key=lambda number: (lengths[number], number)):
        longest = lengths[item]  # the items come in order of length
        full = len(batch) == settings.batch_items or (len(batch) + 1) * longest > settings.batch_tokens
        if batch and (full or lengths[batch[0]] < (1 - settings.most_padding) * longest):
            yield batch
            batch = []
        batch.append(item)
    if batch:
        yield batch


def padded(arrays: Sequence[NDArray[np.generic]], device: torch.device, fill: int = 0) -> Tensor:
    """Arrays of shape ``[..., T_i]`` on top of one another, ``[B, ..., max T]``, with ``fill`` behind each."""
    longest = max(array.shape[-1] for array in arrays)
    first = arrays[0]
    whole = np.full((len(arrays), *first.shape[:-1], longest), fill, first.dtype)
    for row, array in zip(whole, arrays, strict=True):
        row[..., : array.shape[-1]] = array
    return torch.from_numpy(whole).to(device)


def text_batch(phonemes: Sequence[Ids], stress: Sequence[Ids], device: torch.device) -> Text:
    """The texts of a batch."""
    lengths = torch.tensor([len(one) for one in phonemes], device=device)
    return Text(padded(phonemes, device, PAD_ID), padded(stress, device), lengths)


def speakers_batch(speakers: Sequence[Floats], size: int, device: torch.device) -> Tensor:
    """Speaker vectors ``[B, D_s]``.

    Raises:
        WrongUse: ``diflow.bad_shapes`` when they are not as long as the network's.
    """
    if any(speaker.shape != (size,) for speaker in speakers):
        raise WrongUse(
            "diflow.bad_shapes",
            f"Speaker vectors have {sorted({speaker.size for speaker in speakers})} values; this network takes {size}.",
            "Encode the voice with the codec that the network was trained with.",
        )
    return torch.from_numpy(np.stack(speakers)).to(device)


def prompt_of(reference: Tokens, length: int, share: float | None) -> slice:
    """The stretch of a reference in front of ``length`` tokens: its middle, where speech rather is than at its ends."""
    kept = len(reference) if share is None else min(len(reference), max(1, round(share * length)))
    start = (len(reference) - kept) // 2
    return slice(start, start + kept)


def references_batch(
    references: Sequence[Tokens], lengths: Sequence[int], share: float | None, pad: int, device: torch.device
) -> Reference:
    """The prompts of a batch whose items last ``lengths`` tokens; see :func:`prompt_of`."""
    parts = [prompt_of(one, length, share) for one, length in zip(references, lengths, strict=True)]
    cut = list(zip(references, parts, strict=True))
    return Reference(
        padded([tokens.prosody[:, part] for tokens, part in cut], device, pad),
        padded([tokens.acoustic[:, part] for tokens, part in cut], device, pad),
        torch.tensor([part.stop - part.start for part in parts], device=device),
    )


def device_of(network: nn.Module) -> torch.device:
    """Where a network lies."""
    return next(network.parameters()).device


@contextmanager
def asked(network: nn.Module, settings: InferenceSettings) -> Iterator[None]:
    """A network in eval mode, without gradients, in the precision of ``settings``; as it was afterwards."""
    modes = [(module, module.training) for module in network.modules()]
    network.eval()
    kind = device_of(network).type
    try:
        with torch.inference_mode(), torch.autocast(kind, torch.bfloat16, enabled=settings.precision == "bf16"):
            yield
    finally:
        for module, mode in modes:
            module.training = mode
