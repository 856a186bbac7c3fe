"""JUST-DUB-IT as an engine: the whole clip in, the same clip out with new speech and new lips.

Picture and sound come together and of the whole clip: a window has one prompt, made of all segments in order, and an
answer covers what lies between segments too. The voice is the clip's own.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal, Self

import numpy as np
from numpy.typing import NDArray

from dubflow.dubbing.engine import Job, SpokenSegment
from dubflow.dubbing.picture import NewPicture
from dubflow.dubbing.watching import Watch, check_stopped
from dubflow.errors import WrongUse
from dubflow.faces.landmarks import Landmarker, MediaPipeLandmarker
from dubflow.incontext.adapter.files import Adapter, read_adapter
from dubflow.incontext.backbone.fingerprint import fingerprint
from dubflow.incontext.backbone.memory import MemorySettings, arrange
from dubflow.incontext.backbone.named import find_base, open_backbone
from dubflow.incontext.backbone.parts import Backbone
from dubflow.incontext.inference.clips import ClipDubber, DubbedClip, SourceClip
from dubflow.incontext.inference.face_region import face_weight
from dubflow.incontext.inference.running import add_refiner, put_adapter, running_settings, use_of
from dubflow.incontext.inference.settings import InferenceSettings
from dubflow.incontext.inference.upsampler import load_upsampler
from dubflow.incontext.inference.windows import SpokenText, held
from dubflow.incontext.prompts import LANGUAGES
from dubflow.media.decode import read_clip
from dubflow.speech.durations import FRAME_RATE

World = Literal["embedded", "real"]


@dataclass(frozen=True, eq=False)
class SeenPicture:
    """A clip ready to be dubbed.

    Attributes:
        found: bool ``[F]``, where the face is. weight: see :class:`dubflow.dubbing.picture.NewPicture`.
    """

    clip: SourceClip
    job: Job
    found: NDArray[np.bool_]
    weight: NDArray[np.uint8] | None
    notices: tuple[str, ...]


class IncontextEngine:
    """A base with an adapter, and how the two are run."""

    languages: tuple[str, ...] = tuple(LANGUAGES)

    def __init__(
        self,
        dubber: ClipDubber,
        name: str,
        world: World,
        *,
        notices: Sequence[str] = (),
        landmarker: Landmarker | None = None,
    ) -> None:
        """
        Args:
            name: what stands in results as the engine's id; see :func:`engine_id`.
            notices: said of every clip. landmarker: finds faces; by default MediaPipe's.
        """
        self._dubber, self._id, self._world, self._notices = dubber, name, world, tuple(notices)
        self._landmarker = landmarker or MediaPipeLandmarker()

    @classmethod
    def open(
        cls,
        model: Path,
        *,
        adapter: Path | None = None,
        preset: str | None = None,
        changes: dict[str, Any] | None = None,
        allow: bool = False,
        refiner: Path | None = None,
        memory: MemorySettings | None = None,
        device: str | None = None,
    ) -> Self:
        """The engine of a base (diffusers' folder, a published file, or ``starter``) and an adapter on it.

        Args:
            preset: run under this preset; by default under the one, and the settings, that the adapter records.
            changes: fields of :class:`InferenceSettings` that the caller sets.
            allow: run the adapter under settings it was not trained for, and say so.
            refiner: a second adapter, worn in the second stage alone (the distilled LoRA, in the released code).
            memory: how a large base is held.
            device: by default a GPU where there is one.

        Raises:
            WrongUse: ``dubbing.no_second_stage`` for a refiner without a second stage.
            BadInput, WrongUse: what :func:`open_backbone`, :func:`read_adapter`, ``AdapterMetadata.check_use``,
                ``running_settings`` and :class:`ClipDubber` say.
        """
        backbone = open_backbone(model, device)
        plain = hashlib.sha256("".join(map(fingerprint, backbone.modules().values())).encode()).hexdigest()
        worn = None if adapter is None else read_adapter(adapter)
        settings, notices = _settings(backbone, worn, preset, changes or {}, allow)
        if worn is not None:
            notices += _left_out("adapter", put_adapter(backbone, worn))
        if refiner is not None:
            if settings.refine is None:
                raise WrongUse("dubbing.no_second_stage", "One stage has no use for a second adapter.", "Leave it out.")
            notices += _left_out("second adapter", add_refiner(backbone, read_adapter(refiner)))
        upsampler = None
        if settings.refine is not None:
            upsampler = load_upsampler(
                find_base(model) / "latent_upsampler", dtype=backbone.dtype, device=backbone.device
            )
        trained = None if worn is None else worn.metadata.world
        name = engine_id(plain, fingerprint(backbone.transformer), settings)
        return cls(
            ClipDubber(arrange(backbone, memory or MemorySettings()), settings, upsampler=upsampler),
            name,
            "embedded" if "embedded" in (trained, backbone.world) else "real",
            notices=notices,
        )

    @property
    def id(self) -> str:
        """See :func:`engine_id`."""
        return self._id

    @property
    def world(self) -> World:
        """Where the adapter learnt to dub."""
        return self._world

    @property
    def parameters(self) -> int:
        """Numbers in the transformer; an adapter that was added into it adds none."""
        return sum(weights.numel() for weights in self._dubber.backbone.transformer.parameters())

    @property
    def steps(self) -> int:
        """Evaluations of the transformer's velocity a window, guidance not counted twice."""
        settings = self._dubber.settings
        refined = 0 if settings.refine is None else len(settings.refine.levels) - 1
        return len(settings.levels()) - 1 + refined

    def look(self, job: Job, watch: Watch) -> SeenPicture:
        """See :class:`dubflow.dubbing.engine.Engine`. A clip without a face is dubbed all the same."""
        watch.stage("looking", 0)
        check_stopped(watch)
        read = read_clip(job.clip, fps=Fraction(FRAME_RATE))
        assert read.frames is not None  # asked for, so there or an error
        assert read.waveform is not None
        frames = held(read.frames[: job.frames], job.frames)
        watch.stage("looking", 0.5)
        check_stopped(watch)
        tracks = self._landmarker.landmarks(frames)
        found, weight = np.zeros(job.frames, np.bool_), None
        notices = list(self._notices)
        if tracks.tracks:
            face = tracks.main
            found = face.found
            if self._dubber.settings.keep_outside:
                weight = face_weight(face, *frames.shape[1:3])
        elif self._dubber.settings.keep_outside:
            notices.append("no face was found, so the whole picture is new")
        if not job.voice.oracle:
            notices.append("the in-context model speaks with the clip's own voice; the reference is not heard")
        watch.stage("looking", 1)
        return SeenPicture(SourceClip(frames, read.waveform), job, found, weight, tuple(notices))

    def speak(self, seen: Sequence[SeenPicture], watch: Watch) -> list[list[SpokenSegment]]:
        """See :class:`dubflow.dubbing.engine.Engine`. Stopping is seen after every step."""
        answers = []
        total = sum(one.job.frames for one in seen)
        done = 0
        for one in seen:
            before, frames = done, one.job.frames

            def share(part: float, before: int = before, frames: int = frames) -> None:
                watch.stage("speaking", (before + part * frames) / total)
                check_stopped(watch)

            share(0)
            texts = [SpokenText(segment.text, segment.first, segment.stop) for segment in one.job.segments]
            dubbed = self._dubber.dub(one.clip, texts, one.job.language, one.job.options.seed, share)
            answers.append(_spoken(one, dubbed))
            done += frames
        return answers


def engine_id(base: str, worn: str, settings: InferenceSettings) -> str:
    """``incontext-``, and digests of the base, of base with adapter, and of the settings."""
    told = hashlib.sha256(settings.model_dump_json().encode()).hexdigest()
    return f"incontext-{base[:12]}-{worn[:12]}-{told[:12]}"


def _left_out(whose: str, layers: tuple[str, ...]) -> tuple[str, ...]:
    return (f"{len(layers)} changes of the {whose} to the text connectors are left out",) if layers else ()


def _settings(
    backbone: Backbone, worn: Adapter | None, preset: str | None, changes: dict[str, Any], allow: bool
) -> tuple[InferenceSettings, tuple[str, ...]]:
    from dubflow.incontext.adapter.metadata import AdapterMetadata

    metadata = AdapterMetadata() if worn is None else worn.metadata
    settings = running_settings(metadata, preset)
    settings = InferenceSettings.model_validate(settings.model_dump() | changes)
    stages = 1 if settings.refine is None else 2
    said = f"run as preset {settings.sampler_preset}: {len(settings.levels()) - 1} steps, {stages} stage(s), guidance "
    told = (f"{said}{settings.guidance:g}",)
    if worn is None:
        return settings, (*told, "the base runs without an adapter; it was not trained to dub")
    return settings, (*told, *metadata.check_use(use_of(settings, backbone), allow=allow))


def _spoken(seen: SeenPicture, dubbed: DubbedClip) -> list[SpokenSegment]:
    """The whole clip in as many parts as it has segments: what lies between two is halved."""
    segments, total = seen.job.segments, seen.job.frames
    edges = [0, *((one.stop + other.first) // 2 for one, other in pairwise(segments)), total]
    samples = Fraction(dubbed.sample_rate, FRAME_RATE)
    if samples.denominator != 1:
        raise WrongUse("dubbing.bad_rate", f"{dubbed.sample_rate} samples a second do not divide into frames.")
    answers = []
    for segment, start, stop in zip(segments, edges[:-1], edges[1:], strict=True):
        weight = None if seen.weight is None else seen.weight[start:stop]
        answers.append(
            SpokenSegment(
                waveform=dubbed.waveform[start * int(samples) : stop * int(samples)],
                planned=None,
                face_found=float(seen.found[segment.first : segment.stop].mean()),
                notices=seen.notices if segment is segments[0] else (),
                picture=NewPicture(dubbed.frames[start:stop], weight),
                covers=(start, stop),
                sample_rate=dubbed.sample_rate,
            )
        )
    return answers
