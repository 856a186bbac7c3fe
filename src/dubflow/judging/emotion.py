"""Emo-SIM: whether a dub sounds as moved as the true recording.

DiFlowDubber (appendix D, Table 5) takes the cosine of the two recordings' emotion embeddings, by emotion2vec ("Emo2Vec"
there; which of its models is not said). Cosines of that encoder lie close together: its Table 5 spans .959 to .983, so
the figure says little without its own interval. No such encoder carries its weights, so offline this metric is a gap.
"""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from dubflow.judging.voice import paired_similarity


class EmotionEncoder(Protocol):
    """Describes how somebody speaks."""

    @property
    def id(self) -> str:
        """Name, version and weights: part of what a figure may be compared with."""

    def embed(self, waveform: NDArray[np.float32]) -> NDArray[np.float32]:
        """Vector ``[D]`` of the emotion in a 16 kHz mono waveform ``[N]``."""


def emotion_similarity(
    reference: NDArray[np.float32], generated: NDArray[np.float32], encoder: EmotionEncoder
) -> float:
    """Cosine, -1 to 1, of the embeddings of two 16 kHz mono waveforms ``[N]``, ``[M]``.

    Raises:
        BadInput: ``judging.bad_vectors`` for embeddings of other shapes; whatever the encoder refuses.
    """
    vectors = [np.atleast_2d(encoder.embed(one)) for one in (generated, reference)]
    return float(paired_similarity(vectors[0], vectors[1])[0])
