"""Whose voice it is: which of several reference recordings an output sounds most like.

A cosine by itself says little: its scale hangs on the encoder. How often an output is nearest to the very voice that it
was to have, among those of others, can be compared and has a chance level, ``1 / references``. Judge and system must
not be the same encoder: where they are (a codec's speaker vectors judging what that codec decoded) the figure says that
the system did what it was told, not how a listener would hear it. :mod:`dubflow.judging.frame_books` is a second
opinion.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from dubflow.errors import BadInput
from dubflow.speech.codecs import Codec

Vectors = NDArray[np.float64]


class SpeakerEncoder(Protocol):
    """Describes a voice."""

    @property
    def id(self) -> str:
        """Name and version: part of what a figure may be compared with."""

    def embed(self, waveform: NDArray[np.float32]) -> NDArray[np.float32]:
        """Vector ``[D]`` of the voice in a 16 kHz mono waveform ``[N]``."""


class CodecSpeaker:
    """The speaker vector that a codec gives: its own measure, no independent one."""

    def __init__(self, codec: Codec) -> None:
        self._codec = codec

    @property
    def id(self) -> str:
        """``codec-speaker-`` and the codec's id."""
        return f"codec-speaker-{self._codec.id}"

    def embed(self, waveform: NDArray[np.float32]) -> NDArray[np.float32]:
        """As the codec encodes it."""
        return self._codec.encode(waveform).speaker


def similarities(outputs: NDArray[np.floating[Any]], references: NDArray[np.floating[Any]]) -> Vectors:
    """Cosines ``[N, M]`` of vectors ``[N, D]`` and ``[M, D]``; a vector of zeros is like nothing.

    Raises:
        BadInput: ``judging.bad_vectors``.
    """
    first, second = _checked(outputs, references)
    product: Vectors = _unit(first) @ _unit(second).T
    return product


def paired_similarity(outputs: NDArray[np.floating[Any]], references: NDArray[np.floating[Any]]) -> Vectors:
    """Cosine ``[N]`` of each output with its own reference, ``[N, D]`` each: SECS (with a GE2E encoder, as in
    DiFlowDubber's tables) and V-SIM (with ERes2Net, as in JUST-DUB-IT's); -1 to 1, higher is more alike.

    Peers print the mean over clips, SECS times 100. Cosines of different encoders have different scales and do not
    compare; ours is pinned by the encoder's id.

    Raises:
        BadInput: ``judging.bad_vectors``.
    """
    if np.shape(outputs) != np.shape(references):
        raise BadInput(
            "judging.bad_vectors",
            f"Pairs need two tables of one shape, not {list(np.shape(outputs))} and {list(np.shape(references))}.",
        )
    first, second = _checked(outputs, references)
    cosines: Vectors = (_unit(first) * _unit(second)).sum(axis=1)
    return cosines


def nearest_own(scores: NDArray[np.floating[Any]], own: Sequence[int]) -> NDArray[np.bool_]:
    """Whether each output ``[N]`` scores highest with its own reference: ``scores`` ``[N, M]``, ``own`` its columns.

    A tie with another reference is no success.

    Raises:
        BadInput: ``judging.bad_vectors``.
    """
    table, columns = np.asarray(scores, dtype=np.float64), np.asarray(own, dtype=np.int64)
    if table.ndim != 2 or columns.shape != table.shape[:1] or table.shape[1] < 2 or not np.isfinite(table).all():
        raise BadInput(
            "judging.bad_vectors",
            f"{list(table.shape)} finite scores and {list(columns.shape)} references do not go together.",
            "Give a score of each output for each of at least two references.",
        )
    if columns.size and not 0 <= columns.min() <= columns.max() < table.shape[1]:
        raise BadInput("judging.bad_vectors", "An output's own reference is not among the references.")
    rows = np.arange(len(table))
    mine = table[rows, columns]
    others = table.copy()
    others[rows, columns] = -np.inf
    won: NDArray[np.bool_] = mine > others.max(axis=1)
    return won


def _checked(outputs: NDArray[np.floating[Any]], references: NDArray[np.floating[Any]]) -> tuple[Vectors, Vectors]:
    first, second = (np.asarray(one, dtype=np.float64) for one in (outputs, references))
    if first.ndim != 2 or second.ndim != 2 or first.shape[1] != second.shape[1]:
        raise BadInput(
            "judging.bad_vectors",
            f"Vectors are two tables of equal width, not {list(first.shape)}, {list(second.shape)}.",
        )
    if not (np.isfinite(first).all() and np.isfinite(second).all()):
        raise BadInput("judging.bad_vectors", "A vector holds a value that is no finite number.")
    return first, second


def _unit(vectors: Vectors) -> Vectors:
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.divide(vectors, lengths, out=np.zeros_like(vectors), where=lengths > 0)
