"""From espeak-ng's events and samples to phones that cover the audio.

An event marks where a phone's sound begins. Two things are missing, and the samples tell them, because espeak-ng writes
exact zeros where nothing sounds: the closure of a stop lies *before* its event, in the time of the phone before (a lip
that closes for ``p`` closes there), and pauses end phones early. Nameless events with sound belong to the phone they
prepare (the onset of a trill).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from dubflow.speech.inventory import PHONES, PLOSIVES, normalised

SHORTEST_PAUSE_S = 0.05
LONGEST_CLOSURE_S = 0.08


@dataclass(frozen=True)
class Mark:
    """One phoneme event: where its sound begins (sample), espeak-ng's name, position in the text (from 0)."""

    sample: int
    name: str
    position: int


@dataclass
class TimedPhone:
    """A phone of the inventory (or a silence, ``symbol == ""``) over samples ``start..end``."""

    symbol: str
    stress: int
    position: int
    start: int
    end: int


def timed_phones(
    marks: Sequence[Mark],
    samples: NDArray[np.int16],
    sample_rate: int,
    language: str,
    *,
    slowness: float = 1.0,
    closures_from: NDArray[np.int16] | None = None,
) -> list[TimedPhone]:
    """Contiguous phones and silences over all ``samples``.

    Args:
        marks: phoneme events in order. samples: int16 ``[N]``. language: chooses the spelling of symbols.
        slowness: how much longer than usual speech is, for the longest closure.
        closures_from: int16 ``[M]`` of the same events without echo, when ``samples`` have one.

    Silence within a word belongs to the phone after it. Between words, pauses of at least 50 ms become silences, but
    for the closure of a stop that follows (80 ms times ``slowness``); shorter ones belong to the phone after them.
    """
    silent = (samples if closures_from is None else closures_from) == 0
    phones = _named(_sorted(marks, len(samples)), silent, len(samples), language)
    shortest = round(SHORTEST_PAUSE_S * sample_rate)
    longest_closure = round(LONGEST_CLOSURE_S * slowness * sample_rate)
    cover: list[TimedPhone] = []
    now = 0
    for phone in phones:
        sound_ends = _end_of_sound(silent, now, phone.start)
        gap = phone.start - sound_ends
        same_word = bool(cover) and cover[-1].position == phone.position
        onset = longest_closure if phone.symbol in PLOSIVES else 0
        begins = sound_ends if same_word or gap - onset < shortest else phone.start - onset
        if cover:
            cover[-1].end = sound_ends
        if begins > sound_ends:
            cover.append(TimedPhone("", 0, phone.position, sound_ends, begins))
        phone.start = begins
        cover.append(phone)
        now = begins
    last_sound = _end_of_sound(silent, now, len(samples))
    if cover:
        cover[-1].end = last_sound
    if last_sound < len(samples) or not cover:
        cover.append(TimedPhone("", 0, -1, last_sound if cover else 0, len(samples)))
    return _split_sequences(cover, language)


def _sorted(marks: Sequence[Mark], total: int) -> list[Mark]:
    """Marks within the audio and never going back."""
    ordered: list[Mark] = []
    floor = 0
    for mark in marks:
        floor = min(max(floor, mark.sample), total)
        ordered.append(Mark(floor, mark.name, mark.position))
    return ordered


def _named(marks: list[Mark], silent: NDArray[np.bool_], total: int, language: str) -> list[TimedPhone]:
    """Marks that name a phone; nameless ones with sound are joined to the phone they prepare or prolong."""
    phones: list[TimedPhone] = []
    onset: int | None = None
    for index, mark in enumerate(marks):
        end = marks[index + 1].sample if index + 1 < len(marks) else total
        symbols, stress = normalised(mark.name, language)
        if symbols == ["ʲ"]:
            # A glide of its own after a consonant: the consonant's palatalisation, where it can have one.
            if phones and phones[-1].symbol + "ʲ" in PHONES:
                phones[-1].symbol += "ʲ"
                continue
            symbols = ["j"]
        if not symbols:
            sounds = end > mark.sample and not silent[mark.sample : end].any()
            same_word_follows = index + 1 < len(marks) and marks[index + 1].position == mark.position
            if sounds and same_word_follows and onset is None:
                onset = mark.sample
            continue
        start = mark.sample if onset is None else onset
        onset = None
        phones.append(TimedPhone(" ".join(symbols), stress, mark.position, start, end))
    return phones


def _end_of_sound(silent: NDArray[np.bool_], start: int, end: int) -> int:
    """Where the zeros that fill the tail of ``start..end`` begin."""
    sounding = np.flatnonzero(~silent[start:end])
    return start + int(sounding[-1]) + 1 if sounding.size else start


def _split_sequences(cover: list[TimedPhone], language: str) -> list[TimedPhone]:
    """Events that stood for several phones become that many, of equal length."""
    result: list[TimedPhone] = []
    for phone in cover:
        symbols = phone.symbol.split(" ")
        edges = np.linspace(phone.start, phone.end, len(symbols) + 1).round().astype(int)
        for symbol, (start, end) in zip(symbols, pairwise(edges), strict=True):
            result.append(TimedPhone(symbol, phone.stress, phone.position, int(start), int(end)))
    return result
