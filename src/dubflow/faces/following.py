"""Which face is which from frame to frame: search, follow, lose, find again."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from dubflow.faces.frames import Picture
from dubflow.faces.geometry import (
    Affine,
    apply,
    box_centre,
    box_of,
    box_side,
    inverse,
    overlap,
    search_squares,
    square_map,
    warp,
)
from dubflow.faces.indices import OUTER_EYE_CORNERS
from dubflow.faces.tracks import POINTS, FaceTrack, FaceTracks, Floats, Reason


class Look(Protocol):
    """A landmark model on one picture; ``Mesh`` is one."""

    def __call__(self, picture: Picture) -> list[Floats]:
        """Landmarks [478, 3] in pixels of the picture, one entry a face."""

    def close(self) -> None:
        """Frees what the model holds."""


LOOK_SIZE = 256  # pixels of the square pictures given to the mesh, which itself sees 192 of them
SEARCH_MARGIN = 2.5  # side of the square searched / side of the face's box
UPRIGHT_MARGIN = 1.6  # the same for the second look; 1.5 is what MediaPipe's own following cuts out
SAME_FACE = 0.3  # overlap above which two boxes of one frame are one face
AGREEMENT = 0.08  # median distance between two looks / side of the box, above which neither is believed


@dataclass
class _Face:
    """A face while it is followed."""

    identity: int
    mesh: Look
    last: Floats
    last_seen: int
    seen: dict[int, Floats] = field(default_factory=dict)
    doubts: dict[int, Reason] = field(default_factory=dict)


class Follower:
    """Takes the frames of one clip in order.

    Args:
        detect: searches one picture for several faces, without memory.
        open_mesh: gives a new mesh that follows a single face.
        max_faces, min_face_px, max_gap, search_every: as in ``MediaPipeLandmarker``.
    """

    def __init__(
        self,
        detect: Look,
        open_mesh: Callable[[], Look],
        *,
        max_faces: int,
        min_face_px: int,
        max_gap: int,
        search_every: int,
    ) -> None:
        self._detect = detect
        self._open_mesh = open_mesh
        self._max_faces = max_faces
        self._min_face_px = min_face_px
        self._max_gap = max_gap
        self._search_every = search_every
        self._faces: list[_Face] = []
        self._live: list[_Face] = []
        self._frame_reasons: list[Reason | None] = []

    def step(self, frame: Picture) -> None:
        """Takes the next frame, uint8 [H, W, 3]."""
        now = len(self._frame_reasons)
        doubt: Reason | None = None
        for face in [face for face in self._live if not self._is_live(face.last_seen, now)]:
            self._live.remove(face)
            face.mesh.close()
        live = list(self._live)
        found: list[_Face] = []
        # Whoever was seen last goes first, so that a face that was lost cannot take the place of one that was not.
        for face in sorted(live, key=lambda face: (-face.last_seen, face.identity)):
            if len(found) < self._max_faces:
                doubt = self._follow(face, frame, now, found) or doubt
        if len(found) < self._max_faces:
            lost = [face for face in live if face not in found]
            doubt = self._search(frame, now, found, lost) or doubt
        self._frame_reasons.append(None if found else doubt or ("lost_track" if live else "no_face"))

    def close(self) -> None:
        """Frees the meshes of the faces still followed."""
        while self._live:
            self._live.pop().mesh.close()

    def result(self, size: tuple[int, int], min_frames: int) -> FaceTracks:
        """What was followed; faces seen in fewer than ``min_frames`` frames are left out."""
        frames = len(self._frame_reasons)
        needed = max(1, min(min_frames, frames // 5))
        kept = [face for face in self._faces if len(face.seen) >= needed]
        tracks = tuple(self._track(face, number, frames) for number, face in enumerate(kept))
        seen = np.any([track.found for track in tracks], axis=0) if tracks else np.zeros(frames, bool)
        reasons = tuple(
            None if shown else reason or "low_confidence"
            for shown, reason in zip(seen, self._frame_reasons, strict=True)
        )
        return FaceTracks(tracks, frames, size, reasons)

    def _follow(self, face: _Face, frame: Picture, now: int, found: list[_Face]) -> Reason | None:
        """Measures ``face`` in ``frame`` and adds it to ``found``, or says why not."""
        points, doubt = self._two_looks(face, frame)
        if points is not None:
            box = box_of(points)
            if box[3] - box[1] < self._min_face_px:
                points, doubt = None, "too_small"
            elif any(overlap(box, box_of(other.last)) > SAME_FACE for other in found):
                points, doubt = None, "lost_track"
        if points is None:
            face.doubts[now] = doubt or "lost_track"
            return doubt
        face.last, face.last_seen = points, now
        face.seen[now] = points
        found.append(face)
        return None

    def _two_looks(self, face: _Face, frame: Picture) -> tuple[Floats | None, Reason | None]:
        box = box_of(face.last)
        around = square_map(box_centre(box), SEARCH_MARGIN * box_side(box), LOOK_SIZE)
        candidates = [points for points in _look(self._detect, frame, around) if _near(face.last, points)]
        first = min(candidates, key=lambda points: _distance(face.last, points), default=None)
        guide = face.last if first is None else first
        second = next(iter(_look(face.mesh, frame, _upright(guide))), None)
        if first is None or second is None:
            return (second if first is None else first), None
        apart = float(np.median(np.linalg.norm(first[:, :2] - second[:, :2], axis=1)))
        if apart > AGREEMENT * box_side(box_of(first)):
            return None, "low_confidence"
        return (first + second) / 2, None

    def _search(self, frame: Picture, now: int, found: list[_Face], lost: list[_Face]) -> Reason | None:
        """Looks for faces that nobody follows: old acquaintances among ``lost``, or new ones."""
        doubt: Reason | None = None
        taken = [box_of(face.last) for face in found]
        for points in self._candidates(frame, thorough=now % self._search_every == 0):
            if len(found) == self._max_faces:
                break
            box = box_of(points)
            if box[3] - box[1] < self._min_face_px:
                doubt = "too_small"
            elif not any(overlap(box, other) > SAME_FACE for other in taken):
                taken.append(box)
                doubt = self._welcome(points, frame, now, found, lost) or doubt
        return doubt

    def _welcome(
        self, points: Floats, frame: Picture, now: int, found: list[_Face], lost: list[_Face]
    ) -> Reason | None:
        near = [face for face in lost if _near(face.last, points)]
        if near:
            face = min(near, key=lambda face: (_distance(face.last, points), face.identity))
            lost.remove(face)
            face.last = points
            face.doubts.pop(now, None)
            return self._follow(face, frame, now, found)
        face = _Face(len(self._faces), self._open_mesh(), points, now)
        self._live.append(face)
        doubt = self._follow(face, frame, now, found)
        if face.seen:
            self._faces.append(face)
        else:
            self._live.remove(face)
            face.mesh.close()
        return doubt

    def _candidates(self, frame: Picture, *, thorough: bool) -> list[Floats]:
        """Faces in the whole frame, largest first; with ``thorough`` also in pieces of it until some show."""
        faces: list[Floats] = []
        searched: float | None = None
        for centre, side in search_squares(*frame.shape[:2]):
            # All squares of one size are searched before the next size is left out.
            if searched is not None and side != searched and (faces or not thorough):
                break
            faces += _look(self._detect, frame, square_map(centre, side, LOOK_SIZE))
            searched = side
        return sorted(faces, key=lambda points: -box_side(box_of(points)))

    def _track(self, face: _Face, number: int, frames: int) -> FaceTrack:
        landmarks = np.full((frames, POINTS, 3), np.nan, np.float32)
        found = np.zeros(frames, bool)
        reasons: list[Reason | None] = []
        last_seen: int | None = None
        for at in range(frames):
            if at in face.seen:
                landmarks[at], found[at], last_seen = face.seen[at], True, at
                reasons.append(None)
            else:
                expected = last_seen is not None and self._is_live(last_seen, at)
                reasons.append(face.doubts.get(at, "lost_track" if expected else "no_face"))
        return FaceTrack(landmarks, found, tuple(reasons), number)

    def _is_live(self, last_seen: int, now: int) -> bool:
        """Whether a face seen in frame ``last_seen`` is still looked for in frame ``now``."""
        return now - last_seen <= self._max_gap + 1


def _distance(one: Floats, other: Floats) -> float:
    """Between the middles of two faces, in pixels."""
    return float(np.linalg.norm(box_centre(box_of(one)) - box_centre(box_of(other))))


def _near(before: Floats, after: Floats) -> bool:
    """Whether a face may have come from ``before`` to ``after``: less than its own size away, not twice as large."""
    was, now = box_side(box_of(before)), box_side(box_of(after))
    return _distance(before, after) < now and was / 2 < now < was * 2


def _upright(points: Floats) -> Affine:
    box = box_of(points)
    left, right = (points[index, :2] for index in OUTER_EYE_CORNERS)
    along = right - left
    angle = float(np.arctan2(along[1], along[0]))
    return square_map(box_centre(box), UPRIGHT_MARGIN * box_side(box), LOOK_SIZE, angle)


def _look(mesh: Look, frame: Picture, affine: Affine) -> list[Floats]:
    """What ``mesh`` sees in the square that ``affine`` cuts out, in pixels of ``frame``."""
    back = inverse(affine)
    return [apply(back, points).astype(np.float32) for points in mesh(warp(frame, affine, LOOK_SIZE))]
