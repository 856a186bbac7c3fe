"""What is asked for, item by item, and what comes back.

Letters: N phonemes, F frames at 25 a second, L tokens at 80 a second.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dubflow.errors import BadInput
from dubflow.speech.codecs import Tokens

Ids = NDArray[np.int64]
Floats = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Sentence:
    """A text to speak in the voice of a reference (stage 1).

    Attributes:
        phonemes: inventory ids ``[N]``, silence around it included.
        stress: 0 none, 1 primary, 2 secondary, ``[N]``.
        reference: codec tokens of the voice.
        speaker: ``[D_s]``; by default the reference's own.
        tokens: how long to speak, exactly; None leaves it to the network.
        seed: of this item; mixed with the settings' seed.

    Raises:
        BadInput: ``diflow.bad_item``.
    """

    phonemes: Ids
    stress: Ids
    reference: Tokens
    speaker: Floats | None = None
    tokens: int | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        check_text(self.phonemes, self.stress)
        if not len(self.reference):
            raise _bad("its reference has no tokens")
        if self.tokens is not None and self.tokens < 1:
            raise _bad(f"it cannot last {self.tokens} tokens")

    @property
    def voice(self) -> Floats:
        """The speaker vector to use ``[D_s]``."""
        return self.reference.speaker if self.speaker is None else self.speaker


@dataclass(frozen=True, eq=False)
class SilentClip:
    """A text to say to a silent picture (stage 2).

    Attributes:
        phonemes, stress: as of :class:`Sentence`.
        lips: features of lip crops ``[F, D_l]``.
        face: features of face crops ``[F, D_f]``.
        speaker: ``[D_s]``.
        reference: codec tokens of the voice; read where the network is prompted with their acoustics.
        seed: of this item; mixed with the settings' seed.

    Raises:
        BadInput: ``diflow.bad_item``.
    """

    phonemes: Ids
    stress: Ids
    lips: Floats
    face: Floats
    speaker: Floats
    reference: Tokens | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        check_text(self.phonemes, self.stress)
        if self.lips.ndim != 2 or self.face.ndim != 2 or len(self.lips) != len(self.face) or not len(self.lips):
            raise _bad(f"lips {list(self.lips.shape)} and face {list(self.face.shape)} are not features of one clip")
        if not (np.isfinite(self.lips).all() and np.isfinite(self.face).all()):
            raise _bad("its features are not finite")
        if self.reference is not None and not len(self.reference):
            raise _bad("its reference has no tokens")

    @property
    def frames(self) -> int:
        """F."""
        return len(self.lips)


@dataclass(frozen=True, eq=False)
class DubbedSpeech:
    """What was said, and what the network saw while planning it.

    Attributes:
        tokens: of ``L = ceil(16 F / 5)`` times, with the speaker vector asked for.
        frame_durations: frames of each phoneme ``[N]``, summing to F (0 where a phoneme shares its frame).
        video_map: A_VT, attention of frames to phonemes ``[F, N]``.
        speech_map: A_ST, attention of tokens to phonemes ``[L, N]``.
        crowded: whether there were more phonemes than frames.
    """

    tokens: Tokens
    frame_durations: Ids
    video_map: Floats
    speech_map: Floats
    crowded: bool


def check_text(phonemes: Ids, stress: Ids) -> None:
    """Refuse ids and stresses that do not belong together.

    Raises:
        BadInput: ``diflow.bad_item``.
    """
    if phonemes.ndim != 1 or phonemes.shape != stress.shape or not len(phonemes):
        raise _bad(f"phonemes {list(phonemes.shape)} and stresses {list(stress.shape)} are not those of one text")


def _bad(problem: str) -> BadInput:
    return BadInput("diflow.bad_item", f"This cannot be spoken: {problem}.", "Look at where the item was made.")
