"""Re-speaking one half of a clip: joint denoising of its sound and its lips, while everything else is held (A.1).

All latents of the switching clip take part. The half's sound and the latents that know of its lips start from noise;
the rest, among it the whole other half with its voice in the wanted language, is given. Given latents come back as they
were, to the bit.

Two ways to hold what is given. *clean*: given tokens have noise level 0, as LTX-2's levels a token allow and as it was
trained with a given first frame. *replace*: all tokens share one level, and what is given is put back at that level
before each step, which any base can do.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from typing import Literal

import torch
from torch import Tensor

from dubflow.errors import WrongUse
from dubflow.incontext.backbone.parts import Backbone
from dubflow.incontext.backbone.positions import audio_positions, video_positions
from dubflow.incontext.backbone.video import video_latents, video_tokens
from dubflow.incontext.flow.path import noised
from dubflow.incontext.flow.sampler import euler_step, noise_like
from dubflow.incontext.inference.sampling import ClipLatents, GuidedText, OnStep, guided_pass
from dubflow.incontext.inference.settings import InferenceSettings
from dubflow.incontext.pairs.engine_parts import Span
from dubflow.incontext.tokens import ContextTokens
from dubflow.training.seeds import generators

Hold = Literal["clean", "replace"]


@dataclass(frozen=True, eq=False)
class Remade:
    """Which latents start from noise: ``video`` bool ``[B, F', H', W']``, ``audio`` bool ``[B, T]``."""

    video: Tensor
    audio: Tensor


def sound_of(backbone: Backbone, span: Span, tokens: int, fps: int) -> Tensor:
    """Audio tokens that sound at any moment of ``span``: bool ``[tokens]`` on the backbone's device."""
    starts, ends = audio_positions(backbone.geometry, tokens, backbone.device)[0, 0].unbind(dim=1)
    first, last = (float(Fraction(frame, fps)) for frame in (span.start, span.stop))
    return (ends > first) & (starts < last)


@torch.no_grad()
def inpaint_latents(
    backbone: Backbone,
    known: ClipLatents,
    remade: Remade,
    text: GuidedText,
    settings: InferenceSettings,
    seeds: Sequence[int],
    *,
    hold: Hold = "clean",
    on_step: OnStep | None = None,
) -> ClipLatents:
    """Clips of which some latents are made anew, and the others are ``known``'s.

    Args:
        known: normalised latents of the clips; their rate is ``settings.frame_rate``.
        text: what is said in the whole clip, an item each. seeds: one an item; its noise hangs on its own alone.

    Raises:
        WrongUse: ``incontext.token_shape``, ``incontext.no_guidance_text``.
    """
    batch, shape = len(known.video), known.shape
    if remade.video.shape != (batch, *shape) or remade.audio.shape != known.audio.shape[:2] or len(seeds) != batch:
        raise WrongUse(
            "incontext.token_shape",
            f"Masks {tuple(remade.video.shape)}, {tuple(remade.audio.shape)} and {len(seeds)} seeds do not belong to "
            f"{batch} clips of {shape} latents and {known.audio.shape[1]} audio tokens.",
        )
    if settings.guidance != 1 and text.avoided is None:
        raise WrongUse("incontext.no_guidance_text", "Guidance needs features of the negative prompt.", "Give both.")
    sources = generators(seeds)
    given = ClipLatents(video_tokens(known.video).float(), known.audio.float())
    noise_video = video_tokens(noise_like(sources, known.video))
    noise_audio = noise_like(sources, known.audio)
    free = video_tokens(remade.video[:, None]).to(given.video.device), remade.audio[..., None].to(given.audio.device)
    tokens = ContextTokens.of_targets(
        given.video,
        video_positions(backbone.geometry, shape, settings.frame_rate, given.video.device),
        given.audio,
        audio_positions(backbone.geometry, given.audio.shape[1], given.audio.device),
        held=~free[0][..., 0] if hold == "clean" else None,
        audio_held=~free[1][..., 0] if hold == "clean" else None,
    )
    # There are no references whose keys could be kept.
    step = guided_pass(
        backbone, tokens, text, settings.model_copy(update={"reference_cache": "off"}), settings.guidance
    )

    def held(at: Tensor) -> ClipLatents:
        if hold == "clean":
            return given
        level = at.to(given.video.device).expand(batch)
        return ClipLatents(noised(given.video, noise_video, level), noised(given.audio, noise_audio, level))

    levels = settings.levels()
    video, audio = noise_video, noise_audio
    for number, (sigma, after) in enumerate(pairwise(levels), start=1):
        still = held(sigma)
        video, audio = torch.where(free[0], video, still.video), torch.where(free[1], audio, still.audio)
        velocity = step(tokens.with_targets(video, audio).at(float(sigma)))
        video = euler_step(video, velocity.video, sigma, after)
        audio = euler_step(audio, velocity.audio, sigma, after)
        if on_step is not None:
            on_step(number, len(levels) - 1)
    return ClipLatents(
        torch.where(remade.video[:, None].to(known.video.device), video_latents(video, shape), known.video),
        torch.where(free[1], audio, known.audio),
    )
