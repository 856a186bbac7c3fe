"""Clips of a prepared set as batches of tensors.

Letters: B batch, N phonemes, F frames, L tokens, m, n, k books, D_s speaker, D_l lips, D_f face.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from dubflow.diflow.flow.vocabulary import Vocabulary
from dubflow.diflow.nets.dubber import Picture
from dubflow.diflow.nets.prompt import Reference
from dubflow.diflow.nets.text import Text
from dubflow.speech.inventory import PAD_ID

Arrays = dict[str, NDArray[Any]]


@dataclass(frozen=True)
class SpeechBatch:
    """What stage 1 learns from.

    Attributes:
        number: of the batch within the plan, counted over all processes; seeds noise and dropout.
        clips: ids.
        places: numbers of the clips within the set; seed their noise.
        text: phonemes.
        token_durations: tokens of each phoneme, integers ``[B, N]``, summing to L.
        lengths: L of each item, integers ``[B]``.
        content: codes ``[B, n, L]``, pad beyond each length.
        flow: prosody and acoustic codes ``[B, m + k, L]``, pad beyond each length.
        speaker: ``[B, D_s]``.
    """

    number: int
    clips: tuple[str, ...]
    places: tuple[int, ...]
    text: Text
    token_durations: Tensor
    lengths: Tensor
    content: Tensor
    flow: Tensor
    speaker: Tensor

    def spoken(self, prosody_books: int) -> Reference:
        """The utterances themselves as reference speech, to cut prompts from."""
        return Reference(self.flow[:, :prosody_books], self.flow[:, prosody_books:], self.lengths)


@dataclass(frozen=True)
class DubbingBatch:
    """What stage 2 learns from.

    Attributes:
        speech: as in stage 1.
        picture: lips and face.
        frame_durations: frames of each phoneme, integers ``[B, N]``, summing to F.
    """

    speech: SpeechBatch
    picture: Picture
    frame_durations: Tensor


def speech_batch(clips: Sequence[tuple[int, str, Arrays]], *, vocabulary: Vocabulary, number: int = 0) -> SpeechBatch:
    """Collate clips (place, id, arrays of a prepared set) for stage 1."""
    arrays = [each for _, _, each in clips]
    codes = [np.concatenate([each["prosody"], each["acoustic"]]) for each in arrays]
    return SpeechBatch(
        number=number,
        clips=tuple(name for _, name, _ in clips),
        places=tuple(place for place, _, _ in clips),
        text=Text(
            padded([each["phones"] for each in arrays], PAD_ID),
            padded([each["stress"] for each in arrays], 0),
            torch.tensor([len(each["phones"]) for each in arrays]),
        ),
        token_durations=padded([each["token_durations"] for each in arrays], 0),
        lengths=torch.tensor([each["content"].shape[1] for each in arrays]),
        content=_padded_books([each["content"] for each in arrays], vocabulary.pad),
        flow=_padded_books(codes, vocabulary.pad),
        speaker=torch.from_numpy(np.stack([each["speaker"] for each in arrays]).astype(np.float32)),
    )


def dubbing_batch(clips: Sequence[tuple[int, str, Arrays]], *, vocabulary: Vocabulary, number: int = 0) -> DubbingBatch:
    """Collate clips for stage 2."""
    arrays = [each for _, _, each in clips]
    return DubbingBatch(
        speech=speech_batch(clips, vocabulary=vocabulary, number=number),
        picture=Picture(
            padded([each["lip"] for each in arrays], 0.0),
            padded([each["face"] for each in arrays], 0.0),
            torch.tensor([len(each["lip"]) for each in arrays]),
        ),
        frame_durations=padded([each["frame_durations"] for each in arrays], 0),
    )


def padded(rows: Sequence[NDArray[Any]], filling: float) -> Tensor:
    """Arrays ``[T_i, ...]`` as one tensor ``[B, max T, ...]``, float32 or int64."""
    kind = np.float32 if np.issubdtype(rows[0].dtype, np.floating) else np.int64
    whole = np.full((len(rows), max(len(row) for row in rows), *rows[0].shape[1:]), filling, dtype=kind)
    for target, row in zip(whole, rows, strict=True):
        target[: len(row)] = row
    return torch.from_numpy(whole)


def _padded_books(items: Sequence[NDArray[Any]], pad: int) -> Tensor:
    """Codes ``[Q, L_i]`` as ``[B, Q, max L]``."""
    return padded([np.ascontiguousarray(codes.T) for codes in items], pad).transpose(1, 2).contiguous()
