"""From stored latents to what a step sees: noised targets beside a clean reference, and what is to be said of them.

All of a pair is drawn from one generator of its own, on the CPU, so a step hangs on the run's seed and its pairs alone,
and a pair has the same noise in whatever batch it stands.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from dubflow.incontext.backbone.geometry import Geometry
from dubflow.incontext.backbone.positions import audio_positions, video_positions
from dubflow.incontext.backbone.text import TextFeatures, batched_text
from dubflow.incontext.backbone.video import video_tokens
from dubflow.incontext.flow.levels import draw_levels
from dubflow.incontext.flow.path import noised, velocity
from dubflow.incontext.forward import forward
from dubflow.incontext.tokens import ContextTokens, batched
from dubflow.incontext.training.latents import PairLatents
from dubflow.incontext.training.loss import LossParts, dubbing_loss, mask_weights
from dubflow.incontext.training.settings import FPS, LoraTraining


@dataclass(frozen=True, eq=False)
class Example:
    """A batch; :func:`example_of` makes one of a single pair, :func:`batch_of` joins such.

    Attributes:
        ids: of the pairs. number: of the batch within the plan.
        tokens: at their noise level, the reference among them. text: what is to be said.
        video_target, audio_target: velocities of the targets ``[B, N, C]``, ``[B, T, D]``.
        weights: of the video targets, ``[B, N]``; 0 for those that are held clean.
        unmasked: pairs without a face mask.
    """

    ids: tuple[str, ...]
    number: int
    tokens: ContextTokens
    text: TextFeatures
    video_target: Tensor
    audio_target: Tensor
    weights: Tensor
    unmasked: int


def example_of(
    pair: PairLatents, geometry: Geometry, settings: LoraTraining, source: torch.Generator, number: int = 0
) -> Example:
    """One pair at a noise level drawn from ``source``."""
    shape = (pair.target_video.shape[1], pair.target_video.shape[2], pair.target_video.shape[3])
    video, audio = video_tokens(pair.target_video)[None].float(), pair.target_audio[None].float()
    sigma, audio_sigma = draw_levels([source], video.shape[1], settings.levels)
    noise, audio_noise = (torch.randn(one.shape, generator=source) for one in (video, audio))
    first = shape[1] * shape[2]
    held = torch.zeros(video.shape[:2], dtype=torch.bool)
    # Drawn whether or not it is used: the noise of a run is the same for every share.
    given = bool(torch.rand((), generator=source, dtype=torch.float64) < settings.first_frame_p)
    held[:, :first] = given and first < video.shape[1]
    level = torch.where(held, torch.zeros_like(sigma)[:, None], sigma[:, None])
    tokens = ContextTokens.of_targets(
        noised(video, noise, level),
        video_positions(geometry, shape, FPS),
        noised(audio, audio_noise, audio_sigma),
        audio_positions(geometry, audio.shape[1]),
        sigma=sigma,
        audio_sigma=audio_sigma,
        held=held,
    ).append_reference(
        video_tokens(pair.context_video)[None].float(),
        pair.context_audio[None].float(),
        order=settings.order,
        audio_positions=settings.audio_positions,
    )
    inside, outside = settings.face_weight, settings.scene_weight
    weights = mask_weights(pair.mask, video.shape[1], inside=inside, outside=outside)[None]
    return Example(
        ids=(pair.id,),
        number=number,
        tokens=tokens,
        text=pair.text,
        video_target=velocity(video, noise),
        audio_target=velocity(audio, audio_noise),
        weights=torch.where(held, torch.zeros_like(weights), weights),
        unmasked=int(pair.mask is None),
    )


def batch_of(examples: Sequence[Example]) -> Example:
    """Examples of one shape as one batch, numbered as the first; only the text is padded.

    Raises:
        WrongUse: ``incontext.empty_batch``.
    """
    return Example(
        ids=tuple(name for one in examples for name in one.ids),
        number=examples[0].number if examples else 0,
        tokens=batched([one.tokens for one in examples]),
        text=batched_text([one.text for one in examples]),
        video_target=torch.cat([one.video_target for one in examples]),
        audio_target=torch.cat([one.audio_target for one in examples]),
        weights=torch.cat([one.weights for one in examples]),
        unmasked=sum(one.unmasked for one in examples),
    )


def loss_of(transformer: Any, example: Example, settings: LoraTraining) -> LossParts:
    """The loss of ``example`` under the masks of the settings."""
    said = forward(transformer, example.tokens, example.text, settings.scheme)
    return dubbing_loss(
        said.video,
        said.audio,
        example.video_target,
        example.audio_target,
        example.weights,
        unmasked=example.unmasked,
    )
