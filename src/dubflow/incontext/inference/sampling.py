"""Latents of a clip into latents of its dub: the one implementation of sampling, for validation and for jobs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor

from dubflow.errors import BadInput, WrongUse
from dubflow.incontext.backbone.parts import Backbone
from dubflow.incontext.backbone.positions import audio_positions, video_positions
from dubflow.incontext.backbone.text import TextFeatures
from dubflow.incontext.backbone.video import video_latents, video_tokens
from dubflow.incontext.flow.path import noised
from dubflow.incontext.flow.sampler import euler_step, guided, noise_like
from dubflow.incontext.flow.schedules import fixed_schedule
from dubflow.incontext.forward import Velocities, forward
from dubflow.incontext.inference.prepared import PreparedPass, ReferenceCache, why_not_exact
from dubflow.incontext.inference.settings import InferenceSettings
from dubflow.incontext.tokens import ContextTokens

OnStep = Callable[[int, int], None]
"""Called after each step with its number from 1 and how many there are; may raise to end the work."""


@dataclass(frozen=True, eq=False)
class ClipLatents:
    """Clips of one size as normalised latents, float32.

    Attributes:
        video: ``[B, C, F', H', W']``. audio: tokens ``[B, T, C']``.
    """

    video: Tensor
    audio: Tensor

    @property
    def shape(self) -> tuple[int, int, int]:
        """Latent frames, rows, columns."""
        frames, rows, columns = self.video.shape[2:]
        return frames, rows, columns


@dataclass(frozen=True, eq=False)
class GuidedText:
    """What is asked for and, where guidance is on, what it leads away from; ``[B, ...]`` each."""

    asked: TextFeatures
    avoided: TextFeatures | None = None


def dub_latents(
    backbone: Backbone,
    source: ClipLatents,
    text: GuidedText,
    settings: InferenceSettings,
    seeds: Sequence[int],
    *,
    first: Tensor | None = None,
    on_step: OnStep | None = None,
) -> ClipLatents:
    """Dubs of clips (JUST-DUB-IT, Sec. 3.3): the source's tokens are the reference, the dub's grow out of noise.

    Args:
        source: the clips; their rate is ``settings.frame_rate``.
        seeds: one an item; an item's noise hangs on its own seed and size alone.
        first: latents of a first frame ``[B, C, 1, H', W']`` to hold; without, the source's is held where
            ``settings.first_frame`` (the video encoder is causal: the first latent knows the first frame alone).

    Raises:
        WrongUse: ``incontext.no_guidance_text``, ``incontext.cache_not_exact``, ``incontext.token_shape``.
    """
    noise_sources = [torch.Generator().manual_seed(seed) for seed in seeds]
    held, clean = _held(source, settings, first)
    noise = _noise(source, noise_sources)
    levels = settings.levels()
    start = ClipLatents(torch.where(held, clean, noise.video), noise.audio)
    return _denoised(backbone, source, start, text, settings, levels, settings.guidance, held, False, on_step)


def refine_latents(
    backbone: Backbone,
    source: ClipLatents,
    rough: ClipLatents,
    text: GuidedText,
    settings: InferenceSettings,
    seeds: Sequence[int],
    *,
    first: Tensor | None = None,
    on_step: OnStep | None = None,
) -> ClipLatents:
    """The second stage: ``rough`` (at ``source``'s size) is noised to the refinement's first level and denoised again.

    The sound stays what the first stage made of it.

    Raises:
        WrongUse: ``incontext.no_refinement`` where the settings have none; else as :func:`dub_latents`.
    """
    refine = settings.refine
    if refine is None:
        raise WrongUse("incontext.no_refinement", "These settings have one stage only.", "Give them `refine`.")
    levels = fixed_schedule(refine.levels)
    held, clean = _held(source, settings, first)
    # Other draws than those of the first stage, from the same seed.
    sources = [torch.Generator().manual_seed(seed ^ 0x5EED) for seed in seeds]
    noise = _noise(source, sources)
    again = noised(rough.video, noise.video, levels[:1].to(rough.video.device).expand(len(seeds)))
    start = ClipLatents(torch.where(held, clean, again), rough.audio)
    return _denoised(backbone, source, start, text, settings, levels, refine.guidance, held, True, on_step)


@torch.no_grad()
def upsampled(backbone: Backbone, upsampler: Any, latents: Tensor) -> Tensor:
    """Normalised latents ``[B, C, F', H', W']`` at twice the width and height, by diffusers' LTX-2 latent upsampler.

    Raises:
        BadInput: ``incontext.upsampler_differs`` for one of other channels, or that does not double width and height.
    """
    vae = backbone.video_vae
    mean, deviation = (one.to(latents).view(1, -1, 1, 1, 1) for one in (vae.latents_mean, vae.latents_std))
    if upsampler.config.in_channels != latents.shape[1]:
        raise BadInput(
            "incontext.upsampler_differs",
            f"The upsampler takes {upsampler.config.in_channels} channels; this base has {latents.shape[1]}.",
            "Take the upsampler of this version of the base.",
        )
    weight = next(upsampler.parameters())
    raw = upsampler((latents * deviation + mean).to(weight.device, weight.dtype)).to(latents)
    frames, rows, columns = latents.shape[2:]
    if raw.shape[2:] != (frames, 2 * rows, 2 * columns):
        raise BadInput(
            "incontext.upsampler_differs",
            f"The upsampler makes {tuple(raw.shape[2:])} latents of {tuple(latents.shape[2:])}.",
            "Take one that doubles width and height and keeps time.",
        )
    larger: Tensor = (raw - mean) / deviation
    return larger


def _held(source: ClipLatents, settings: InferenceSettings, first: Tensor | None) -> tuple[Tensor, Tensor]:
    """Which latents are given, ``[1, 1, F', 1, 1]``, and what they are, ``[B, C, F', H', W']``."""
    frames = source.video.shape[2]
    held = torch.zeros(1, 1, frames, 1, 1, dtype=torch.bool, device=source.video.device)
    if settings.first_frame or first is not None:
        held[:, :, 0] = True
    given = source.video[:, :, :1] if first is None else first
    return held, given.expand(-1, -1, frames, -1, -1)


def _noise(like: ClipLatents, sources: Sequence[torch.Generator]) -> ClipLatents:
    if len(sources) != len(like.video):
        raise WrongUse("incontext.token_shape", f"{len(sources)} seeds do not belong to {len(like.video)} clips.")
    return ClipLatents(noise_like(sources, like.video), noise_like(sources, like.audio))


@torch.no_grad()
def _denoised(
    backbone: Backbone,
    source: ClipLatents,
    start: ClipLatents,
    text: GuidedText,
    settings: InferenceSettings,
    levels: Tensor,
    guidance: float,
    held: Tensor,
    audio_held: bool,
    on_step: OnStep | None,
) -> ClipLatents:
    if guidance != 1 and text.avoided is None:
        raise WrongUse("incontext.no_guidance_text", "Guidance needs features of the negative prompt.", "Give both.")
    batch, shape = len(source.video), source.shape
    still = held.expand(batch, 1, *shape)
    video, audio = video_tokens(start.video).float(), start.audio.float()
    video_held = video_tokens(still)[..., 0]
    tokens = ContextTokens.of_targets(
        video,
        video_positions(backbone.geometry, shape, settings.frame_rate, video.device),
        audio,
        audio_positions(backbone.geometry, audio.shape[1], video.device),
        held=video_held,
        audio_held=torch.full(audio.shape[:2], audio_held, device=audio.device),
    ).append_reference(
        video_tokens(source.video).float(),
        source.audio.float(),
        order=settings.order,
        audio_positions=settings.audio_positions,
    )
    step = guided_pass(backbone, tokens, text, settings, guidance)
    moving = (~video_held)[:, :, None]
    for number, (sigma, after) in enumerate(pairwise(levels), start=1):
        velocity = step(tokens.with_targets(video, audio).at(float(sigma), 0.0 if audio_held else None))
        video = torch.where(moving, euler_step(video, velocity.video, sigma, after), video)
        if not audio_held:
            audio = euler_step(audio, velocity.audio, sigma, after)
        if on_step is not None:
            on_step(number, len(levels) - 1)
    return ClipLatents(video_latents(video, shape), audio)


def guided_pass(
    backbone: Backbone, tokens: ContextTokens, text: GuidedText, settings: InferenceSettings, guidance: float
) -> Callable[[ContextTokens], Velocities]:
    """What gives one step's velocities of ``tokens``' targets, guidance included; references are not needed."""
    if guidance == 1 or text.avoided is None:
        return _pass(backbone, tokens, text.asked, settings)
    asked, avoided = text.asked, text.avoided
    if settings.batch_guidance:
        both = _pass(backbone, tokens.repeat(2), _stacked(asked, avoided), settings)

        def together(now: ContextTokens) -> Velocities:
            found = both(now.repeat(2))
            (video, free_video), (audio, free_audio) = found.video.chunk(2), found.audio.chunk(2)
            return Velocities(guided(video, free_video, guidance), guided(audio, free_audio, guidance))

        return together
    one, other = (_pass(backbone, tokens, text, settings) for text in (asked, avoided))

    def in_turn(now: ContextTokens) -> Velocities:
        with_it, without = one(now), other(now)
        return Velocities(
            guided(with_it.video, without.video, guidance), guided(with_it.audio, without.audio, guidance)
        )

    return in_turn


def _pass(
    backbone: Backbone, tokens: ContextTokens, text: TextFeatures, settings: InferenceSettings
) -> Callable[[ContextTokens], Velocities]:
    transformer, masks = backbone.transformer, settings.masks
    if settings.compile and not getattr(transformer.transformer_blocks[0], "_compiled_call_impl", None):
        transformer.compile_repeated_blocks(dynamic=False)
    if settings.reference_cache == "off":
        if settings.reuse:
            return PreparedPass(transformer, tokens, text, masks)
        return lambda now: forward(transformer, now, text, masks)
    reason = why_not_exact(transformer, masks)
    if reason is not None and settings.reference_cache == "exact":
        raise WrongUse(
            "incontext.cache_not_exact",
            f"Keeping the references over the steps would change the result: {reason}.",
            "Leave reference_cache off, or ask for approximate.",
        )
    cache = ReferenceCache.of(transformer, tokens, text, masks)
    # Targets alone under the isolated scheme: what they asked of references across was nothing, or is given up here.
    alone = masks.model_copy(update={"av": "isolated", "self_attention": "full"})
    prepared = PreparedPass(transformer, tokens.targets(), text, alone, cache)
    return lambda now: prepared(now.targets())


def _stacked(*texts: TextFeatures) -> TextFeatures:
    return replace(
        texts[0],
        video=torch.cat([one.video for one in texts]),
        audio=torch.cat([one.audio for one in texts]),
        mask=torch.cat([one.mask for one in texts]),
    )
