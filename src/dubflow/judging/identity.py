"""CSIM (ID-SIM): whether the dubbed face is still the same person's.

JUST-DUB-IT (appendix A.5): the cosine of face embeddings of the generated video and of the reference identity, by
ArcFace. Here: every generated frame with a face against the mean of the reference's unit embeddings, averaged over
frames (what the paper does with several frames is not said).

No face recogniser carries its weights. :class:`EmbeddedFace` stands in for one offline: fixed linear measures of the
picture that nobody trained to know people. It notices another face, another light and another pose alike, so its figure
is called ``csim_embedded``, compares with nobody's CSIM, and is read beside the same figure of the true clip. Measured
on the embedded world (44 frontal clips of 8 drawn people): .76 within and .45 between people in the mean, equal error
rate 13 % at .60; nothing is known of real faces.
"""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from dubflow.errors import BadInput
from dubflow.faces.features.embedded import EmbeddedFaceFeatures
from dubflow.judging.voice import similarities


class FaceEncoder(Protocol):
    """Describes whose face it is."""

    @property
    def id(self) -> str:
        """Name, version and weights: part of what a figure may be compared with."""

    def embed(self, crops: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Vectors ``[F, D]`` of RGB face crops ``[F, S, S, 3]`` (``dubflow.faces.crops.crop_face``)."""


class EmbeddedFace:
    """The embedded face features behind :class:`FaceEncoder`: a stand-in without any knowledge of people."""

    def __init__(self) -> None:
        self._features = EmbeddedFaceFeatures()

    @property
    def id(self) -> str:
        """Id of the features."""
        return f"standin-{self._features.id}"

    def embed(self, crops: NDArray[np.uint8]) -> NDArray[np.float32]:
        """See :class:`FaceEncoder`.

        Raises:
            BadInput: ``faces.bad_crops``.
        """
        return self._features.extract(crops)


def identity_similarity(generated: NDArray[np.floating[Any]], reference: NDArray[np.floating[Any]]) -> float:
    """Mean cosine, -1 to 1, of ``generated`` ``[F, D]`` to the mean unit vector of ``reference`` ``[R, D]``.

    Raises:
        BadInput: ``judging.bad_vectors``; ``judging.nothing_to_judge`` without a face in either.
    """
    faces, known = np.asarray(generated, dtype=np.float64), np.asarray(reference, dtype=np.float64)
    if not faces.size or not known.size:
        raise BadInput("judging.nothing_to_judge", "There is no face to compare.", "Count the clip as failed.")
    if known.ndim != 2:
        raise BadInput("judging.bad_vectors", f"Embeddings are a table, not {list(known.shape)}.")
    lengths = np.linalg.norm(known, axis=1, keepdims=True)
    middle = np.divide(known, lengths, out=np.zeros_like(known), where=lengths > 0).mean(axis=0, keepdims=True)
    return float(similarities(faces, middle).mean())
