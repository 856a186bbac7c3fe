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

from dubflow.speech.inventory import PHONES, PLOSIVES, VOWELS, normalised

SHORTEST_PAUSE_S = 0.05
LONGEST_CLOSURE_S = 0.08
SHORTEST_PHONE_S = 0.008
SHARE_OF_NEIGHBOUR = 1 / 3


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
        silence_starts = 0
        if cover:
            cover[-1].end = silence_starts = sound_ends
        if begins > silence_starts:
            cover.append(TimedPhone("", 0, phone.position, silence_starts, begins))
        phone.start = begins
        cover.append(phone)
        now = begins
    last_sound = _end_of_sound(silent, now, len(samples))
    if cover:
        cover[-1].end = last_sound
    if last_sound < len(samples) or not cover:
        cover.append(TimedPhone("", 0, -1, last_sound if cover else 0, len(samples)))
    _give_time(cover, round(SHORTEST_PHONE_S * sample_rate))
    return _split_sequences(cover)


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
        if len(symbols) > 1 and phones and (symbols[0], mark.position) == (phones[-1].symbol, phones[-1].position):
            symbols = symbols[1:]  # a sequence that begins with the phone just named goes on from it
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


def _give_time(cover: list[TimedPhone], shortest: int) -> None:
    """Phones that were marked without any time of their own get a third of a neighbour of their word.

    espeak-ng speaks a final ``l`` and some glides within the vowel beside them and marks them where that ends or
    begins: a phone with a follower in its word shares the follower's time, a last one that of the phone before.
    """
    for index, phone in enumerate(cover):
        if not phone.symbol or phone.end - phone.start >= shortest:
            continue
        before, after = cover[index - 1 : index], cover[index + 1 : index + 2]
        if after and after[0].symbol and after[0].position == phone.position:
            share = round((after[0].end - after[0].start) * SHARE_OF_NEIGHBOUR)
            after[0].start = phone.end = phone.end + share
        elif before and before[0].symbol and before[0].position == phone.position:
            share = round((before[0].end - before[0].start) * SHARE_OF_NEIGHBOUR)
            before[0].end = phone.start = phone.start - share


def _split_sequences(cover: list[TimedPhone]) -> list[TimedPhone]:
    """Events that stood for several phones become that many, of equal length; their stress is the vowel's."""
    result: list[TimedPhone] = []
    for phone in cover:
        symbols = phone.symbol.split(" ")
        edges = np.linspace(phone.start, phone.end, len(symbols) + 1).round().astype(int)
        for symbol, (start, end) in zip(symbols, pairwise(edges), strict=True):
            stress = phone.stress if len(symbols) == 1 or symbol in VOWELS else 0
            result.append(TimedPhone(symbol, stress, phone.position, int(start), int(end)))
    return result
