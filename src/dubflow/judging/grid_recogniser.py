"""Commands of the GRID corpus by PocketSphinx's bundled English model and GRID's own grammar.

A command is six words from six short lists (Cooke, Barker, Cunningham and Shao, 2006), so a small model of 2010's kind
hears it well: see ``docs/benchmarks.md``. What is done to the audio stands in :mod:`dubflow.judging.sphinx`.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from importlib.metadata import version

import numpy as np
from numpy.typing import NDArray

from dubflow.judging.content import normalised
from dubflow.judging.sphinx import hear_with, new_decoder
from dubflow.parallel import map_unordered

CHOICES: tuple[tuple[str, ...], ...] = (
    ("bin", "lay", "place", "set"),
    ("blue", "green", "red", "white"),
    ("at", "by", "in", "with"),
    tuple("abcdefghijklmnopqrstuvxyz"),
    ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"),
    ("again", "now", "please", "soon"),
)
"""What each of the six words of a command may be; no ``w``, the one letter whose name is long."""

_FEWEST_FOR_A_POOL = 24


def grammar() -> str:
    """GRID's commands in JSGF; the dictionary spells a letter's name with a point."""
    groups = ("|".join(f"{word}." if len(word) == 1 else word for word in choice) for choice in CHOICES)
    return "#JSGF V1.0;\ngrammar grid;\npublic <command> = " + " ".join(f"({group})" for group in groups) + ";\n"


def is_command(text: str | None) -> bool:
    """Whether a text is one of GRID's commands, which is all that this recogniser can hear."""
    words = normalised(text or "").split()
    return len(words) == len(CHOICES) and all(word in choice for word, choice in zip(words, CHOICES, strict=True))


class GridRecogniser:
    """PocketSphinx with GRID's grammar.

    Raises:
        WrongUse: ``install.missing_extra``.
    """

    def __init__(self, *, noise_seed: int = 0) -> None:
        self._seed = noise_seed
        self._decoder = new_decoder(lm=None)
        self._decoder.add_jsgf_string("grid", grammar())
        self._decoder.activate_search("grid")

    @property
    def id(self) -> str:
        """``grid-pocketsphinx-`` and its version; what is done to the audio is version 1."""
        return f"grid-pocketsphinx-{version('pocketsphinx')}-1"

    def hear(self, waveform: NDArray[np.float32]) -> str:
        """Words of a command, at most six; empty where the grammar fits nothing.

        Raises:
            BadInput: ``judging.bad_waveform``.
        """
        return hear_with(self._decoder, waveform, noise_seed=self._seed)


def hear_commands(waveforms: Sequence[NDArray[np.float32]], *, workers: int | None = None) -> list[str]:
    """What :class:`GridRecogniser` hears in each; many are heard in a pool of processes (``workers=1``: here)."""
    if len(waveforms) < _FEWEST_FOR_A_POOL:
        workers = 1
    jobs = [_Job(index, waveform) for index, waveform in enumerate(waveforms)]
    heard = {index: words for _, (index, words) in map_unordered(_hear, jobs, workers=workers)}
    return [heard[index] for index in range(len(jobs))]


class _Job:
    def __init__(self, index: int, waveform: NDArray[np.float32]) -> None:
        self.index, self.waveform = index, waveform


@cache
def _own_recogniser() -> GridRecogniser:
    return GridRecogniser()


def _hear(job: _Job) -> tuple[int, str]:
    return job.index, _own_recogniser().hear(job.waveform)
