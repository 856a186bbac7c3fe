"""LSE-C, LSE-D and the offset by SyncNet, as evaluations ask them.

``lse_lrs`` takes whole frames. ``lse_pipeline`` takes faces that MediaPipe's landmarks find and follow, where the
public pipeline has S3FD and cuts shots: each face from its first to its last frame with the sound of that time, and the
figure is the mean over faces. A face must be there for 50 frames (LatentSync's evaluation; the public pipeline says
100), or for the whole of a clip that is shorter.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dubflow.errors import BadInput, WrongUse
from dubflow.faces.frames import Picture
from dubflow.faces.landmarks import MediaPipeLandmarker
from dubflow.faces.tracks import FaceTrack
from dubflow.judging.card.functions import Answer, Measured, Unmeasured
from dubflow.judging.card.items import BenchmarkItem, Subject
from dubflow.judging.card.rows import JudgePin, Metric
from dubflow.judging.catalogue import listing
from dubflow.judging.full.syncnet.encoder import SAMPLES_A_FRAME, VERSION, SyncNetEncoder
from dubflow.judging.full.weights import named, weights_pin, why_no_device, why_no_weights
from dubflow.judging.pins import why_missing
from dubflow.judging.recogniser import SAMPLE_RATE
from dubflow.judging.sync_crops import lrs_crops, pipeline_crops
from dubflow.judging.syncnet import WINDOW, SyncCrop, over_tracks, sync_score
from dubflow.media.decode import read_clip
from dubflow.speech.durations import FRAME_RATE

KIND = "syncnet"
MIN_TRACK = 50
MOST_FACES = 4
MAX_GAP = 25

Part = tuple[NDArray[np.uint8], NDArray[np.float32]]
"""Crops and the sound of the same time."""


@dataclass(eq=False)
class SyncNetJudge:
    """Implements ``card.functions.MetricFunction``.

    Args:
        weights: SyncNet's state dict (``syncnet_v2.model``).
        crop: what the network is shown.
        device: of torch.

    Raises:
        WrongUse: ``judging.unknown_judge`` for another crop.
    """

    weights: Path | None
    crop: SyncCrop
    device: str = "cpu"
    metrics: tuple[Metric, ...] = ()
    _encoder: SyncNetEncoder | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        if self.crop not in ("lse_lrs", "lse_pipeline"):
            raise WrongUse("judging.unknown_judge", f"SyncNet has no crop {self.crop!r}.", "Use lse_lrs, lse_pipeline.")
        names = (f"{metric}_{self._way}" for metric in ("lse_c", "lse_d", "av_offset"))
        self.metrics = tuple(listing(name).metric(self.judge) for name in names)

    @property
    def judge(self) -> str:
        """The kind of the catalogue and the crop: both crops may be judged side by side."""
        return f"{KIND}-{self._way}"

    @property
    def pin(self) -> JudgePin:
        """Weights, crop, device, and the landmarks that place the crops.

        Raises:
            WrongUse: ``judging.weights_not_named``. BadInput: ``media.missing`` and the like.
        """
        settings: dict[str, str | int | float | bool | None] = {"crop": self.crop, "device": self.device}
        if self.crop == "lse_pipeline":
            settings |= {"detector": _landmarker().id, "min_track": MIN_TRACK, "shots": "none"}
        return weights_pin(named(self.weights, KIND), VERSION, settings)

    def missing(self) -> str | None:
        """Why its weights, or the landmarks that place its crops, are not there."""
        found = why_no_weights(self.weights, KIND, "syncnet") or why_no_device(self.device)
        return found or (why_missing("mediapipe") if self.crop == "lse_pipeline" else None)

    def prepare(self) -> None:
        """Load the network."""
        if self._encoder is None:
            self._encoder = SyncNetEncoder(named(self.weights, KIND), self.device)

    def score(self, subject: Subject) -> Mapping[str, Answer]:
        """An answer for each metric; what cannot be judged is the item's doing where its source can't be either."""
        self.prepare()
        assert self._encoder is not None
        try:
            scores = [sync_score(*self._encoder.embed(*part)) for part in self._parts(subject.clip)]
            found = over_tracks(scores)
        except BadInput as error:
            return self._unmeasured(str(error), subject)
        values = {"lse_c": found.confidence, "lse_d": found.distance, "av_offset": found.offset}
        return {f"{name}_{self._way}": Measured(value) for name, value in values.items()}

    def when_failed(self, item: BenchmarkItem) -> Mapping[str, Answer]:
        """Nothing that the item lacked."""
        return {}

    @property
    def _way(self) -> str:
        return self.crop.removeprefix("lse_")

    def _parts(self, path: Path) -> Iterator[Part]:
        """What the network is to see and hear of a clip, face by face; none where there is nobody."""
        clip = read_clip(path, fps=FRAME_RATE, sample_rate=SAMPLE_RATE)
        assert clip.frames is not None  # both were asked for, so they are there or an error
        assert clip.waveform is not None
        if self.crop == "lse_lrs":
            yield lrs_crops(clip.frames), clip.waveform
            return
        for track, here in _faces(clip.frames):
            sound = clip.waveform[here.start * SAMPLES_A_FRAME : here.stop * SAMPLES_A_FRAME]
            yield pipeline_crops(clip.frames[here], _cut(track, here)), sound

    def _unmeasured(self, reason: str, subject: Subject) -> dict[str, Answer]:
        answer = Unmeasured(reason, "item" if self._nothing_in_source(subject) else "clip")
        return {metric.name: answer for metric in self.metrics}

    def _nothing_in_source(self, subject: Subject) -> bool:
        """Whether the clip to be dubbed shows nothing that could be judged, so that no dub of it can; its sound, which
        it may lack, is the dub's to make."""
        source = subject.files.get("source")
        if source is None:
            return False
        try:
            frames = read_clip(source, fps=FRAME_RATE, audio=False).frames
        except BadInput:
            return True
        assert frames is not None  # asked for, so there or an error
        lengths = [len(frames)] if self.crop == "lse_lrs" else [here.stop - here.start for _, here in _faces(frames)]
        return max(lengths, default=0) <= WINDOW


def _faces(frames: Picture) -> Iterator[tuple[FaceTrack, slice]]:
    """Faces that are there for long enough, and from when to when."""
    for track in _landmarker().landmarks(frames).tracks:
        here = lasting(track, min(MIN_TRACK, len(track)))
        if here is not None:
            yield track, here


def lasting(track: FaceTrack, fewest: int) -> slice | None:
    """Frames from a face's first to its last, None where they are fewer."""
    places = np.flatnonzero(track.found)
    if not places.size or places[-1] + 1 - places[0] < fewest:
        return None
    return slice(int(places[0]), int(places[-1]) + 1)


def _cut(track: FaceTrack, here: slice) -> FaceTrack:
    return FaceTrack(track.landmarks[here], track.found[here], track.reasons[here], track.identity)


def _landmarker() -> MediaPipeLandmarker:
    return MediaPipeLandmarker(max_faces=MOST_FACES, max_gap=MAX_GAP)
