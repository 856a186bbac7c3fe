"""New pictures into a clip: at the source's own size, rate and frames, and where wanted only inside a region."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dubflow.media.clip import FrameArray
from dubflow.media.decode import stream_frames
from dubflow.media.encode import write_clip
from dubflow.media.probe import Probe
from dubflow.speech.durations import FRAME_RATE

QUALITY = 16
"""x264's crf: higher than that of ordinary clips, because what was not changed is encoded once more."""


@dataclass(frozen=True, eq=False)
class NewPicture:
    """What an engine shows in ``n`` frames at 25 a second.

    Attributes:
        frames: ``[n, H, W, 3]`` at the clip's size, as a viewer sees it.
        weight: uint8 ``[n, H, W]``: 255 where the new picture stands, 0 where the clip's own pixels stay; None for all.
    """

    frames: FrameArray
    weight: NDArray[np.uint8] | None = None


@dataclass(frozen=True)
class WrittenPicture:
    """What was written: frames, their rate, and what had to be decided."""

    frames: int
    rate: Fraction
    notices: tuple[str, ...]


def write_picture(facts: Probe, pieces: Sequence[tuple[int, NewPicture]], out: Path) -> WrittenPicture:
    """Write the picture of the clip ``facts`` tells of, with ``pieces`` in it, as H.264 without sound.

    Every frame of the source is written once, at the source's exact rate and size. At a source frame is shown what the
    piece, of 25 frames a second, has in the middle of the moment in which that frame is seen.

    Args:
        pieces: first frame (at 25 a second) and picture, in order, not overlapping; at least one.
    """
    video = facts.video
    info = None if video is None else video.video
    constant = info is not None and info.rate is not None and not info.variable_rate
    rate = info.rate if info is not None and info.rate is not None and constant else Fraction(FRAME_RATE)
    notices = () if constant else (f"its frames came at no constant rate; the dub has {FRAME_RATE} a second",)
    count = 0

    def repainted() -> Iterator[NDArray[np.uint8]]:
        nonlocal count, notices
        for chunk in stream_frames(facts.path, rate if not constant else None):
            for frame in chunk:
                shown = _repainted(frame, int((count + Fraction(1, 2)) * FRAME_RATE / rate), pieces)
                height, width = shown.shape[0] // 2 * 2, shown.shape[1] // 2 * 2
                if not count and shown.shape[:2] != (height, width):
                    notices = (*notices, f"its picture became {width}x{height}: H.264 wants even sides")
                yield shown[:height, :width]
                count += 1

    write_clip(out, repainted(), rate, crf=QUALITY)
    return WrittenPicture(count, rate, notices)


def _repainted(frame: NDArray[np.uint8], moment: int, pieces: Sequence[tuple[int, NewPicture]]) -> NDArray[np.uint8]:
    """One source frame with what the pieces show at frame ``moment`` of 25 a second."""
    for first, piece in pieces:
        place = moment - first
        # The last source frame may be seen a moment after the last of 25 a second; it shows that one.
        if place == len(piece.frames) and piece is pieces[-1][1]:
            place -= 1
        if 0 <= place < len(piece.frames):
            return blended(frame, piece.frames[place], None if piece.weight is None else piece.weight[place])
    return frame


def blended(own: NDArray[np.uint8], new: NDArray[np.uint8], weight: NDArray[np.uint8] | None) -> NDArray[np.uint8]:
    """``own`` ``[H, W, 3]`` with ``new`` over it by ``weight`` ``[H, W]``; exactly ``own`` where the weight is 0."""
    if weight is None:
        return new
    share = weight[:, :, None].astype(np.uint16)
    # In whole numbers, rounded: (255 a + 127) // 255 is a, so weights 0 and 255 give one or the other bit for bit.
    mixed: NDArray[np.uint8] = ((own * (255 - share) + new * share + 127) // 255).astype(np.uint8)
    return mixed
