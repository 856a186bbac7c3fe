"""A clip looked at once for all judges of the picture: its frames and its main face.

MediaPipe takes most of the time of an offline evaluation, and a clip before all judges is asked about by several of
them, always with the same source beside it. So a process keeps the last two clips that it looked at, as long as their
files do not change. A dub of the sound alone shows its source's very frames, so faces are kept by the frames as well.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from functools import lru_cache
from hashlib import blake2b
from pathlib import Path

import numpy as np

from dubflow.errors import BadInput
from dubflow.faces.frames import Picture
from dubflow.faces.landmarks import MediaPipeLandmarker
from dubflow.faces.tracks import FaceTrack
from dubflow.media.decode import read_clip
from dubflow.speech.durations import FRAME_RATE

KEPT = 2
"""Clips: a dub and its source. Frames are large, so no more."""
KEPT_FACES = 32
"""Faces of pictures that were seen, 6 KiB a frame."""


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


def forget() -> None:
    """Look at every clip anew from here on."""
    _look_at.cache_clear()
    _faces.clear()


@lru_cache(maxsize=KEPT)
def _look_at(path: Path, size: int, changed_ns: int) -> Seen | None:
    return _look(path)


def _look(path: Path) -> Seen | None:
    frames = read_clip(path, fps=FRAME_RATE, audio=False).frames
    assert frames is not None  # asked for, so there or an error
    frames.setflags(write=False)
    track = _main_face(frames)
    return None if track is None else Seen(path, frames, track)


_faces: OrderedDict[bytes, FaceTrack | None] = OrderedDict()


def _main_face(frames: Picture) -> FaceTrack | None:
    """Followed from fresh graphs, so that it depends on the frames and on nothing else."""
    key = blake2b(np.ascontiguousarray(frames).data, person=b"%dx%d" % frames.shape[1:3]).digest()
    if key not in _faces:
        found = MediaPipeLandmarker().landmarks(frames)
        track = found.main if found.tracks else None
        if track is not None:
            track.landmarks.setflags(write=False)
            track.found.setflags(write=False)
        _faces[key] = track
    _faces.move_to_end(key)
    while len(_faces) > KEPT_FACES:
        _faces.popitem(last=False)
    return _faces[key]


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
