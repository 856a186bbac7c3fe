"""Speakers told apart by vector quantisation: a book of usual spectra for each (Soong et al., 1985).

An utterance belongs to the speaker whose book its frames lie nearest to. The frames are mel-cepstra without level and
pitch, so neither loudness nor a copied melody decides; no vector of any codec is read.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dubflow.errors import BadInput
from dubflow.speech.codecs.world.analysis import Features, analyse
from dubflow.speech.codecs.world.normalisation import active
from dubflow.speech.codecs.world.quantizer import kmeans, nearest

CEPSTRA = 24
BOOK = 64
_ITERATIONS = 8


@dataclass(frozen=True, eq=False)
class FrameBooks:
    """A book float32 ``[64, 24]`` for each of the speakers."""

    speakers: tuple[str, ...]
    books: tuple[NDArray[np.float32], ...]

    def scores(self, features: Features) -> NDArray[np.float64]:
        """Minus the mean squared distance of the spoken frames to each book ``[speakers]``: higher is more alike.

        Raises:
            BadInput: ``judging.nobody_speaks``.
        """
        frames = spoken_frames(features)
        if not len(frames):
            raise BadInput("judging.nobody_speaks", "Nobody speaks in this recording.", "Its voice cannot be judged.")
        return np.array([-float(nearest(frames, book)[1].mean()) for book in self.books])

    def nearest(self, features: Features) -> str:
        """The speaker whose book fits best."""
        return self.speakers[int(self.scores(features).argmax())]


def fit_frame_books(recordings: Mapping[str, Sequence[Features]], *, seed: int = 0) -> FrameBooks:
    """Books of speakers from recordings of each; the same recordings, order and seed give the same books.

    Raises:
        BadInput: ``judging.too_little_speech`` when a speaker has fewer spoken frames than a book has rows.
    """
    rng = np.random.default_rng(seed)
    books = []
    for speaker, many in recordings.items():
        frames = np.concatenate([spoken_frames(one) for one in many]) if many else np.zeros((0, CEPSTRA), np.float32)
        if len(frames) < BOOK:
            raise BadInput(
                "judging.too_little_speech",
                f"{speaker} speaks for {len(frames)} frames; a book needs {BOOK}.",
                "Give more recordings of this speaker.",
            )
        books.append(kmeans(frames, size=BOOK, iterations=_ITERATIONS, rng=rng))
    return FrameBooks(tuple(recordings), tuple(books))


def books_of_waveforms(recordings: Mapping[str, Sequence[NDArray[np.float32]]], *, seed: int = 0) -> FrameBooks:
    """:func:`fit_frame_books` of 16 kHz mono waveforms."""
    return fit_frame_books({who: [analyse(one) for one in many] for who, many in recordings.items()}, seed=seed)


def spoken_frames(features: Features) -> NDArray[np.float32]:
    """Cepstra 1 to 24 of the frames in which somebody speaks ``[n, 24]``."""
    return features.cepstrum[active(features), 1 : 1 + CEPSTRA].astype(np.float32)
