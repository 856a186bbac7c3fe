"""First of DiFlowDubber's three steps: lips and face of a clip and codes of a voice, as the network reads them.

Features are computed by the very function that prepared the model's training data, with the settings that stand in the
model; extractors of other ids are refused.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dubflow.config import validated
from dubflow.corpora.settings import PrepareSettings
from dubflow.corpora.transform import Tools, build_tools, face_arrays
from dubflow.diflow.facts import ModelFacts
from dubflow.diflow.inference.items import SilentClip
from dubflow.dubbing.engine import Job
from dubflow.dubbing.planning import PlannedSegment
from dubflow.dubbing.request import DubOptions
from dubflow.dubbing.voice import Voice
from dubflow.dubbing.watched_frames import WatchedFrames
from dubflow.dubbing.watching import Part, Watch, check_stopped
from dubflow.errors import BadInput
from dubflow.media.decode import read_clip
from dubflow.speech.codecs import Codec, Tokens
from dubflow.speech.durations import FRAME_RATE

_NEARLY_ALL = 0.9
_MOST_VOICES = 64


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


class DiflowFrontend:
    """Extractors and codec of a stored model; its network is not needed."""

    def __init__(self, facts: ModelFacts, codec: Codec, tools: Tools, prepare: PrepareSettings) -> None:
        """
        Raises:
            BadInput: ``dubbing.extractors_differ``.
        """
        if tools.ids != facts.extractors:
            wrong = sorted(name for name, own in tools.ids.items() if facts.extractors.get(name) != own)
            raise BadInput(
                "dubbing.extractors_differ",
                f"The model learnt from other features: {', '.join(wrong) or 'unknown ones'} differ.",
                "Use the version, settings and weights that its training data was prepared with.",
                model=facts.extractors,
                here=tools.ids,
            )
        self._settings, self._codec, self._tools, self._prepare = facts.settings, codec, tools, prepare
        self._voices: dict[tuple[str, int], Tokens] = {}

    def warm(self) -> None:
        """Open what the first clip would wait for; a model that is loaded answers its first job like any other."""
        self._tools.landmarker.landmarks(np.zeros((1, 64, 64, 3), np.uint8))

    def look(self, job: Job, watch: Watch) -> SeenClip:
        """Lips, face and voice of a clip; see :class:`dubflow.dubbing.engine.Engine`.

        Raises:
            BadInput: ``dubbing.no_face``, ``dubbing.cancelled``, and what reading the clip says.
        """
        watch.stage("looking", 0)
        check_stopped(watch)
        between = partial(check_stopped, watch)
        frames = read_clip(job.clip, fps=Fraction(FRAME_RATE), audio=False, between=between).frames
        assert frames is not None  # asked for, so there or an error
        watch.stage("looking", 0.2)
        check_stopped(watch)
        watched = WatchedFrames(frames, Part(watch, 0.2, 0.9), "looking")
        arrays, _ = face_arrays(watched, self._prepare.model_copy(update={"require_face": False}), self._tools)
        watch.stage("looking", 0.9)
        check_stopped(watch)
        lips = _features(arrays.get("lip"), job.frames, self._settings.lip_features)
        face = _features(arrays.get("face"), job.frames, self._settings.face_features)
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
        watch.stage("looking", 1)
        return SeenClip(tuple(segments), job.options)

    def _voice(self, voice: Voice) -> Tokens:
        key = (voice.sha256, len(voice.waveform))
        if key not in self._voices:
            while len(self._voices) >= _MOST_VOICES:  # a server hears voices without end
                self._voices.pop(next(iter(self._voices)))
            self._voices[key] = self._codec.encode(voice.waveform)
        return self._voices[key]


def open_frontend(
    facts: ModelFacts, codec: Codec, where: Path, lip_weights: Path | None = None, face_weights: Path | None = None
) -> DiflowFrontend:
    """The frontend of the model in ``where``; ``*_weights`` where its features come from the paper's networks.

    Raises:
        BadInput: ``config.bad_preset``, ``dubbing.extractors_differ``, and what ``build_tools`` says.
    """
    own = {"lip_weights": lip_weights, "face_weights": face_weights}
    prepare = validated(PrepareSettings, {**facts.prepare, **own}, f"{where}: prepare")
    return DiflowFrontend(facts, codec, build_tools(prepare, None), prepare)


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
