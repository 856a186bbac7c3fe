"""The transformer with its text encoder and connectors in training, on the latents of finished autoencoders.

All three learn together from one loss, the squared error of the velocity (rectified flow, see
:mod:`dubflow.incontext.flow.path`) of picture and of sound. Clips without a picture teach the sound alone: their one
video token meets nobody and has no loss.
"""

from __future__ import annotations

import bisect
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any

import torch
from torch import Tensor

from dubflow.incontext.backbone.parts import Backbone
from dubflow.incontext.backbone.positions import audio_positions, video_positions
from dubflow.incontext.backbone.text import connected, features_of_tokens, tokenized
from dubflow.incontext.backbone.video import video_tokens
from dubflow.incontext.flow.levels import draw_levels
from dubflow.incontext.flow.path import noised, velocity
from dubflow.incontext.forward import forward
from dubflow.incontext.masks import Block, Layout, MaskScheme
from dubflow.incontext.pretraining.arrays import FPS
from dubflow.incontext.pretraining.excerpts import Excerpt, excerpts
from dubflow.incontext.pretraining.guide import guide_loss, letters_of, watched
from dubflow.incontext.pretraining.latents import MaterialLatents
from dubflow.incontext.pretraining.settings import Part, TransformerTraining
from dubflow.incontext.tokens import ContextTokens
from dubflow.incontext.training.loss import LossParts, masked_error
from dubflow.training.plan import BatchPlan, spread
from dubflow.training.seeds import generators, seed_of

_FULL_CHANGE = 0.5
_OPEN = MaskScheme.model_validate({"av": "none"})
_NOBODY = (Block(slice(0, 0), slice(0, 0)),)


@dataclass(frozen=True, eq=False)
class JointBatch:
    """Clips of one length at their noise levels.

    Attributes:
        tokens: targets alone. ids, mask: of the prompts, ``[B, L]``.
        video_target, audio_target: velocities ``[B, N, C]``, ``[B, T, D]``. weights: of the video tokens ``[B, N]``.
        pictured: 1 where there is a picture, else 0; a number, so that it travels with the tensors.
        letters: of the prompt that each audio token says, ``[B, T, 2]`` (:func:`.guide.letters_of`).
    """

    tokens: ContextTokens
    ids: Tensor
    mask: Tensor
    video_target: Tensor
    audio_target: Tensor
    weights: Tensor
    pictured: Tensor
    letters: Tensor


