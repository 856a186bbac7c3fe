"""Does a rendered corpus show what was meant: is the face found, does the measured mouth follow the intended one?"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import chain

import numpy as np
import numpy.typing as npt

from dubflow.corpora.manifest import ClipRow, CorpusManifest
from dubflow.faces.landmarks import Landmarker, MediaPipeLandmarker
from dubflow.faces.mouth import mouth_opening
from dubflow.media.decode import stream_frames
from dubflow.talkers.performance import intended_pose, plan_of
from dubflow.talkers.picture import seats
from dubflow.talkers.scenes import ClipPlan

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class FaceCheck:
    """One person of one clip.

    Attributes:
        clip: id of the row. kind: of the clip. person: index into the plan's people.
        frames: of the clip. found: frames in which this person's face was found.
        intended, measured: mouth opening in the frames in which the face was found, ``[found]``.
    """

    clip: str
    kind: str
    person: int
    frames: int
    found: int
    intended: Floats
    measured: Floats

    @property
    def correlation(self) -> float:
        """Pearson correlation of measured to intended opening; NaN without a face or without movement."""
        return correlation(self.intended, self.measured)


def measure_talkers(
    rows: Iterable[ClipRow], corpus: CorpusManifest, landmarker: Landmarker | None = None
) -> list[FaceCheck]:
    """Look at clips of a corpus that talkers rendered; a clip without faces gives no entry.

    Raises:
        BadInput: ``talkers.no_plan`` for rows that talkers did not make, and what reading a clip raises.
    """
    checks: list[FaceCheck] = []
    for row in rows:
        checks += _measure(row, plan_of(row), corpus, landmarker)
    return checks


def correlation(first: Floats, second: Floats) -> float:
    """Pearson correlation of two ``[n]``; NaN where one of them is constant or n < 2."""
    if len(first) < 2 or np.ptp(first) == 0 or np.ptp(second) == 0:
        return float("nan")
    return float(np.corrcoef(first, second)[0, 1])


def _measure(row: ClipRow, plan: ClipPlan, corpus: CorpusManifest, landmarker: Landmarker | None) -> list[FaceCheck]:
    performances = intended_pose(plan)
    if not performances:
        return []
    finder = landmarker or MediaPipeLandmarker(max_faces=len(performances))
    tracks = finder.landmarks(chain.from_iterable(stream_frames(corpus.media_path(row)))).tracks
    height = plan.picture_size[0]
    checks: list[FaceCheck] = []
    for performance in performances:
        centre = seats(plan)[performance.person] + height / 2
        frames = len(performance.poses)
        measured = np.full(frames, np.nan)
        for track in tracks:
            middle = (track.boxes[:, 0] + track.boxes[:, 2]) / 2
            # Of two people each owns the half of the picture around his seat; faces elsewhere are somebody else's.
            own = track.found & (np.abs(middle - centre) < 0.375 * height)
            measured[own] = mouth_opening(track.landmarks)[own]
        found = np.isfinite(measured)
        checks.append(
            FaceCheck(
                clip=row.id,
                kind=plan.kind,
                person=performance.person,
                frames=frames,
                found=int(found.sum()),
                intended=performance.opening[found],
                measured=measured[found],
            )
        )
    return checks
