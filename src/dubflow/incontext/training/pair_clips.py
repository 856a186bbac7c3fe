"""The clips of a pair as a training reads them: as much of the picture as is wanted, sound at the base's rate."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dubflow.incontext.inference.canvas import Canvas
from dubflow.incontext.pairs.manifest import PairFile, PairManifest, PairRow
from dubflow.incontext.training.settings import FPS
from dubflow.media.decode import read_audio, stream_frames


@dataclass(frozen=True, eq=False)
class Side:
    """One clip of a pair: frames uint8 ``[F, H, W, 3]`` at 25 a second, sound ``[N]`` at the base's rate."""

    frames: NDArray[np.uint8]
    waveform: NDArray[np.float32]

    @property
    def size(self) -> tuple[int, int]:
        """Height and width."""
        return self.frames.shape[1], self.frames.shape[2]


def sides_of(row: PairRow) -> Sequence[tuple[PairFile, PairFile | None]]:
    """Context and target: the clip, and its sound where that lies apart."""
    return (row.context, row.context_audio), (row.target, row.target_audio)


def files_of(row: PairRow) -> dict[str, PairFile]:
    """Clips, sounds and mask by what they are."""
    named = {"context": row.context, "target": row.target, "mask": row.mask}
    named |= {"context_audio": row.context_audio, "target_audio": row.target_audio}
    return {role: file for role, file in named.items() if file is not None}


def read_side(pairs: PairManifest, clip: PairFile, sound: PairFile | None, sample_rate: int, limit: int) -> Side:
    """At most ``limit`` frames of a clip, and all of its sound.

    Raises:
        BadInput: what decoding says.
    """
    heard = read_audio(pairs.path(sound or clip), sample_rate)
    return Side(first_frames(pairs, clip, limit), heard)


def first_frames(pairs: PairManifest, file: PairFile, limit: int) -> NDArray[np.uint8]:
    """The first ``limit`` frames of a clip; the decoding ends there."""
    found: list[NDArray[np.uint8]] = []
    for chunk in stream_frames(pairs.path(file), FPS):
        found.append(chunk)
        if sum(map(len, found)) >= limit:
            break
    return np.concatenate(found)[:limit]


def on_canvas(canvas: Canvas, frames: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Frames of any size on a canvas of its size, as inference puts them there."""
    return Canvas.within(frames.shape[1], frames.shape[2], canvas.height, canvas.width).put(frames)
