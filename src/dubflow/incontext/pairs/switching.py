"""Language-switching clips: the base makes them from a prompt alone, picture and sound together (Fig. 2, first stage).

Generation is joint denoising of all latents with nothing given, so it is the re-speaking of
:mod:`dubflow.incontext.pairs.inpainting` with everything remade: one sampler for both passes of the engine.
"""

from __future__ import annotations

import hashlib
import json
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from dubflow.atomic import write_json
from dubflow.errors import BadInput, WrongUse
from dubflow.incontext.backbone.audio import decode_audio
from dubflow.incontext.backbone.fingerprint import fingerprint
from dubflow.incontext.backbone.parts import Backbone
from dubflow.incontext.backbone.text import TextCache, TextFeatures, encode_text
from dubflow.incontext.backbone.video import decode_video
from dubflow.incontext.inference.sampling import ClipLatents, GuidedText, OnStep
from dubflow.incontext.pairs.engine_parts import SwitchingClip
from dubflow.incontext.pairs.engine_settings import SynthesisSettings
from dubflow.incontext.pairs.inpainting import Remade, inpaint_latents
from dubflow.incontext.pairs.prompts.content import prompt_id
from dubflow.incontext.pairs.prompts.forms import render
from dubflow.incontext.pairs.prompts.structure import FRAME_RATE, Prompt
from dubflow.media.encode import write_clip

_FEATURES = ("video", "audio", "mask")
_SAMPLER = ("schedule", "steps", "guidance", "negative_prompt")


