"""A clip looked at once for all judges of the picture: its frames and its main face.

MediaPipe takes most of the time of an offline evaluation, and a clip before all judges is asked about by several of
them, always with the same source beside it. So a process keeps the last two clips that it looked at, as long as their
files do not change.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from dubflow.errors import BadInput
from dubflow.faces.frames import Picture
from dubflow.faces.landmarks import MediaPipeLandmarker
from dubflow.faces.tracks import FaceTrack
from dubflow.media.decode import read_clip
from dubflow.speech.durations import FRAME_RATE

KEPT = 2
"""Clips: a dub and its source. Frames are large, so no more."""


@dataclass(frozen=True, eq=False)
class Seen:
    """A clip that shows a face.

    Attributes:
        frames: uint8 RGB ``[F, H, W, 3]``, 25 a second, not to be written to: all judges see the same.
        track: of the main face, as long.
    """

    path: Path
    frames: Picture
    track: FaceTrack


def look(path: Path) -> Seen | None:
    """The clip and its main face; None where it shows none.

    Raises:
        BadInput: as ``media.decode.read_clip``, for what has no picture too.
    """
    path = Path(path)
    try:
        found = path.stat()
    except OSError:
        return _look(path)  # which says what is wrong with it
    return _look_at(path.resolve(), found.st_size, found.st_mtime_ns)


@lru_cache(maxsize=KEPT)
def _look_at(path: Path, size: int, changed_ns: int) -> Seen | None:
    return _look(path)


def _look(path: Path) -> Seen | None:
    frames = read_clip(path, fps=FRAME_RATE, audio=False).frames
    assert frames is not None  # asked for, so there or an error
    found = MediaPipeLandmarker().landmarks(frames)
    if not found.tracks:
        return None
    track = found.main
    for array in (frames, track.landmarks, track.found):
        array.setflags(write=False)
    return Seen(path, frames, track)


@dataclass(frozen=True)
class Nobody:
    """No face to judge, and whether its source shows none either (then it is nothing that a dub could mend)."""

    reason: str
    in_source: bool


def look_at_both(clip: Path, source: Path | None) -> tuple[Seen, Seen | None] | Nobody:
    """The dub and its source, or why they cannot be judged. A dub that cannot be read is the dub's doing.

    Raises:
        BadInput: as :func:`look`, for the source.
    """
    original = look(source) if source is not None else None
    lacking = source is not None and original is None
    try:
        made = look(clip)
    except BadInput as error:
        return Nobody(str(error), lacking)
    if made is None or lacking:
        return Nobody("No face was found.", lacking)
    return made, original
