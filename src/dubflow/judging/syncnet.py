r"""LSE-C, LSE-D and the offset of sound against picture: SyncNet's algorithm on embeddings that somebody else computed.

Chung and Zisserman, "Out of time", 2016; the names are Wav2Lip's (Prajwal et al., 2020). With a video embedding
:math:`v_i` and an audio embedding :math:`a_i` every frame (of five frames, 0.2 s, from it on), audio padded with zeros,

.. math:: d_k = \frac 1 V \sum_i \lVert v_i - a_{i+k} \rVert_2, \qquad k = -15 \dots 15,

LSE-D is the least of the :math:`d_k`, LSE-C their median minus the least, and the offset is minus the k of the least:
positive when the sound is ahead of the picture. (The public script adds 1e-6 to every difference inside the norm.)

What the network sees decides the figures as much as the dub. Two crops are in use and must not be mixed: Wav2Lip's
script for LRS scales whole frames of pre-cut faces (``lse_lrs``), its script for real video finds, follows and cuts
faces as SyncNet's own pipeline does (``lse_pipeline``).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from dubflow.errors import BadInput

FARTHEST = 15
"""Frames of 1/25 s to either side."""
WINDOW = 5
"""Frames that one embedding sees, its own first."""

SyncCrop = Literal["lse_lrs", "lse_pipeline"]
Floats = NDArray[np.float64]


class SyncEncoder(Protocol):
    """Puts what is seen and what is heard into one space."""

    @property
    def id(self) -> str:
        """Name, version and weights: part of what a figure may be compared with."""

    def embed(
        self, crops: NDArray[np.uint8], waveform: NDArray[np.float32]
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Embeddings ``[V, D]`` of RGB crops ``[F, 224, 224, 3]`` and of 16 kHz mono ``[N]``, one a start frame: V is
        at most F - 4 (SyncNet's own script leaves the last one out)."""


@dataclass(frozen=True)
class SyncScore:
    """How well sound and picture of one face go together.

    Attributes:
        confidence: LSE-C, higher is better. distance: LSE-D, lower is better.
        offset: frames (1/25 s) by which the sound is ahead; 0 is best.
        curve: mean distance ``[31]`` for k = -15 to 15.
        frames: embeddings that it rests on.
    """

    confidence: float
    distance: float
    offset: int
    curve: tuple[float, ...]
    frames: int


@dataclass(frozen=True)
class TrackScores:
    """Means over the faces (or clips) of a set.

    Attributes:
        confidence, distance: means.
        offset: signed mean in frames. absolute_offset: mean of absolute values, which JUST-DUB-IT's ASync is taken to
            be. latentsync_offset: the signed mean cut to a whole number, as LatentSync's evaluation has it.
    """

    confidence: float
    distance: float
    offset: float
    absolute_offset: float
    latentsync_offset: int


def sync_score(video: NDArray[np.floating[Any]], audio: NDArray[np.floating[Any]]) -> SyncScore:
    """Of embeddings ``[V, D]`` and ``[A, D]``, one a frame from the same moment on; compared over the shorter.

    Raises:
        BadInput: ``judging.bad_vectors``; ``judging.too_short`` without a common frame.
    """
    seen, heard = (np.asarray(one, dtype=np.float64) for one in (video, audio))
    if seen.ndim != 2 or heard.ndim != 2 or seen.shape[1] != heard.shape[1]:
        raise BadInput(
            "judging.bad_vectors",
            f"Embeddings are two tables of equal width, not {list(seen.shape)}, {list(heard.shape)}.",
        )
    if not (np.isfinite(seen).all() and np.isfinite(heard).all()):
        raise BadInput("judging.bad_vectors", "An embedding holds a value that is no finite number.")
    frames = min(len(seen), len(heard))
    if not frames:
        raise BadInput("judging.too_short", f"Synchrony needs at least {WINDOW} frames with sound.", "Leave it out.")
    padded = np.pad(heard[:frames], ((FARTHEST, FARTHEST), (0, 0)))
    curve = np.array(
        [np.linalg.norm(seen[:frames] - padded[k : k + frames], axis=1).mean() for k in range(2 * FARTHEST + 1)]
    )
    least = int(curve.argmin())
    return SyncScore(
        confidence=float(np.median(curve) - curve[least]),
        distance=float(curve[least]),
        offset=FARTHEST - least,
        curve=tuple(curve.tolist()),
        frames=frames,
    )


def over_tracks(scores: Sequence[SyncScore]) -> TrackScores:
    """Means over tracks, each counting the same.

    Raises:
        BadInput: ``judging.nothing_to_judge`` without a track (no face was followed long enough).
    """
    if not scores:
        raise BadInput("judging.nothing_to_judge", "There is no face whose synchrony could be judged.", "Say so.")
    offsets = np.array([score.offset for score in scores], dtype=np.float64)
    return TrackScores(
        confidence=float(np.mean([score.confidence for score in scores])),
        distance=float(np.mean([score.distance for score in scores])),
        offset=float(offsets.mean()),
        absolute_offset=float(np.abs(offsets).mean()),
        latentsync_offset=int(offsets.mean()),
    )
