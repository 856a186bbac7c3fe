"""A clip of any size and length into its dub: windows, canvas, latents, and back to the clip's own size and length.

Inside everything has 25 frames a second and 8k + 1 frames, sides that are multiples of 32, and one audio token a frame.
What goes out has exactly as many frames as came in and the sound that belongs to them, to the sample.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from dubflow.errors import BadInput, WrongUse
from dubflow.incontext.backbone.audio import decode_audio, encode_audio
from dubflow.incontext.backbone.parts import Backbone
from dubflow.incontext.backbone.text import TextCache, encode_text
from dubflow.incontext.backbone.video import decode_video, encode_video
from dubflow.incontext.inference.canvas import Canvas
from dubflow.incontext.inference.running import refining
from dubflow.incontext.inference.sampling import (
    ClipLatents,
    GuidedText,
    dub_latents,
    refine_latents,
    upsampled,
)
from dubflow.incontext.inference.settings import InferenceSettings
from dubflow.incontext.inference.windows import SpokenText, Window, appended, held, texts_of_windows, windows_of
from dubflow.incontext.prompts import dub_prompt
from dubflow.training.seeds import seed_of

Frames = NDArray[np.uint8]
Waveform = NDArray[np.float32]
OnShare = Callable[[float], None]
"""Called with how much is done, 0 to 1; may raise to end the work."""


@dataclass(frozen=True, eq=False)
class SourceClip:
    """What is dubbed.

    Attributes:
        frames: ``[F, H, W, 3]`` at 25 a second. waveform: 16 kHz mono ``[N]`` from the first frame on.
    """

    frames: Frames
    waveform: Waveform


@dataclass(frozen=True, eq=False)
class DubbedClip:
    """What came of it.

    Attributes:
        frames: ``[F, H, W, 3]``, as many and as large as the source's.
        waveform: mono, ``F / 25`` seconds to the sample.
    """

    frames: Frames
    waveform: Waveform
    sample_rate: int


class ClipDubber:
    """A base with its adapter, and how it is run."""

    def __init__(
        self,
        backbone: Backbone,
        settings: InferenceSettings,
        *,
        upsampler: Any | None = None,
        text_cache: TextCache | None = None,
    ) -> None:
        """
        Raises:
            WrongUse: ``incontext.no_upsampler`` for two stages without a latent upsampler.
        """
        if settings.refine is not None and upsampler is None:
            raise WrongUse(
                "incontext.no_upsampler",
                "Two stages need a latent upsampler, and the model has none.",
                "Add `latent_upsampler/` to the model's folder, or take a preset of one stage.",
            )
        self.backbone, self.settings = backbone, settings
        self._upsampler, self._texts = upsampler, text_cache

    def dub(
        self,
        clip: SourceClip,
        texts: Sequence[SpokenText],
        language: str,
        seed: int,
        on_share: OnShare = lambda share: None,
    ) -> DubbedClip:
        """Dub ``clip``.

        Args:
            texts: what is said, in order. language: its code or name.

        Raises:
            BadInput: ``incontext.empty_clip``, ``incontext.prompt_too_long``, and what the parts of the base say.
        """
        settings, rate = self.settings, self.backbone.audio_output_rate
        total = len(clip.frames)
        if not total or not len(clip.waveform):
            raise BadInput("incontext.empty_clip", "The clip has no picture or no sound.", "Give a clip with both.")
        windows = windows_of(total, settings.frames, settings.overlap)
        frames = np.empty_like(clip.frames)
        waveform = np.zeros(self._samples(total, rate), np.float32)
        canvas = Canvas.of(clip.frames.shape[1], clip.frames.shape[2], settings.height, settings.width)
        avoided = encode_text(self.backbone, [settings.negative_prompt], self._texts) if self._needs_both else None
        filled = filled_sound = 0
        for number, (window, said) in enumerate(zip(windows, texts_of_windows(texts, windows), strict=True)):
            prompt = dub_prompt(said, language, template=settings.prompt_template)
            text = GuidedText(encode_text(self.backbone, [prompt], self._texts), avoided)
            first = frames[window.start : window.start + 1] if number else None
            share = _part(on_share, number, len(windows))
            picture, sound = self._window(clip, window, canvas, text, seed_of(seed, number), first, share)
            filled = appended(frames, filled, picture, window.start)
            filled_sound = appended(waveform, filled_sound, sound, self._samples(window.start, rate))
        return DubbedClip(frames, waveform, rate)

    @property
    def _needs_both(self) -> bool:
        refine = self.settings.refine
        return self.settings.guidance != 1 or (refine is not None and refine.guidance != 1)

    def _samples(self, frames: int, rate: int) -> int:
        return int(Fraction(frames * rate, self.settings.frame_rate) + Fraction(1, 2))

    def _window(
        self,
        clip: SourceClip,
        window: Window,
        canvas: Canvas,
        text: GuidedText,
        seed: int,
        first: Frames | None,
        on_share: OnShare,
    ) -> tuple[Frames, Waveform]:
        """Picture ``[frames, H, W, 3]`` and sound of one window; ``first``: the frame that it has to begin with."""
        settings, net = self.settings, self.backbone
        own = clip.frames[window.start : window.stop]
        sound = self._sound(clip, window)
        source = self._latents(canvas, own, window.length, sound)
        steps = len(settings.levels()) - 1
        more = 0 if settings.refine is None else len(settings.refine.levels) - 1

        def heard(offset: int) -> Callable[[int, int], None]:
            return lambda step, _: on_share((offset + step) / (steps + more))

        begun = None if first is None else encode_video(net, canvas.put(first))[None]
        made = dub_latents(net, source, text, settings, [seed], first=begun, on_step=heard(0))
        if settings.refine is not None:
            canvas = canvas.doubled()
            larger = self._latents(canvas, own, window.length, sound)
            begun = None if first is None else encode_video(net, canvas.put(first))[None]
            rough = replace(made, video=upsampled(net, self._upsampler, made.video))
            with refining(net):
                made = refine_latents(net, larger, rough, text, settings, [seed], first=begun, on_step=heard(steps))
        shown = canvas.back(decode_video(net, made.video[0])[: window.frames])
        voice, rate = decode_audio(net, made.audio[0])
        spoken = np.zeros(self._samples(window.frames, rate), np.float32)
        mono = voice.mean(axis=0)[: len(spoken)]
        spoken[: len(mono)] = mono
        return shown, spoken

    def _latents(self, canvas: Canvas, frames: Frames, length: int, sound: torch.Tensor) -> ClipLatents:
        video = encode_video(self.backbone, held(canvas.put(frames), length))
        return ClipLatents(video[None], sound[None])

    def _sound(self, clip: SourceClip, window: Window) -> torch.Tensor:
        """Audio tokens of a window; silence where the clip has ended."""
        geometry = self.backbone.geometry
        start, stop = (self._samples(frame, geometry.sample_rate) for frame in (window.start, window.stop))
        seconds = Fraction(window.length, self.settings.frame_rate)
        whole = np.zeros(int(seconds * geometry.sample_rate), np.float32)
        own = clip.waveform[start:stop]
        whole[: len(own)] = own[: len(whole)]
        return encode_audio(self.backbone, whole, geometry.audio_tokens(seconds))


def _part(on_share: OnShare, number: int, count: int) -> OnShare:
    return lambda share: on_share((number + share) / count)
