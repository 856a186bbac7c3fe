"""The offline judges of what is seen, as evaluations ask them: MediaPipe's face mesh, and the stand-in for identity.

The dub is compared with the item's source, the clip that it was made from: outside the face that must be left alone,
and inside it stays the same person's. Frames are at 25 a second; what one clip has more than the other is left out.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from dubflow.errors import BadInput, WrongUse
from dubflow.faces.crops import crop_face
from dubflow.faces.landmarks import MediaPipeLandmarker
from dubflow.faces.lip_distance import lip_distance, quality_diversity
from dubflow.faces.mouth import mouth_opening
from dubflow.faces.mouth_aspect import mar_diversity, mouth_aspect
from dubflow.faces.tracks import FaceTrack
from dubflow.judging.card.functions import Answer, Measured, Unmeasured
from dubflow.judging.card.items import BenchmarkItem, Subject
from dubflow.judging.card.rows import JudgePin, Metric
from dubflow.judging.catalogue import listing
from dubflow.judging.identity import EmbeddedFace, identity_similarity
from dubflow.judging.mouth_sync import mouth_sync
from dubflow.judging.offline.looking import Nobody, Seen, look_at_both
from dubflow.judging.picture import score_outside_face
from dubflow.judging.pins import offline_pin
from dubflow.judging.recogniser import SAMPLE_RATE
from dubflow.media.decode import read_audio

_ALONE = ("mouth_offset", "mouth_correlation", "mar_diversity_geometric", "mar_diversity_paper")
_AGAINST_SOURCE = ("lmd", "qd", "psnr_outside_face", "ssim_outside_face")
_IDENTITY = "csim_embedded"
_NO_SOURCE = Unmeasured("The item has no clip that was to be dubbed.", "item")


@dataclass(eq=False)
class FaceJudge:
    """Implements ``card.functions.MetricFunction``: everything by MediaPipe's landmarks, looked for once a clip.

    Args:
        identity: also judge ``csim_embedded``, then as the judge ``embedded-face`` and nothing else.
    """

    identity: bool = False
    metrics: tuple[Metric, ...] = field(default=())

    def __post_init__(self) -> None:
        names = (_IDENTITY,) if self.identity else (*_ALONE, *_AGAINST_SOURCE)
        self.metrics = tuple(listing(name).metric(self.judge) for name in names)

    @property
    def judge(self) -> str:
        """Kind of the catalogue."""
        return "embedded-face" if self.identity else "mediapipe"

    @property
    def pin(self) -> JudgePin:
        """Version and settings; the stand-in's figures depend on the landmarks that place its crops, too."""
        pin = offline_pin(self.judge)
        settings = pin.settings | {"landmarker": MediaPipeLandmarker().id}
        return pin.model_copy(update={"settings": settings})

    def missing(self) -> str | None:
        """Which package is not installed."""
        try:
            offline_pin("mediapipe")
        except WrongUse as error:
            return str(error)
        return None

    def prepare(self) -> None:
        """Every clip starts with fresh graphs, so there is nothing to load."""

    def score(self, subject: Subject) -> Mapping[str, Answer]:
        """An answer for each metric; a dub without a face is the clip's doing where its source has one."""
        both = look_at_both(subject.clip, subject.files.get("source"))
        if isinstance(both, Nobody):
            return {one.name: Unmeasured(both.reason, "item" if both.in_source else "clip") for one in self.metrics}
        seen, source = both
        if self.identity:
            return {_IDENTITY: _NO_SOURCE if source is None else _identity(seen, source)}
        answers = _alone(seen)
        if source is None:
            return answers | dict.fromkeys(_AGAINST_SOURCE, _NO_SOURCE)
        return answers | _against(seen, source)

    def when_failed(self, item: BenchmarkItem) -> Mapping[str, Answer]:
        """What the item has nothing to measure of."""
        if item.source is not None:
            return {}
        return {one.name: _NO_SOURCE for one in self.metrics if one.name not in _ALONE}


def _alone(seen: Seen) -> dict[str, Answer]:
    answers: dict[str, Answer] = {}
    for kind in ("geometric", "paper"):
        diversity = mar_diversity(mouth_aspect(seen.track.landmarks, "paper" if kind == "paper" else "geometric"))
        answers[f"mar_diversity_{kind}"] = _answer(diversity, "The mouth is never seen.")
    try:
        sync = mouth_sync(mouth_opening(seen.track.landmarks), read_audio(seen.path, SAMPLE_RATE))
    except BadInput as error:
        return answers | dict.fromkeys(("mouth_offset", "mouth_correlation"), Unmeasured(str(error), "clip"))
    still = "The mouth or the voice does not move."
    answers["mouth_offset"] = _answer(None if sync is None else float(sync.offset), still)
    answers["mouth_correlation"] = _answer(None if sync is None else sync.at_zero, still)
    return answers


def _against(seen: Seen, source: Seen) -> dict[str, Answer]:
    frames = min(len(seen.track), len(source.track))
    made, true = (_first(one.track, frames) for one in (seen, source))
    distance = lip_distance(true.landmarks, made.landmarks)
    diversity = mar_diversity(mouth_aspect(made.landmarks))
    both = distance is not None and diversity is not None
    quality = quality_diversity(distance, diversity) if distance is not None and diversity is not None else None
    reason = "In no frame both clips show the face." if not both else ""
    answers = {"lmd": _answer(distance, reason), "qd": _answer(quality, reason)}
    try:
        outside = score_outside_face(source.frames[:frames], seen.frames[:frames], true, made)
    except BadInput as error:
        return answers | dict.fromkeys(("psnr_outside_face", "ssim_outside_face"), Unmeasured(str(error), "clip"))
    full = "The faces fill every frame."
    answers["psnr_outside_face"] = _answer(None if outside is None else outside.psnr, full)
    answers["ssim_outside_face"] = _answer(None if outside is None else outside.ssim, full)
    return answers


def _identity(seen: Seen, source: Seen) -> Answer:
    encoder = EmbeddedFace()
    vectors = [encoder.embed(crop_face(one.frames, one.track)[one.track.found]) for one in (seen, source)]
    return Measured(identity_similarity(vectors[0], vectors[1]))


def _first(track: FaceTrack, frames: int) -> FaceTrack:
    return FaceTrack(track.landmarks[:frames], track.found[:frames], track.reasons[:frames], track.identity)


def _answer(value: float | None, reason: str) -> Answer:
    return Unmeasured(reason, "clip") if value is None or not np.isfinite(value) else Measured(value)
