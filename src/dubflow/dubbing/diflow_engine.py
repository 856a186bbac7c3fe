"""DiFlowDubber as an engine: lips and face of a clip, text and voice in, speech out.

Features are computed by the very function that prepared the model's training data, with the settings that stand in the
model; extractors of other ids are refused.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Literal, Self

import numpy as np
import torch
from numpy.typing import NDArray

from dubflow.config import validated
from dubflow.corpora.settings import PrepareSettings
from dubflow.corpora.transform import Tools, build_tools, face_arrays
from dubflow.diflow.flow.samplers import SamplerSettings
from dubflow.diflow.inference.clips import dub_clips
from dubflow.diflow.inference.generation import waveform_of
from dubflow.diflow.inference.items import DubbedSpeech, SilentClip
from dubflow.diflow.inference.settings import InferenceSettings
from dubflow.diflow.stored import StoredModel, find_model, load_model
from dubflow.dubbing.engine import Job, SpokenSegment
from dubflow.dubbing.planning import PlannedSegment
from dubflow.dubbing.request import DubOptions
from dubflow.dubbing.voice import Voice
from dubflow.errors import BadInput
from dubflow.media.decode import read_clip
from dubflow.speech.codecs import Codec, Tokens
from dubflow.speech.durations import FRAME_RATE

_NEARLY_ALL = 0.9


@dataclass(frozen=True, eq=False)
class SeenSegment:
    """A segment ready to be spoken."""

    clip: SilentClip
    face_found: float
    notices: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class SeenClip:
    """A clip ready to be spoken."""

    segments: tuple[SeenSegment, ...]
    options: DubOptions


class DiflowEngine:
    """A stored model of stage 2, its codec and its extractors."""

    def __init__(self, model: StoredModel, tools: Tools, prepare: PrepareSettings, *, batch_items: int = 16) -> None:
        """
        Raises:
            BadInput: ``dubbing.extractors_differ``, ``diflow.codec_disagrees``.
            WrongUse: ``diflow.wrong_stage``.
        """
        if tools.ids != model.facts.extractors:
            wrong = sorted(name for name, own in tools.ids.items() if model.facts.extractors.get(name) != own)
            raise BadInput(
                "dubbing.extractors_differ",
                f"The model learnt from other features: {', '.join(wrong) or 'unknown ones'} differ.",
                "Use the version, settings and weights that its training data was prepared with.",
                model=model.facts.extractors,
                here=tools.ids,
            )
        self.model, self._tools, self._prepare, self._batch_items = model, tools, prepare, batch_items
        self._codec: Codec = model.codec()
        self._network = model.dubber.to("cuda" if torch.cuda.is_available() else "cpu")
        self._id = f"diflow-{model.digest[:16]}-{self._codec.id}"
        self._voices: dict[tuple[str, int], Tokens] = {}

    @classmethod
    def open(
        cls,
        name: str | Path,
        *,
        lip_weights: Path | None = None,
        face_weights: Path | None = None,
        batch_items: int = 16,
    ) -> Self:
        """The engine of a model by name or path; ``*_weights`` where its features come from the paper's networks.

        Raises:
            BadInput: as :func:`load_model`, ``build_tools`` and the constructor.
        """
        model = load_model(find_model(name))
        own = {"lip_weights": lip_weights, "face_weights": face_weights}
        prepare = validated(PrepareSettings, {**model.facts.prepare, **own}, f"{model.folder}: prepare")
        return cls(model, build_tools(prepare, None), prepare, batch_items=batch_items)

    @property
    def id(self) -> str:
        """``diflow-``, the model's digest and its codec."""
        return self._id

    @property
    def world(self) -> Literal["embedded", "real"]:
        """The model's."""
        return self.model.facts.world

    @property
    def languages(self) -> tuple[str, ...]:
        """The model's."""
        return self.model.facts.languages

    def look(self, job: Job) -> SeenClip:
        """Lips, face and voice of a clip.

        Raises:
            BadInput: ``dubbing.no_face``, and what reading the clip says.
        """
        frames = read_clip(job.clip, fps=Fraction(FRAME_RATE), audio=False).frames
        assert frames is not None  # asked for, so there or an error
        arrays, _ = face_arrays(frames, self._prepare.model_copy(update={"require_face": False}), self._tools)
        settings = self.model.facts.settings
        lips = _features(arrays.get("lip"), job.frames, settings.lip_features)
        face = _features(arrays.get("face"), job.frames, settings.face_features)
        found = _features(arrays.get("face_found"), job.frames, None) > 0
        voice = self._voice(job.voice)
        segments = []
        for number, segment in enumerate(job.segments):
            span = slice(segment.first, segment.stop)
            share = float(found[span].mean())
            notices = _face_notices(segment, share, job.options)
            clip = SilentClip(
                phonemes=segment.phonemes,
                stress=segment.stress,
                lips=lips[span],
                face=face[span],
                speaker=voice.speaker,
                reference=voice,
                seed=number,
            )
            segments.append(SeenSegment(clip, share, notices))
        return SeenClip(tuple(segments), job.options)

    def speak(self, seen: Sequence[SeenClip]) -> list[list[SpokenSegment]]:
        """See :class:`dubflow.dubbing.engine.Engine`."""
        answers: dict[int, list[SpokenSegment]] = {}
        alike: dict[InferenceSettings, list[int]] = {}
        for number, clip in enumerate(seen):
            alike.setdefault(self._settings(clip.options), []).append(number)
        for settings, numbers in alike.items():
            items = [segment.clip for number in numbers for segment in seen[number].segments]
            dubbed = iter(dub_clips(self._network, items, settings))
            for number in numbers:
                answers[number] = [self._spoken(segment, next(dubbed)) for segment in seen[number].segments]
        return [answers[number] for number in range(len(seen))]

    def _spoken(self, segment: SeenSegment, dubbed: DubbedSpeech) -> SpokenSegment:
        waveform = waveform_of(self._codec, dubbed.tokens, segment.clip.frames)
        edges = np.cumsum(dubbed.frame_durations) / FRAME_RATE
        # The first and the last phone are the silences around the text.
        planned = (float(edges[0]), float(edges[-2]))
        crowded = ("there are more phones than frames; some share one",) if dubbed.crowded else ()
        return SpokenSegment(waveform, planned, segment.face_found, (*segment.notices, *crowded))

    def _voice(self, voice: Voice) -> Tokens:
        key = (voice.sha256, len(voice.waveform))
        if key not in self._voices:
            self._voices[key] = self._codec.encode(voice.waveform)
        return self._voices[key]

    def _settings(self, options: DubOptions) -> InferenceSettings:
        sampler = SamplerSettings(method=options.method, steps=options.steps, temperature=options.temperature)
        return InferenceSettings(sampler=sampler, seed=options.seed, batch_items=self._batch_items)


def _features(array: NDArray[np.generic] | None, frames: int, width: int | None) -> NDArray[np.float32]:
    """Exactly ``frames`` rows of float32: zeros where nothing was seen; a frame short or long at the end is mended."""
    if array is None:
        return np.zeros((frames,) if width is None else (frames, width), np.float32)
    values = array[:frames].astype(np.float32)
    return np.concatenate([values, np.repeat(values[-1:], frames - len(values), axis=0)])


def _face_notices(segment: PlannedSegment, share: float, options: DubOptions) -> tuple[str, ...]:
    """What to say about a segment that shows its face in ``share`` of the frames.

    Raises:
        BadInput: ``dubbing.no_face``.
    """
    if share < options.least_face:
        if options.no_face == "refuse":
            raise BadInput(
                "dubbing.no_face",
                f"Of the frames from {segment.start:.2f} to {segment.end:.2f} s, "
                f"{100 * share:.0f} % show a face; there are no lips to follow.",
                "Give a clip that shows the speaker, or speak anyway: --no-face speak.",
                face_found=share,
            )
        return (f"the face is found in {100 * share:.0f} % of its frames; it is spoken all the same",)
    return () if share >= _NEARLY_ALL else (f"the face is found in {100 * share:.0f} % of its frames only",)
