"""CSIM by ArcFace, as evaluations ask it: every frame of the dub that shows the face against
the clip it was made of."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from dubflow.errors import missing_extra
from dubflow.faces.landmarks import MediaPipeLandmarker
from dubflow.judging.card.functions import Answer, Measured, Unmeasured
from dubflow.judging.card.items import BenchmarkItem, Subject
from dubflow.judging.card.rows import JudgePin, Metric
from dubflow.judging.catalogue import listing
from dubflow.judging.full.arcface.alignment import aligned_faces
from dubflow.judging.full.arcface.encoder import ArcFaceEncoder
from dubflow.judging.full.weights import named, weights_pin, why_no_device, why_no_weights
from dubflow.judging.identity import identity_similarity
from dubflow.judging.offline.looking import Nobody, look_at_both
from dubflow.judging.pins import why_missing

KIND = "arcface"
_NAME = "csim"
_NO_CLIP = Unmeasured("The item has neither source nor reference.", "item")


@dataclass(eq=False)
class ArcFaceJudge:
    """Implements ``card.functions.MetricFunction``.

    Args:
        weights: see :class:`~dubflow.judging.full.arcface.encoder.ArcFaceEncoder`.
        device: of torch.
    """

    weights: Path | None
    device: str = "cpu"
    judge: str = KIND
    metrics: tuple[Metric, ...] = ()
    _encoder: ArcFaceEncoder | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        self.metrics = (listing(_NAME).metric(self.judge),)

    @property
    def pin(self) -> JudgePin:
        """Weights, device, and the landmarks that faces are laid upright by.

        Raises:
            WrongUse: ``judging.weights_not_named``. BadInput: ``media.missing`` and the like.
        """
        weights = named(self.weights, KIND)
        settings = {
            "alignment": "five points of the mesh onto the 112-pixel template",
            "against": "the item's source, or its reference where there is none",
            "landmarker": MediaPipeLandmarker().id,
            "device": self.device,
        }
        return weights_pin(weights, f"arcface-{weights.suffix.lstrip('.').lower() or 'state'}", settings)

    def missing(self) -> str | None:
        """Why its weights, or a package that it needs, are not there."""
        found = why_no_weights(self.weights, KIND, "arcface") or why_no_device(self.device) or why_missing("mediapipe")
        return found or (_why_no_onnx() if self.weights and self.weights.suffix.lower() == ".onnx" else None)

    def prepare(self) -> None:
        """Load the network."""
        if self._encoder is None:
            self._encoder = ArcFaceEncoder(named(self.weights, KIND), self.device)

    def score(self, subject: Subject) -> Mapping[str, Answer]:
        """Mean cosine to the true clip's mean face."""
        self.prepare()
        assert self._encoder is not None
        true = subject.files.get("source") or subject.files.get("reference")
        if true is None:
            return {_NAME: _NO_CLIP}
        seen = look_at_both(subject.clip, true)
        if isinstance(seen, Nobody):
            return {_NAME: Unmeasured(seen.reason, "item" if seen.in_source else "clip")}
        made, original = seen
        assert original is not None  # it was asked for, and Nobody says where it has no face
        vectors = [self._encoder.embed(aligned_faces(one.frames, one.track)) for one in (made, original)]
        return {_NAME: Measured(identity_similarity(vectors[0], vectors[1]))}

    def when_failed(self, item: BenchmarkItem) -> Mapping[str, Answer]:
        """What the item has nothing to measure of."""
        return {} if item.source is not None or item.reference is not None else {_NAME: _NO_CLIP}


def _why_no_onnx() -> str | None:
    from importlib.util import find_spec

    return None if find_spec("onnxruntime") else str(missing_extra("onnxruntime"))
