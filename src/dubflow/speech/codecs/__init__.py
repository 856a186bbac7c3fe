"""What every speech codec here speaks: factorised tokens on an 80-a-second grid.

The layout is FACodec's (NaturalSpeech 3, section 3.2): one prosody book, two content books, three books of acoustic
detail, each of 1024 entries, and one speaker vector an utterance. The implementations are modules of this package.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Protocol
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from dubflow.atomic import atomic_file
from dubflow.errors import BadInput

BOOK_SIZE = 1024


@dataclass(frozen=True, eq=False)
class Tokens:
    """Codec tokens of one utterance of ``L`` token times.

    Attributes:
        prosody: int64 ``[1, L]``. content: int64 ``[2, L]``. acoustic: int64 ``[3, L]``; all within 0..1023.
        speaker: float32 ``[D]``, finite.

    Integer arrays of any width are taken and widened.

    Raises:
        BadInput: ``speech.bad_tokens`` when a shape, a type, a range or a length is wrong.
    """

    prosody: NDArray[np.int64]
    content: NDArray[np.int64]
    acoustic: NDArray[np.int64]
    speaker: NDArray[np.float32]

    BOOKS: ClassVar[Mapping[str, int]] = {"prosody": 1, "content": 2, "acoustic": 3}

    def __post_init__(self) -> None:
        lengths = set()
        for name, books in self.BOOKS.items():
            codes = np.asarray(getattr(self, name))
            if codes.ndim != 2 or codes.shape[0] != books or not np.issubdtype(codes.dtype, np.integer):
                raise _bad(f"{name} must be integers of shape [{books}, L], not {codes.dtype} {list(codes.shape)}")
            if codes.size and (codes.min() < 0 or codes.max() >= BOOK_SIZE):
                raise _bad(f"{name} holds codes outside 0..{BOOK_SIZE - 1} ({codes.min()} to {codes.max()})")
            lengths.add(codes.shape[1])
            object.__setattr__(self, name, codes.astype(np.int64))
        if len(lengths) != 1:
            raise _bad(f"the books differ in length: {sorted(lengths)}")
        speaker = np.asarray(self.speaker)
        if speaker.ndim != 1 or not np.issubdtype(speaker.dtype, np.floating) or not np.isfinite(speaker).all():
            raise _bad(f"speaker must be finite floats of shape [D], not {speaker.dtype} {list(speaker.shape)}")
        object.__setattr__(self, "speaker", speaker.astype(np.float32))

    def __len__(self) -> int:
        return int(self.prosody.shape[1])

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Tokens):
            return NotImplemented
        return all(np.array_equal(getattr(self, name), getattr(other, name)) for name in (*self.BOOKS, "speaker"))

    __hash__ = None  # type: ignore[assignment]

    def save_npz(self, path: Path) -> None:
        """Write the arrays ``prosody``, ``content``, ``acoustic`` (int16) and ``speaker`` (float32), atomically."""
        with atomic_file(path) as part, open(part, "wb") as file:
            codes = {name: getattr(self, name).astype(np.int16) for name in self.BOOKS}
            np.savez(file, **codes, speaker=self.speaker)


def load_npz(path: Path) -> Tokens:
    """Read what :meth:`Tokens.save_npz` wrote; pickled objects are refused.

    Raises:
        BadInput: ``speech.bad_tokens``.
    """
    try:
        with np.load(path, allow_pickle=False) as arrays:
            unexpected = set(arrays.files) ^ {*Tokens.BOOKS, "speaker"}
            if unexpected:
                raise _bad(f"{Path(path).name} lacks, or has besides, the arrays {sorted(unexpected)}")
            return Tokens(**{name: arrays[name] for name in arrays.files})
    except (OSError, ValueError, EOFError, BadZipFile, TypeError, AttributeError) as error:
        raise _bad(f"{Path(path).name} cannot be read as an .npz of tokens ({error})") from error


class Codec(Protocol):
    """Turns speech into tokens and back."""

    @property
    def id(self) -> str:
        """Name, version and digest of the weights; part of every cache key."""

    def encode(self, waveform: NDArray[np.float32]) -> Tokens:
        """Tokens of a 16 kHz mono waveform ``[N]`` in -1..1; ``L = ceil(N / 200)``."""

    def decode(self, tokens: Tokens) -> NDArray[np.float32]:
        """A 16 kHz mono waveform ``[200 L]`` in -1..1."""


def _bad(problem: str) -> BadInput:
    return BadInput("speech.bad_tokens", f"These are not codec tokens: {problem}.", "Encode the audio again.")
