"""Drawn switching clips, a face whose place is known, and a base of a second: what the data engine is tried with."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from dubflow.errors import BadInput
from dubflow.faces.indices import MOUTH_CORNERS, OUTER_LIPS
from dubflow.faces.tracks import POINTS, FaceTrack, FaceTracks
from dubflow.incontext.backbone.parts import Backbone
from dubflow.incontext.backbone.tiny import tiny_backbone
from dubflow.incontext.backbone.video import encode_video
from dubflow.incontext.inference.sampling import ClipLatents
from dubflow.incontext.pairs.engine import PairEngine
from dubflow.incontext.pairs.engine_parts import MadePair, Measured, Span, Split, SwitchingClip
from dubflow.incontext.pairs.engine_settings import SynthesisSettings
from dubflow.incontext.pairs.prompts.structure import Prompt

SIZE = 64
RATE = 24000
CENTRE = np.array([32.0, 44.0])
SETTINGS: dict[str, Any] = {
    "width": SIZE,
    "height": SIZE,
    "form": "compact",
    "steps": 2,
    "guidance": 1.0,
    "lips": {"margin": 0.1},
    "mask": {"definition": "naive"},
    "crf": 0,
}


def prompt(text: str = "bin blue", said: str = "bleu", **changes: Any) -> Prompt:
    """A switch of 41 frames: 0.6 s of English, a second's pause, 0.6 s of French."""
    first = {"language": "en", "text": text, "start": 0.0, "end": 0.6, "translation": "pose"}
    second = {"language": "fr", "text": said, "start": 1.0, "end": 1.6, "translation": "blue"}
    return Prompt.model_validate({"segments": [first, second], **changes})


def prompts(count: int) -> list[Prompt]:
    """Switches that say different things."""
    return [prompt(f"bin {chr(97 + number)}") for number in range(count)]


