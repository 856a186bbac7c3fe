"""What a landmarker hands back: faces followed through a clip.

Landmarks are in pixels of the frame they were found in, with the centre of the top-left pixel at (0.5, 0.5), x to the
right, y down, z in the same unit (smaller is nearer to the camera). The 478 points are MediaPipe's face mesh: 468 of
the surface and 5 of each iris.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import numpy.typing as npt

from dubflow.errors import BadInput

Floats = npt.NDArray[np.float32]
Bools = npt.NDArray[np.bool_]

POINTS = 478

# Why a face has no landmarks in a frame:
#   no_face         nothing was followed at that time and nothing was found
#   lost_track      the face was there shortly before and could not be found again
#   too_small       found, but fewer pixels high than the landmarker takes for measurable
#   low_confidence  two looks at the same frame disagree about where the face is
Reason = Literal["no_face", "lost_track", "too_small", "low_confidence"]


@dataclass(frozen=True)
class FaceTrack:
    """One face through all frames of a clip.

    Attributes:
        landmarks: float32 [F, 478, 3] pixels; NaN in frames where the face was not found.
        found: bool [F].
        reasons: one entry a frame, None where found.
        identity: number of the track within its clip, in order of first appearance.
    """

    landmarks: Floats
    found: Bools
    reasons: tuple[Reason | None, ...]
    identity: int = 0

    def __post_init__(self) -> None:
        frames = len(self.found)
        if self.landmarks.shape != (frames, POINTS, 3) or len(self.reasons) != frames:
            raise BadInput(
                "faces.bad_track",
                f"Landmarks {self.landmarks.shape}, {frames} flags and {len(self.reasons)} reasons do not agree.",
                f"A track of {frames} frames holds landmarks [{frames}, {POINTS}, 3] and {frames} reasons.",
            )

    def __len__(self) -> int:
        return len(self.found)

    @property
    def coverage(self) -> float:
        """Share of the clip's frames in which this face was found, 0 to 1."""
        return float(self.found.mean()) if len(self.found) else 0.0

    @property
    def boxes(self) -> Floats:
        """float32 [F, 4]: left, top, right, bottom of the landmarks in pixels; NaN where not found."""
        points = self.landmarks[:, :, :2]
        # Minimum and maximum carry NaN through, which is what an absent face should say.
        return np.concatenate([points.min(axis=1), points.max(axis=1)], axis=1)

    @property
    def height(self) -> float:
        """Median height of the face in pixels over the frames in which it was found; 0 when it never was."""
        if not self.found.any():
            return 0.0
        boxes = self.boxes[self.found]
        return float(np.median(boxes[:, 3] - boxes[:, 1]))


@dataclass(frozen=True)
class FaceTracks:
    """Every face of a clip.

    Attributes:
        tracks: in order of first appearance; empty when the clip shows no face.
        frame_count: F of the clip, also when there is no track.
        frame_size: (height, width) in pixels; (0, 0) for a clip without frames.
        frame_reasons: why a frame has no face at all, None where some face was found.
    """

    tracks: Sequence[FaceTrack]
    frame_count: int
    frame_size: tuple[int, int]
    frame_reasons: tuple[Reason | None, ...] = field(default=())

    @property
    def coverage(self) -> float:
        """Share of frames in which at least one face was found, 0 to 1 (0 for a clip without frames)."""
        if not self.frame_count or not self.tracks:
            return 0.0
        return float(np.any([track.found for track in self.tracks], axis=0).mean())

    @property
    def main(self) -> FaceTrack:
        """The face the clip is about: most present, and of those equally present the largest.

        Presence and size multiply, so somebody large in the foreground beats a spectator seen a little longer.

        Raises:
            BadInput: ``faces.no_face`` when the clip shows none; its details carry the frames counted by reason.
        """
        if not self.tracks:
            counts = {reason: self.frame_reasons.count(reason) for reason in set(self.frame_reasons) if reason}
            raise BadInput(
                "faces.no_face",
                f"No face was found in any of {self.frame_count} frames.",
                "Give a clip that shows the speaker, or mark this one as without a face.",
                frames=self.frame_count,
                reasons=counts,
            )
        return max(self.tracks, key=lambda track: (track.coverage * track.height, -track.identity))
