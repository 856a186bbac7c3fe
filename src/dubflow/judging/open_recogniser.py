"""English sentences by PocketSphinx's bundled model and its own language model, without a grammar.

It is weak: of clear sentences of the embedded world it gets between a fifth and two thirds of the words wrong,
depending on the voice, and it leans on its language model where it cannot hear. So its rates tell systems apart on the
same clips and say little by themselves; commands of the GRID corpus are for
:class:`~dubflow.judging.grid_recogniser.GridRecogniser`.
"""

from __future__ import annotations

from importlib.metadata import version

import numpy as np
from numpy.typing import NDArray

from dubflow.judging.sphinx import hear_with, new_decoder


class OpenRecogniser:
    """PocketSphinx with its large vocabulary; implements :class:`dubflow.judging.recogniser.Recogniser`.

    Raises:
        WrongUse: ``install.missing_extra``.
    """

    def __init__(self, *, noise_seed: int = 0) -> None:
        self._seed = noise_seed
        self._decoder = new_decoder()

    @property
    def id(self) -> str:
        """``open-pocketsphinx-`` and its version; what is done to the audio is version 1."""
        return f"open-pocketsphinx-{version('pocketsphinx')}-1"

    def hear(self, waveform: NDArray[np.float32]) -> str:
        """Words of an English utterance; empty where none were made out.

        Raises:
            BadInput: ``judging.bad_waveform``.
        """
        return hear_with(self._decoder, waveform, noise_seed=self._seed)