class BaseClips:
    """Implements :class:`~dubflow.incontext.pairs.engine_parts.ClipMaker` by a base that generates.

    Args:
        backbone: any version, with its text encoder or with ``texts``.
        settings: size, form of the prompts, sampler, and how many clips of one length are made together.
        texts: cached features of prompts. on_step: told of every step, may raise to end the work.
    """

    def __init__(
        self,
        backbone: Backbone,
        settings: SynthesisSettings,
        *,
        texts: TextCache | None = None,
        on_step: OnStep | None = None,
    ) -> None:
        self._backbone, self._settings = backbone, settings
        self._texts, self._on_step = texts, on_step

    @property
    def id(self) -> str:
        """``generated-`` and the digest of what changes a clip of a given base, prompt and seed."""
        content = json.dumps(self._how, sort_keys=True, ensure_ascii=False)
        return f"generated-{hashlib.sha256(content.encode()).hexdigest()[:16]}"

    def make(self, prompts: Sequence[Prompt], seeds: Sequence[int]) -> list[SwitchingClip]:
        """A clip a prompt, of ``prompt.clip_frames`` frames; prompts of one length are made together.

        Raises:
            WrongUse: ``incontext.token_shape`` for another number of seeds.
            BadInput: ``incontext.prompt_without_times`` where nothing says how long a clip is to be;
                ``incontext.prompt_too_long`` for the base's text encoder, ``incontext.bad_clip_size``.
        """
        if len(seeds) != len(prompts):
            raise WrongUse("incontext.token_shape", f"{len(seeds)} seeds do not belong to {len(prompts)} prompts.")
        by_length: dict[int, list[int]] = defaultdict(list)
        for place, prompt in enumerate(prompts):
            by_length[_frames_of(prompt)].append(place)
        made: dict[int, SwitchingClip] = {}
        for frames, places in by_length.items():
            for start in range(0, len(places), self._settings.batch):
                some = places[start : start + self._settings.batch]
                clips = self._batch([prompts[one] for one in some], [seeds[one] for one in some], frames)
                made.update(zip(some, clips, strict=True))
        return [made[place] for place in range(len(prompts))]

    def _batch(self, prompts: Sequence[Prompt], seeds: Sequence[int], frames: int) -> list[SwitchingClip]:
        net, settings = self._backbone, self._settings
        said = [render(prompt, settings.form) for prompt in prompts]
        asked = encode_text(net, said, self._texts)
        avoided = self._avoided(len(said)) if settings.guidance != 1 else None
        empty = self._empty(len(prompts), frames)
        everything = Remade(
            torch.ones(len(prompts), *empty.shape, dtype=torch.bool, device=net.device),
            torch.ones(empty.audio.shape[:2], dtype=torch.bool, device=net.device),
        )
        latents = inpaint_latents(
            net, empty, everything, GuidedText(asked, avoided), settings.sampling, seeds, on_step=self._on_step
        )
        return [
            self._clip(video, audio, prompt, text, seed)
            for video, audio, prompt, text, seed in zip(latents.video, latents.audio, prompts, said, seeds, strict=True)
        ]

    def _avoided(self, batch: int) -> TextFeatures:
        # Encoded once: a large text encoder takes seconds a prompt.
        one = encode_text(self._backbone, [self._settings.negative_prompt], self._texts)
        parts = {name: getattr(one, name).expand(batch, *[-1] * (getattr(one, name).ndim - 1)) for name in _FEATURES}
        return replace(one, **parts)

    def _empty(self, batch: int, frames: int) -> ClipLatents:
        geometry = self._backbone.geometry
        shape = geometry.latent_shape(frames, self._settings.height, self._settings.width)
        tokens = geometry.audio_tokens(Fraction(frames, FRAME_RATE))
        return ClipLatents(
            torch.zeros(batch, geometry.video_channels, *shape, device=self._backbone.device),
            torch.zeros(batch, tokens, geometry.audio_channels, device=self._backbone.device),
        )

    def _clip(self, video: torch.Tensor, audio: torch.Tensor, prompt: Prompt, text: str, seed: int) -> SwitchingClip:
        net = self._backbone
        frames = decode_video(net, video)
        sound, rate = decode_audio(net, audio)
        lineage = {"prompt": prompt_id(prompt), "text": text, "seed": seed, "base": self._base, "made": self._how}
        own = ClipLatents(video[None], audio[None])
        return SwitchingClip(frames, _fitted(sound.mean(axis=0), len(frames), rate), rate, lineage, own)

    @cached_property
    def _base(self) -> dict[str, Any]:
        net = self._backbone
        parts = {name: fingerprint(part) for name, part in net.modules().items() if name != "text_encoder"}
        return {"version": net.version, "world": net.world, **parts}

    @property
    def _how(self) -> dict[str, Any]:
        settings = self._settings
        return {
            "width": settings.width,
            "height": settings.height,
            "form": settings.form,
            **{name: getattr(settings.sampling, name) for name in _SAMPLER},
        }


def save_clip(folder: Path, name: str, clip: SwitchingClip, crf: int = 12) -> Path:
    """Write a clip as ``<name>.mp4`` and its lineage beside it as ``<name>.json``; the clip's path.

    The lineage is written last: a clip with one is complete.

    Raises:
        WrongUse: as :func:`dubflow.media.encode.write_clip`.
    """
    path = Path(folder) / f"{name}.mp4"
    write_clip(path, clip.frames, FRAME_RATE, clip.waveform, clip.sample_rate, crf)
    write_json(path.with_suffix(".json"), dict(clip.lineage))
    return path


def _frames_of(prompt: Prompt) -> int:
    frames = prompt.clip_frames
    if frames is None:
        raise BadInput(
            "incontext.prompt_without_times",
            "A prompt without times and length does not say how long its clip is.",
            "Give its segments times, or the prompt a number of frames.",
        )
    return frames


def _fitted(sound: NDArray[np.float32], frames: int, rate: int) -> NDArray[np.float32]:
    """As long as the picture, to the sample: the vocoder gives 30 ms less than its tokens stand for."""
    fitted = np.zeros(int(Fraction(frames * rate, FRAME_RATE) + Fraction(1, 2)), np.float32)
    kept = sound[: len(fitted)]
    fitted[: len(kept)] = kept
    return fitted
