"""Clips of a corpus as the phone recogniser learns from them and is measured by them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dubflow.corpora.manifest import ClipRow, CorpusManifest, Split
from dubflow.errors import BadInput
from dubflow.judging.phone_judge.facts import PHONE_SYMBOLS, TrainedVoice
from dubflow.judging.recogniser import SAMPLE_RATE
from dubflow.media.decode import read_audio
from dubflow.parallel import map_unordered

_CLASS_OF = {symbol: number for number, symbol in enumerate(PHONE_SYMBOLS, 1)}


@dataclass(frozen=True, eq=False)
class SpokenClip:
    """A clip of one speaker and language.

    Attributes:
        waveform: 16 kHz mono, 16-bit integers ``[N]`` (thousands of clips are held).
        phones: symbols without the silences, ``[n]``.
        starts, ends: their times in seconds, ``[n]``.
    """

    id: str
    language: str
    waveform: NDArray[np.int16]
    phones: tuple[str, ...]
    starts: NDArray[np.float64]
    ends: NDArray[np.float64]

    @property
    def samples(self) -> NDArray[np.float32]:
        """The waveform in -1..1."""
        return self.waveform.astype(np.float32) / 32768

    @property
    def classes(self) -> NDArray[np.int64]:
        """Classes of the phones, from 1."""
        return np.array([_CLASS_OF[symbol] for symbol in self.phones], np.int64)


def read_spoken(corpus: CorpusManifest, split: Split, *, workers: int | None = None) -> list[SpokenClip]:
    """Clips of a split that have a language and phones of the inventory, by id.

    Raises:
        BadInput: ``judging.nothing_to_judge`` without any such clip.
    """
    rows = [row for row in corpus if row.split == split and row.language and usable_phones(row)]
    if not rows:
        raise BadInput(
            "judging.nothing_to_judge",
            f"{corpus.root} has no clip with phones in its split {split!r}.",
            "Render one: dubflow talkers render --voices-only.",
        )
    read = partial(_read, root=corpus.root)
    return sorted((clip for _, clip in map_unordered(read, rows, workers=workers)), key=lambda clip: clip.id)


def usable_phones(row: ClipRow) -> bool:
    """Whether a row says which phones are spoken, and all are known."""
    spoken = [phone.label for phone in row.phones if phone.label]
    return bool(spoken) and all(label in _CLASS_OF for label in spoken)


def voices_in(corpus: CorpusManifest, splits: Sequence[Split]) -> tuple[TrainedVoice, ...]:
    """Voices of the embedded world that speak in those splits, each once.

    Raises:
        BadInput: ``judging.unknown_voice`` for a clip that does not say who speaks it.
    """
    found: set[tuple[str, int]] = set()
    for row in corpus:
        if row.split in splits:
            found |= {_variant_and_pitch(person, row.id) for person in _people(row)}
    return tuple(TrainedVoice(variant=variant, pitch=pitch) for variant, pitch in sorted(found))


def symbol_counts(clips: Sequence[SpokenClip]) -> Counter[str]:
    """How often each phone is spoken."""
    return Counter(symbol for clip in clips for symbol in clip.phones)


def _people(row: ClipRow) -> list[Mapping[str, Any]]:
    people = row.source.get("plan", {}).get("people", [])
    if not people:
        raise BadInput(
            "judging.unknown_voice",
            f"The clip {row.id} does not say whose voice it has.",
            "Train on a corpus of the embedded world: dubflow talkers render --voices-only.",
        )
    return list(people)


def _variant_and_pitch(person: Mapping[str, Any], clip: str) -> tuple[str, int]:
    try:
        return str(person["voice"]["variant"]), int(person["voice"]["pitch"])
    except (KeyError, TypeError, ValueError) as error:
        raise BadInput(
            "judging.unknown_voice", f"The clip {clip} does not say whose voice it has.", "Render the corpus again."
        ) from error


def _read(row: ClipRow, *, root: Path) -> SpokenClip:
    audio = read_audio(root / row.path, SAMPLE_RATE)
    spoken = [phone for phone in row.phones if phone.label]
    return SpokenClip(
        id=row.id,
        language=row.language or "",
        waveform=np.clip(np.rint(audio * 32768), -32768, 32767).astype(np.int16),
        phones=tuple(phone.label for phone in spoken),
        starts=np.array([phone.start for phone in spoken]),
        ends=np.array([phone.end for phone in spoken]),
    )
