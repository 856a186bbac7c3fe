"""Faces of a clip, found, followed and measured.

How MediaPipe's mesh is used here. Its detector sees the whole frame in 128 x 128 pixels and its landmarks tremble with
the box the detector gives, so each face gets two looks a frame:

1. a fresh detection in a square around where the face was last;
2. the same frame cut out upright around that result, at always the same scale, in a graph that follows this one face.

Their mean is kept. Against drawn mouths whose opening is known this gives a higher correlation than either look alone,
and no lag; two looks that disagree make the frame ``low_confidence``. Every clip starts with fresh graphs: the same
frames give the same landmarks, whatever the process did before.
"""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any, Protocol

import numpy.typing as npt

from dubflow.errors import BadInput, WrongUse
from dubflow.faces.following import Follower
from dubflow.faces.frames import rgb_frame
from dubflow.faces.mesh import Mesh, mediapipe_version
from dubflow.faces.tracks import FaceTrack, FaceTracks, Reason

__all__ = ["FaceTrack", "FaceTracks", "Landmarker", "MediaPipeLandmarker", "Reason"]

# Part of the identity: raise it whenever the same frames may give other landmarks than before.
VERSION = 1


class Landmarker(Protocol):
    """Finds and follows the faces of a clip."""

    @property
    def id(self) -> str:
        """Name, version and settings: results with equal ids on equal frames are equal. Goes into cache keys."""

    def landmarks(self, frames: Iterable[npt.NDArray[Any]]) -> FaceTracks:
        """Tracks of the faces in ``frames``: uint8 RGB [H, W, 3] (or grey [H, W]) of one size, any number of them.

        Raises:
            BadInput: ``faces.bad_frame``, or ``faces.frame_size_changed``.
        """


@dataclass(frozen=True)
class MediaPipeLandmarker:
    """The face mesh of the MediaPipe wheel behind ``Landmarker``.

    Frames are taken one at a time; what is kept is 6 kB a frame and track, so cut hours of film into scenes first.

    Attributes:
        max_faces: most faces followed at a time. With one, it is the largest at the start, until it is lost.
        confidence: 0 to 1, below which MediaPipe drops a detection or a followed face.
        min_face_px: a face less high than this in its frame is ``too_small``.
        max_gap: frames after which a face that comes back is a new one.
        min_frames: a face seen in fewer frames (or fewer than a fifth of a short clip) is taken for a false alarm.
        search_every: while somebody is missing, frames between two thorough searches (tiles of the frame).
    """

    max_faces: int = 1
    confidence: float = 0.5
    min_face_px: int = 20
    max_gap: int = 12
    min_frames: int = 3
    search_every: int = 12

    def __post_init__(self) -> None:
        counts = (self.max_faces, self.search_every, self.min_face_px, self.min_frames)
        if min(counts) < 1 or self.max_gap < 0 or not 0 < self.confidence <= 1:
            raise WrongUse(
                "faces.bad_landmarker",
                f"{self} cannot follow faces.",
                "Counts and sizes start at 1, max_gap at 0, confidence lies above 0 and up to 1.",
            )

    @property
    def id(self) -> str:
        settings = (
            f"faces{self.max_faces}-conf{self.confidence:g}-px{self.min_face_px}"
            f"-gap{self.max_gap}-min{self.min_frames}-search{self.search_every}"
        )
        return f"mediapipe-{mediapipe_version()}-two-looks-{VERSION}-{settings}"

    def landmarks(self, frames: Iterable[npt.NDArray[Any]]) -> FaceTracks:
        """See ``Landmarker.landmarks``."""
        size: tuple[int, int] | None = None
        with Mesh(max(self.max_faces, 4), follow=False, confidence=self.confidence) as detect, ExitStack() as cleanup:
            follower = Follower(
                detect=detect,
                open_mesh=lambda: Mesh(1, follow=True, confidence=self.confidence),
                max_faces=self.max_faces,
                min_face_px=self.min_face_px,
                max_gap=self.max_gap,
                search_every=self.search_every,
            )
            cleanup.callback(follower.close)
            for index, frame in enumerate(frames):
                picture = rgb_frame(frame)
                if size is None:
                    size = (picture.shape[0], picture.shape[1])
                elif picture.shape[:2] != size:
                    raise BadInput(
                        "faces.frame_size_changed",
                        f"Frame {index} is {picture.shape[1]}x{picture.shape[0]}, the first was {size[1]}x{size[0]}.",
                        "Scale all frames of a clip to one size first.",
                    )
                follower.step(picture)
        return follower.result(size or (0, 0), self.min_frames)
