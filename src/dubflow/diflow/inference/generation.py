"""The flow over a batch whose plan is known: prosody and acoustic books drawn, content taken as planned.

Letters: B batch, L tokens, V codes, m, n, k books of prosody, content and acoustic detail.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from dubflow.diflow.flow.samplers import sample
from dubflow.diflow.inference.following import Between
from dubflow.diflow.inference.settings import InferenceSettings
from dubflow.diflow.nets.content import Content
from dubflow.diflow.nets.denoiser import Context, FlowDenoiser
from dubflow.speech.codecs import Tokens


def draw_tokens(
    denoiser: FlowDenoiser,
    context: Context,
    content: Content,
    lengths: Sequence[int],
    seeds: Sequence[int],
    speakers: Sequence[NDArray[np.float32]],
    settings: InferenceSettings,
    between: Between | None = None,
) -> list[Tokens]:
    """Tokens of each item of a batch.

    Args:
        context: of the denoiser, for this batch.
        content: of ``[B, L]`` tokens; the likeliest codes are taken.
        lengths: tokens of each item.
        seeds: of each item's noise.
        speakers: vectors ``[D_s]`` that the tokens carry.
        between: called between the steps; ends the flow by raising.
    """
    books = denoiser.books
    flow = sample(
        denoiser.bound(context, "bfloat16" if settings.precision == "bf16" else "weights"),
        lengths,
        seeds,
        settings.sampler,
        books=books.flow,
        vocabulary=books.vocabulary,
        device=content.logits.device,
        between=between,
    )
    said = content.tokens.cpu().numpy()
    drawn = flow.cpu().numpy()
    return [
        Tokens(
            prosody=drawn[item, : books.prosody, :length],
            content=said[item, :, :length],
            acoustic=drawn[item, books.prosody :, :length],
            speaker=speaker,
        )
        for item, (length, speaker) in enumerate(zip(lengths, speakers, strict=True))
    ]