class JointMaterial:
    """Clips of one part a batch, in the turns that the phases name, chosen by batch number alone."""

    def __init__(self, latents: MaterialLatents, backbone: Backbone, settings: TransformerTraining) -> None:
        self.latents, self.backbone, self.settings = latents, backbone, settings
        self._ends = tuple(accumulate(phase.steps for phase in settings.phases))
        self._places = {part: latents.places(part, held=False) for part in _parts(settings)}
        self._held = {part: latents.places(part, held=True) for part in _parts(settings)}
        # Long clips count for as many as they are long, so that every batch costs about as much.
        self._plans = {
            part: BatchPlan(
                lengths := [latents.length(place) for place in places],
                batch_items=settings.batch_items,
                batch_tokens=settings.batch_items * latents.shortest,
                seed=seed_of(settings.seed, part) % 2**31,
                kinds=lengths,  # clips of one length alone: none is cut, none padded
            )
            for part, places in self._places.items()
        }

    def batch(self, number: int) -> JointBatch:
        """Batch ``number`` of the training."""
        step = number // self.settings.accumulate
        phase = self.settings.phases[min(bisect.bisect_right(self._ends, step), len(self._ends) - 1)]
        part = phase.parts[number % len(phase.parts)]
        places = [self._places[part][one] for one in self._plans[part].batch(number)]
        seeds = [seed_of(self.settings.seed, number, place) for place in places]
        return self._of(places, seeds, training=True, words=phase.words if part == "voices" else None)

    def held(self) -> list[JointBatch]:
        """Clips of people held out, one a batch."""
        each = max(1, self.settings.validate_items // max(1, len(self._held)))
        chosen = [place for places in self._held.values() for place in spread(places, each)]
        return [self._of([place], [seed_of("held", place)], training=False) for place in chosen]

    def _of(
        self, places: Sequence[int], seeds: Sequence[int], *, training: bool, words: int | None = None
    ) -> JointBatch:
        sources = generators(list(seeds))
        clips = [self.latents[place] for place in places]
        said = (
            [Excerpt(clip.audio, clip.clip.prompt, clip.clip.words) for clip in clips]
            if words is None
            else excerpts(clips, words, sources)
        )
        count = len(said[0].audio)
        prompts = []
        for one, source in zip(said, sources, strict=True):
            silent = bool(torch.rand((), generator=source) < self.settings.silent_prompt_p)
            prompts.append("" if silent and training else one.prompt)
        pairs = [tokenized(self.backbone, prompt) for prompt in prompts]
        pictured = clips[0].video is not None
        video = torch.stack([self._video(clip.video, count) for clip in clips])
        audio = torch.stack([one.audio.float() for one in said])
        shape = (video.shape[2], video.shape[3], video.shape[4])
        rows = video_tokens(video)
        levels = [draw_levels([source], rows.shape[1], self.settings.levels) for source in sources]
        sigma, audio_sigma = (torch.cat([one[place] for one in levels]) for place in (0, 1))
        noise = torch.stack([torch.randn(rows.shape[1:], generator=source) for source in sources])
        audio_noise = torch.stack([torch.randn(audio.shape[1:], generator=source) for source in sources])
        tokens = ContextTokens.of_targets(
            noised(rows, noise, sigma),
            video_positions(self.backbone.geometry, shape, FPS),
            noised(audio, audio_noise, audio_sigma),
            audio_positions(self.backbone.geometry, count),
            sigma=sigma,
            audio_sigma=audio_sigma,
        )
        return JointBatch(
            tokens=tokens,
            ids=torch.stack([ids for ids, _ in pairs]),
            mask=torch.stack([mask for _, mask in pairs]),
            video_target=velocity(rows, noise),
            audio_target=velocity(audio, audio_noise),
            weights=self._weights(video) if pictured else torch.zeros(rows.shape[:2]),
            pictured=torch.tensor(int(pictured)),
            letters=torch.stack(
                [letters_of(one.words if asked else (), count) for one, asked in zip(said, prompts, strict=True)]
            ),
        )

    def _video(self, video: Tensor | None, frames: int) -> Tensor:
        if video is None:
            return torch.zeros(self.backbone.geometry.video_channels, 1, 1, 1)
        return video[:, : (frames - 1) // self.backbone.geometry.temporal + 1].float()

    def _weights(self, video: Tensor) -> Tensor:
        """Weights ``[B, N]`` of video tokens: more where latents differ from their mean over time."""
        change = (video - video.mean(dim=2, keepdim=True)).abs().mean(dim=1)
        return 1 + self.settings.motion_weight * (change / _FULL_CHANGE).clamp(max=1).flatten(1)


@dataclass(frozen=True, eq=False)
class JointLoss:
    """The loss of a batch; the text is encoded with gradients."""

    backbone: Backbone
    settings: TransformerTraining

    def __call__(self, batch: JointBatch) -> LossParts:
        """Weighted squared error of the picture's velocities, squared error of the sound's, and the guide's."""
        text = connected(self.backbone, features_of_tokens(self.backbone, batch.ids, batch.mask))
        pictured = bool(batch.pictured)
        layout = Layout.of(batch.tokens, _OPEN)
        if not pictured:
            layout = Layout(layout.blocks | {"audio_to_video": _NOBODY, "video_to_audio": _NOBODY})
        transformer = self.backbone.transformer
        with watched(transformer) as seen:
            said = forward(transformer, batch.tokens, text, _OPEN, layout=layout)
        sound = (said.audio.float() - batch.audio_target).square().mean()
        picture = masked_error(said.video, batch.video_target, batch.weights) if pictured else sound.new_zeros(())
        heads = int(transformer.config.audio_num_attention_heads)
        guides = [guide_loss(queries, keys, batch.letters, heads) for queries, keys in seen]
        guide = torch.stack(guides).mean() if guides else sound.new_zeros(())
        total = sound + picture + self.settings.guide_weight * guide
        return LossParts(total, {"sound": sound, "picture": picture, "guide": guide})


def _parts(settings: TransformerTraining) -> tuple[Part, ...]:
    return tuple(dict.fromkeys(part for phase in settings.phases for part in phase.parts))


def trained(backbone: Backbone) -> dict[str, Any]:
    """What learns together, by the names of the base's folders."""
    return {
        "transformer": backbone.transformer,
        "connectors": backbone.connectors,
        "text_encoder": backbone.text_encoder,
    }
