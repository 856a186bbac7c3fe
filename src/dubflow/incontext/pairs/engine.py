"""From a prompt to two training pairs (JUST-DUB-IT, Sec. 3.2 and A.1).

A base makes a clip in which one person changes language; it is cut in the silence between. Either half, untouched, is a
target. Its context is the same half re-spoken in the other half's language: sound and lips start from noise, the rest
of the clip is held, and the other half lends its voice. With lip augmentation a second pass spells letters, and its
lips go into the context with the first pass's sound.

A try fails when the clip cannot be cut, shows no face, or has no latents that know of its lips; another seed is then
tried. Everything hangs on the prompt, the run's seed, the settings and the base, so what was made once is made again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from dubflow.corpora.cache import content_key
from dubflow.errors import BadInput
from dubflow.faces.landmarks import Landmarker
from dubflow.incontext.backbone.audio import decode_audio, encode_audio
from dubflow.incontext.backbone.fingerprint import fingerprint
from dubflow.incontext.backbone.parts import Backbone
from dubflow.incontext.backbone.video import decode_video, encode_video
from dubflow.incontext.inference.sampling import ClipLatents, GuidedText
from dubflow.incontext.pairs.augmentation import merged
from dubflow.incontext.pairs.cutting import cut_half
from dubflow.incontext.pairs.engine_cost import Stopwatch
from dubflow.incontext.pairs.engine_parts import (
    HALVES,
    ClipMaker,
    ContextHalf,
    ContextRole,
    Half,
    MadePair,
    Measured,
    QualityControl,
    Span,
    Split,
    Splitter,
    SwitchingClip,
)
from dubflow.incontext.pairs.engine_passes import Kind, Pass, guided_texts, joined, passes_of
from dubflow.incontext.pairs.engine_settings import FPS, SynthesisSettings
from dubflow.incontext.pairs.fine_mask import latent_lips, within
from dubflow.incontext.pairs.inpainting import Remade, inpaint_latents, sound_of
from dubflow.incontext.pairs.lip_mask import LipMask, lip_mask
from dubflow.incontext.pairs.prompts.content import prompt_id
from dubflow.incontext.pairs.prompts.forms import render, seen
from dubflow.incontext.pairs.prompts.sets import why_unusable
from dubflow.incontext.pairs.prompts.structure import Prompt, shortened
from dubflow.incontext.training.face_masks import face_mask
from dubflow.training.seeds import seed_of

VERSION = 2
"""Raised whenever the same prompt would become other pairs."""


@dataclass(frozen=True)
class Refused:
    """A try that came to nothing, and why."""

    seed: int
    code: str
    reason: str


@dataclass(frozen=True, eq=False)
class MadeHalf:
    """One pair, and what belongs to it.

    Attributes:
        face: where the target's face is, bool ``[F, H, W]``.
    """

    half: Half
    pair: MadePair
    face: NDArray[np.bool_]
    measured: Measured
    lineage: Mapping[str, Any]


@dataclass(frozen=True, eq=False)
class MadeItem:
    """What came of a prompt: the clip and its two pairs, or neither, and what was tried before."""

    prompt: Prompt
    clip: SwitchingClip | None
    halves: tuple[MadeHalf, ...]
    refused: tuple[Refused, ...]
    seconds: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class _Cut:
    """A clip that can be used: where it is cut, and lips and the latents that know of them for either half."""

    clip: SwitchingClip
    seed: int
    split: Split
    lips: tuple[LipMask, LipMask]
    latents: ClipLatents
    remade: tuple[Tensor, Tensor]
    face: NDArray[np.bool_]


class PairEngine:
    """A base, the steps around it, and settings."""

    def __init__(
        self,
        backbone: Backbone,
        settings: SynthesisSettings,
        maker: ClipMaker,
        splitter: Splitter,
        landmarker: Landmarker,
        quality: QualityControl | None = None,
    ) -> None:
        """``quality``: without one no figures are taken and nothing is rejected."""
        self.backbone, self.settings = backbone, settings
        self.maker, self.splitter, self.landmarker, self.quality = maker, splitter, landmarker, quality
        parts = {name: fingerprint(module) for name, module in backbone.modules().items()}
        self.base: dict[str, Any] = {
            "version": backbone.version,
            "fingerprint": content_key(parts),
            "audio_vae": parts["audio_vae"],
            "dtype": str(backbone.dtype),
        }

    @property
    def identity(self) -> dict[str, Any]:
        """All that a prompt's pairs hang on, the prompt and the run's seed apart; JSON."""
        return {
            "engine": VERSION,
            "settings": self.settings.model_dump(mode="json"),
            "base": self.base,
            "maker": self.maker.id,
            "splitter": self.splitter.id,
            "landmarker": self.landmarker.id,
            "quality": None if self.quality is None else self.quality.measures,
        }

    @torch.no_grad()
    def make(self, prompt: Prompt, seed: int) -> MadeItem:
        """The pairs of one prompt; ``seed`` is the run's.

        Raises:
            BadInput: ``incontext.not_a_switch`` for a prompt whose halves cannot be re-spoken.
        """
        check_switch(prompt)
        watch = Stopwatch(self.backbone.device)
        name, refused = prompt_id(prompt), []
        for number in range(self.settings.tries):
            own = seed_of(seed, name, number)
            try:
                cut = self._cut(prompt, own, watch)
                passes = passes_of(prompt, self.settings, own)
                with watch.timing("text"):
                    texts = guided_texts(self.backbone, passes, self.settings)
            except BadInput as error:
                refused.append(Refused(own, error.code, error.headline))
                continue
            spoken = self._spoken(cut, passes, texts, watch)
            halves = tuple(self._half(prompt, cut, half, spoken, watch) for half in HALVES)
            return MadeItem(prompt, cut.clip, halves, tuple(refused), watch.seconds)
        return MadeItem(prompt, None, (), tuple(refused), watch.seconds)

    def _cut(self, prompt: Prompt, seed: int, watch: Stopwatch) -> _Cut:
        own = seed_of(seed, "clip")
        with watch.timing("generate"):
            (clip,) = self.maker.make([prompt], [own])
        with watch.timing("look"):
            split = self.splitter.split(prompt, clip)
            height, width = clip.frames.shape[1:3]
            track = self.landmarker.landmarks(clip.frames).main
            first, second = (lip_mask(track, height, width, split.of(half), self.settings.lips) for half in HALVES)
            face = face_mask(track, height, width)
        with watch.timing("mask"):
            remade = [self._remade(clip, half, split, one) for half, one in zip(HALVES, (first, second), strict=True)]
            latents = clip.latents or self._encoded(clip)
        if not all(bool(one.any()) for one in remade):
            raise BadInput(
                "incontext.empty_mask",
                f"No latent knows of the lips by more than {self.settings.mask.threshold:g}.",
                "Lower `mask.threshold`, or take the definition `naive`.",
            )
        return _Cut(clip, own, split, (first, second), latents, (remade[0], remade[1]), face)

    def _remade(self, clip: SwitchingClip, half: Half, split: Split, lips: LipMask) -> Tensor:
        settings = self.settings.mask
        found = latent_lips(self.backbone, clip.frames, lips.mask, settings)
        return within(found, split.of(half), self.backbone.geometry, settings.beyond)

    def _encoded(self, clip: SwitchingClip) -> ClipLatents:
        import soxr

        geometry = self.backbone.geometry
        sound = clip.waveform
        if clip.sample_rate != geometry.sample_rate:
            sound = soxr.resample(sound, clip.sample_rate, geometry.sample_rate, quality="VHQ").astype(np.float32)
        tokens = geometry.audio_tokens(Fraction(len(clip.frames), FPS))
        return ClipLatents(
            encode_video(self.backbone, clip.frames)[None], encode_audio(self.backbone, sound, tokens)[None]
        )

    def _spoken(
        self, cut: _Cut, passes: Sequence[Pass], texts: Sequence[GuidedText], watch: Stopwatch
    ) -> dict[tuple[Half, Kind], tuple[Pass, ClipLatents]]:
        """Latents of the whole clip, of every pass."""
        made: dict[tuple[Half, Kind], tuple[Pass, ClipLatents]] = {}
        tokens = cut.latents.audio.shape[1]
        for start in range(0, len(passes), self.settings.batch):
            chunk = slice(start, start + self.settings.batch)
            some = passes[chunk]
            remade = Remade(
                torch.stack([cut.remade[one.half] for one in some]),
                torch.stack([sound_of(self.backbone, cut.split.of(one.half), tokens, FPS) for one in some]),
            )
            known = ClipLatents(
                cut.latents.video.expand(len(some), -1, -1, -1, -1), cut.latents.audio.expand(len(some), -1, -1)
            )
            with watch.timing("inpaint"):
                found = inpaint_latents(
                    self.backbone,
                    known,
                    remade,
                    joined(texts[chunk]),
                    self.settings.sampling,
                    [one.seed for one in some],
                    hold=self.settings.hold,
                )
            for place, one in enumerate(some):
                item = slice(place, place + 1)
                made[one.half, one.kind] = one, ClipLatents(found.video[item], found.audio[item])
        return made

    def _context(self, latents: ClipLatents, span: Span, role: ContextRole, watch: Stopwatch) -> ContextHalf:
        with watch.timing("decode"):
            frames = decode_video(self.backbone, latents.video[0])
            sound, rate = decode_audio(self.backbone, latents.audio[0])
        whole = SwitchingClip(frames, sound.mean(axis=0), rate, latents=latents)
        half = cut_half(whole, span, self.backbone.geometry)
        return ContextHalf(half.frames, half.waveform, half.sample_rate, role, half.tokens)

    def _half(
        self,
        prompt: Prompt,
        cut: _Cut,
        half: Half,
        spoken: Mapping[tuple[Half, Kind], tuple[Pass, ClipLatents]],
        watch: Stopwatch,
    ) -> MadeHalf:
        span, own = cut.split.of(half), prompt.segments[half]
        first, latents = spoken[half, "translation"]
        lineage: dict[str, Any] = {"inpainting": first.told() | {"hold": self.settings.hold}}
        role: ContextRole = "inpainted"
        if self.settings.augment:
            second, lips = spoken[half, "letters"]
            latents, role = merged(latents, lips), "merged"
            lineage["augmentation"] = second.told()
        context = self._context(latents, span, role, watch)
        pair = MadePair(
            target=cut_half(cut.clip, span, self.backbone.geometry),
            context=context,
            other=cut_half(cut.clip, cut.split.of(HALVES[1 - half]), self.backbone.geometry),
            target_said=own.text,
            target_language=own.language,
            context_said=first.text,
            context_language=first.language,
            shown=seen(prompt),
        )
        with watch.timing("quality"):
            measured = Measured({}) if self.quality is None else self.quality.measure(pair)
        lineage |= {
            "roles": {"target": pair.target.role, "context": pair.context.role},
            "engine": VERSION,
            "half": half,
            "prompt": prompt.model_dump(mode="json", exclude_none=True),
            "prompt_id": prompt_id(prompt),
            "prompt_text": render(prompt, self.settings.form),
            "clip": {"seed": cut.seed, **cut.clip.lineage},
            "split": {"start": span.start, "stop": span.stop, **cut.split.figures},
            "base": self.base,
            "mask": {
                **self.settings.mask.model_dump(mode="json"),
                "margin": self.settings.lips.margin,
                "landmarker": self.landmarker.id,
                "remade": round(float(cut.remade[half].float().mean()), 6),
                "guessed": dict(cut.lips[half].guessed),
            },
        }
        return MadeHalf(half, pair, cut.face[span.start : span.stop], measured, lineage)


def check_switch(prompt: Prompt) -> None:
    """See that a prompt changes language and that either half can be re-spoken.

    Raises:
        BadInput: ``incontext.not_a_switch``.
    """
    if (reason := why_unusable(prompt)) is not None:
        said = " / ".join(one.text for one in prompt.segments)
        raise BadInput(
            "incontext.not_a_switch",
            f"No pair can be made of the prompt {shortened(said)!r}: {reason}.",
            "A switch has two timed segments in two languages, each with its `translation` into the other's.",
        )