class DrawnClips:
    """A head that is drawn: a disc, and lips that open and close; a tone, silence, another tone."""

    id = "drawn-1"

    def __init__(self, faceless: Sequence[int] = ()) -> None:
        self.made: list[int] = []
        self._faceless = faceless

    def make(self, prompts: Sequence[Prompt], seeds: Sequence[int]) -> list[SwitchingClip]:
        """One a prompt."""
        return [self._drawn(one, seed) for one, seed in zip(prompts, seeds, strict=True)]

    def _drawn(self, prompt: Prompt, seed: int) -> SwitchingClip:
        number = len(self.made)
        self.made.append(seed)
        rng = np.random.default_rng(seed)
        count = prompt.clip_frames or 9
        y, x = np.mgrid[:SIZE, :SIZE] + 0.5
        frames = np.empty((count, SIZE, SIZE, 3), np.uint8)
        ground, skin = rng.integers(20, 120, 3), rng.integers(140, 255, 3)
        for time, frame in enumerate(frames):
            frame[:] = ground
            frame[np.hypot(x - 32, y - 34) < 26] = skin
            opening = 2 + 2 * np.sin(time + seed % 7)
            frame[(np.abs(x - CENTRE[0]) < 8) & (np.abs(y - CENTRE[1]) < opening)] = (150, 20, 30)
        if number in self._faceless:
            frames[:] = 0
        moments = np.arange(count * RATE // 25) / RATE
        loud = (moments < 0.6) | (moments > 1.0)
        tone = 0.2 * np.sin(2 * np.pi * (200 + seed % 200) * moments) * loud
        return SwitchingClip(frames, tone.astype(np.float32), RATE, {"drawn": seed})


class OwnLatents(DrawnClips):
    """Drawn clips that tell latents of their own, as a base's do."""

    id = "drawn-own-1"

    def _drawn(self, prompt: Prompt, seed: int) -> SwitchingClip:
        clip, source = super()._drawn(prompt, seed), torch.Generator().manual_seed(seed)
        geometry, frames = base().geometry, len(clip.frames)
        sound = torch.randn(1, geometry.audio_tokens(frames / 25), geometry.audio_channels, generator=source)
        return replace(clip, latents=ClipLatents(encode_video(base(), clip.frames)[None], sound))


class Middle:
    """Cuts in the middle of the pause that the prompt tells."""

    id = "middle"

    def split(self, prompt: Prompt, clip: SwitchingClip) -> Split:
        """Halves of 17 frames."""
        return Split(Span(2, 19), Span(24, 41), {"switch_s": prompt.switch_s or 0.0})


class KnownFace:
    """Where :class:`DrawnClips` draws the lips; a black picture has no face."""

    id = "known"

    def landmarks(self, frames: Iterable[npt.NDArray[Any]]) -> FaceTracks:
        """One track."""
        shown = np.array([bool(frame.any()) for frame in frames])
        if not shown.any():
            return FaceTracks((), len(shown), (SIZE, SIZE), ("no_face",) * len(shown))
        return FaceTracks((track(shown),), len(shown), (SIZE, SIZE))


def track(found: npt.NDArray[np.bool_], move: float = 0.0) -> FaceTrack:
    """A face in ``found`` frames whose lips are a box of 16 x 8 about :data:`CENTRE`, moved right a frame."""
    points = np.zeros((len(found), POINTS, 3), np.float32)
    turn = np.linspace(0, 2 * np.pi, POINTS, endpoint=False)
    points[:, :, :2] = np.stack([32 + 24 * np.cos(turn), 34 + 24 * np.sin(turn)], axis=1)
    angles = np.pi - np.linspace(0, 2 * np.pi, len(OUTER_LIPS), endpoint=False)
    ring = np.stack([8 * np.cos(angles), -4 * np.sin(angles)], axis=1)
    for place, index in enumerate(OUTER_LIPS):
        points[:, index, :2] = CENTRE + ring[place]
    points[:, MOUTH_CORNERS, :2] = [[24, 44], [40, 44]]
    points[:, :, 0] += move * np.arange(len(found))[:, None]
    points[~found] = np.nan
    return FaceTrack(points, found, tuple(None if one else "lost_track" for one in found))


class Louder:
    """Quality control that measures loudness and rejects the quieter half of a run."""

    id, measures = "louder", "loudness"

    def measure(self, pair: MadePair) -> Measured:
        """One figure, and a reason for a context that says too little."""
        loud = float(np.abs(pair.target.waveform).mean())
        return Measured({"loudness": loud}, ("says too little",) if len(pair.context_said) < 2 else ())

    def verdicts(self, figures: Sequence[Mapping[str, float]]) -> list[tuple[str, ...]]:
        """By the median of the run."""
        middle = float(np.median([one["loudness"] for one in figures]))
        return [("quieter than the others",) if one["loudness"] < middle else () for one in figures]


class NeverCut:
    """No clip can be cut."""

    id = "never"

    def split(self, prompt: Prompt, clip: SwitchingClip) -> Split:
        """Refuses."""
        raise BadInput("incontext.no_silence", "Speech runs through.")


@cache
def base() -> Backbone:
    """A tiny base whose video latents have the spread that a trained one's have; shared, so leave it as it is."""
    made = tiny_backbone()
    rng = np.random.default_rng(3)
    noise = rng.integers(0, 255, (9, 8, 8, 3)).astype(np.uint8).repeat(16, 1).repeat(16, 2)
    latents = encode_video(made, noise).flatten(1)
    with torch.no_grad():
        made.video_vae.latents_mean.copy_(latents.mean(dim=1))
        made.video_vae.latents_std.copy_(latents.std(dim=1))
    return made


def engine(**changes: Any) -> PairEngine:
    """All of the above; ``maker``, ``splitter``, ``quality`` and settings can be others."""
    parts = {name: changes.pop(name) for name in ("maker", "splitter", "quality") if name in changes}
    settings = SynthesisSettings.model_validate(SETTINGS | changes)
    given = {"maker": DrawnClips(), "splitter": Middle(), **parts}
    return PairEngine(base(), settings, landmarker=KnownFace(), **given)
