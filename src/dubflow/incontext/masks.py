r"""Who may attend to whom between picture and sound, and which parts of that need computing at all.

JUST-DUB-IT, Eq. 3: in the attention between the modalities

.. math:: M_{ij} = 0 \text{ if } i, j \text{ are both target tokens, else } -\infty

so a reference never looks across, nor is it looked at from there. The bias is boolean here, never a finite number: a
constant added to a whole row cancels in the softmax and masks nothing. A row without any key gives 0.

Since what Eq. 3 allows is one block, the block can be cut out and computed alone (``sliced``), which is equal to
masking (``masked``) and cheaper. Padding is masked in both.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from pydantic import Field
from torch import Tensor

from dubflow.config import Strict
from dubflow.incontext.tokens import ContextTokens, ModalityTokens

AvMask = Literal["isolated", "a2v_only", "none"]
SelfAttention = Literal["full", "reference_isolated"]
Kind = Literal["video_self", "audio_self", "audio_to_video", "video_to_audio"]

EVERYTHING = slice(None)


class MaskScheme(Strict):
    """How references and targets see each other. An adapter runs under the scheme that it was trained with."""

    av: AvMask = Field(
        "isolated",
        description="Between modalities: isolated, as Eq. 3; a2v_only, Eq. 3 for what the picture hears, while sound "
        "sees all of the picture; none, everything.",
    )
    self_attention: SelfAttention = Field(
        "full",
        description="Within a modality: full, as the paper; reference_isolated, references do not look at targets, "
        "so that what is computed of them is the same at every step.",
    )
    compute: Literal["sliced", "masked"] = Field(
        "sliced", description="Compute the allowed block only, or all of it under a mask; the results are equal."
    )


@dataclass(frozen=True, eq=False)
class Block:
    """Queries that attend to keys; tokens outside all blocks of an attention attend to nothing and get 0.

    Attributes:
        queries, keys: spans of tokens.
        allowed: bool, broadcast to ``[B, heads, queries, keys]``; None where everything is.
    """

    queries: slice
    keys: slice
    allowed: Tensor | None = None


@dataclass(frozen=True, eq=False)
class Layout:
    """The blocks of each kind of attention for one batch of tokens."""

    blocks: dict[Kind, tuple[Block, ...]]

    @classmethod
    def of(cls, tokens: ContextTokens, scheme: MaskScheme) -> Layout:
        """The layout of ``tokens`` under ``scheme``."""
        video, audio = tokens.video, tokens.audio
        across = _across_masked if scheme.compute == "masked" else _across_sliced
        return cls(
            {
                "video_self": _within(video, scheme),
                "audio_self": _within(audio, scheme),
                "audio_to_video": across(video, audio) if scheme.av != "none" else _open(audio),
                "video_to_audio": across(audio, video) if scheme.av == "isolated" else _open(video),
            }
        )


def target_pairs(queries: ModalityTokens, keys: ModalityTokens) -> Tensor:
    """Eq. 3 written out: bool ``[queries, keys]``, True where both are targets."""
    of_queries, of_keys = (
        torch.zeros(one.latents.shape[1], dtype=torch.bool, device=one.latents.device) for one in (queries, keys)
    )
    of_queries[queries.target] = True
    of_keys[keys.target] = True
    return of_queries[:, None] & of_keys[None, :]


def _targets_alone(tokens: ModalityTokens) -> bool:
    return bool(tokens.reference.stop == tokens.reference.start)


def _keys_that_exist(keys: ModalityTokens, span: slice = EVERYTHING) -> Tensor | None:
    """Bool ``[B, 1, 1, keys]``; None without padding. One row serves every head and query."""
    return keys.valid[:, None, None, span] if keys.padded else None


def _open(keys: ModalityTokens) -> tuple[Block, ...]:
    return (Block(EVERYTHING, EVERYTHING, _keys_that_exist(keys)),)


def _across_sliced(queries: ModalityTokens, keys: ModalityTokens) -> tuple[Block, ...]:
    if _targets_alone(queries) and _targets_alone(keys):
        return _open(keys)
    return (Block(queries.target, keys.target, _keys_that_exist(keys, keys.target)),)


def _across_masked(queries: ModalityTokens, keys: ModalityTokens) -> tuple[Block, ...]:
    allowed = target_pairs(queries, keys)[None, None]
    existing = _keys_that_exist(keys)
    return (Block(EVERYTHING, EVERYTHING, allowed if existing is None else allowed & existing),)


def _within(tokens: ModalityTokens, scheme: MaskScheme) -> tuple[Block, ...]:
    if scheme.self_attention == "full" or _targets_alone(tokens):
        return _open(tokens)
    reference, target = tokens.reference, tokens.target
    if scheme.compute == "masked":
        count = tokens.latents.shape[1]
        allowed = torch.ones(count, count, dtype=torch.bool, device=tokens.latents.device)
        allowed[reference, target] = False
        existing = _keys_that_exist(tokens)
        return (Block(EVERYTHING, EVERYTHING, allowed[None, None] if existing is None else allowed & existing),)
    return (
        Block(reference, reference, _keys_that_exist(tokens, reference)),
        Block(target, EVERYTHING, _keys_that_exist(tokens)),
    )
