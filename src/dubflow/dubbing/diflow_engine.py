"""DiFlowDubber as an engine: lips and face of a clip, text and voice in, speech out.

Its three steps (:mod:`~dubflow.dubbing.diflow_frontend`, :mod:`~dubflow.dubbing.diflow_denoiser`,
:mod:`~dubflow.dubbing.diflow_codec`) are run here one after another; a server runs the same three in processes of their
own.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal, Self

from dubflow.diflow.stored import StoredModel, find_model, load_model
from dubflow.dubbing.diflow_codec import voiced
from dubflow.dubbing.diflow_denoiser import DiflowDenoiser
from dubflow.dubbing.diflow_frontend import DiflowFrontend, SeenClip, open_frontend
from dubflow.dubbing.drawn import DrawnSegment
from dubflow.dubbing.engine import Job, SpokenSegment
from dubflow.dubbing.watching import Watch, cancelled, check_stopped
from dubflow.speech.codecs import Codec

_CODEC_SHARE = 0.1  # of speaking, beside the flow


class DiflowEngine:
    """A stored model of stage 2, its codec and its extractors."""

    def __init__(self, model: StoredModel, codec: Codec, frontend: DiflowFrontend, denoiser: DiflowDenoiser) -> None:
        self.model, self._codec, self._frontend, self._denoiser = model, codec, frontend, denoiser
        self._id = engine_id(model.digest, codec.id)

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
            BadInput: as :func:`load_model` and :func:`open_frontend`; ``diflow.codec_disagrees``.
            WrongUse: ``diflow.wrong_stage``.
        """
        model = load_model(find_model(name))
        codec = model.codec()
        frontend = open_frontend(model.facts, codec, model.folder, lip_weights, face_weights)
        return cls(model, codec, frontend, DiflowDenoiser(model.dubber, batch_items=batch_items))

    @property
    def id(self) -> str:
        """See :func:`engine_id`."""
        return self._id

    @property
    def world(self) -> Literal["embedded", "real"]:
        """The model's."""
        return self.model.facts.world

    @property
    def languages(self) -> tuple[str, ...]:
        """The model's."""
        return self.model.facts.languages

    def look(self, job: Job, watch: Watch) -> SeenClip:
        """See :class:`dubflow.dubbing.engine.Engine`."""
        return self._frontend.look(job, watch)

    def speak(self, seen: Sequence[SeenClip], watch: Watch) -> list[list[SpokenSegment]]:
        """See :class:`dubflow.dubbing.engine.Engine`."""
        check_stopped(watch)
        clips = [segment.clip for one in seen for segment in one.segments]
        options = [one.options for one in seen for _ in one.segments]
        drawn = iter(self._denoiser.draw(clips, options, _Following(watch, [clip.frames for clip in clips])))
        spoken = [
            [self._voiced(one, number, next(drawn), watch) for number in range(len(one.segments))] for one in seen
        ]
        watch.stage("speaking", 1)
        return spoken

    def _voiced(self, seen: SeenClip, number: int, drawn: DrawnSegment | None, watch: Watch) -> SpokenSegment:
        check_stopped(watch)
        if drawn is None:
            raise cancelled()
        segment = seen.segments[number]
        return voiced(self._codec, drawn, segment.clip.frames, segment.face_found, segment.notices)


class _Following:
    """Tells a job's watch how far the flow is; segments count by their frames."""

    def __init__(self, watch: Watch, frames: Sequence[int]) -> None:
        self._watch, self._frames = watch, frames
        self._done = [0.0] * len(frames)

    def stopped(self, item: int) -> bool:
        return self._watch.stopped()

    def step(self, items: Sequence[int], share: float) -> None:
        for item in items:
            self._done[item] = share * self._frames[item]
        self._watch.stage("speaking", (1 - _CODEC_SHARE) * sum(self._done) / sum(self._frames))


def engine_id(model_digest: str, codec_id: str) -> str:
    """``diflow-``, the model's digest and its codec."""
    return f"diflow-{model_digest[:16]}-{codec_id}"
