"""The sound of a plan, and when everything in it happens.

Sentences are spoken, brought to one loudness and laid on whole samples of the clip; the background's events are mixed
in from the first sample of their frames. The clip's length follows from the speech.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Final

import numpy as np
import numpy.typing as npt

from dubflow.corpora.manifest import Segment
from dubflow.errors import OurFault
from dubflow.speech.espeak import Synthesizer, Utterance
from dubflow.speech.intervals import Interval, filled, shifted
from dubflow.talkers.events import mix_events
from dubflow.talkers.scenes import FRAME_RATE, ClipPlan, Turn

Waveform = npt.NDArray[np.float32]

_SPEECH_RMS: Final = 0.08
_SPEECH_PEAK: Final = 0.85
_LEAD_S: Final = (0.28, 0.6)
_LEAST_LEAD_S: Final = 0.16
_TRAIL_S: Final = 0.28
_PAUSE_S: Final = (0.3, 0.55)
_MOST_HASTE: Final = 1.3
_MARGIN_S: Final = 0.01


@dataclass(frozen=True)
class SpokenTurn:
    """One turn on the clip's clock.

    Attributes:
        turn: what was planned.
        waveform: its sound alone, at the clip's rate; starts at ``first_sample`` of the clip.
        phones: from the first to the last sound; inner pauses have the label ``""``.
        stresses: one for each phone: 0 none, 1 primary, 2 secondary.
        words: one for each written word.
    """

    turn: Turn
    waveform: Waveform
    first_sample: int
    phones: tuple[Interval, ...]
    stresses: tuple[int, ...]
    words: tuple[Interval, ...]

    @property
    def start(self) -> float:
        """Seconds; start of the first phone."""
        return self.phones[0].start

    @property
    def end(self) -> float:
        """Seconds; end of the last phone."""
        return self.phones[-1].end


@dataclass(frozen=True)
class Soundtrack:
    """The whole sound of a clip: float32 ``[N]`` with ``N = frames * sample_rate / 25`` (nearest), and its turns."""

    waveform: Waveform
    sample_rate: int
    frames: int
    turns: tuple[SpokenTurn, ...]

    @property
    def duration(self) -> float:
        """Seconds."""
        return self.frames / FRAME_RATE

    def voice_of(self, person: int) -> Waveform:
        """What one person says, alone, over the whole clip ``[N]``."""
        alone = np.zeros_like(self.waveform)
        for spoken in self.turns:
            if spoken.turn.person == person:
                alone[spoken.first_sample : spoken.first_sample + len(spoken.waveform)] += spoken.waveform
        return alone

    def phones_of(self, person: int | None = None) -> tuple[Interval, ...]:
        """Phones of one person (or of all) over the whole clip, without gaps; silence has the label ``""``."""
        spoken = (one.phones for one in self.turns if person is None or one.turn.person == person)
        return tuple(filled([phone for phones in spoken for phone in phones], self.duration))

    def stresses(self) -> tuple[int, ...]:
        """Stress of each of :meth:`phones_of` everybody; 0 for silence."""
        spoken = (
            stress for one in self.turns for phone, stress in zip(one.phones, one.stresses, strict=True) if phone.label
        )
        return tuple(next(spoken) if phone.label else 0 for phone in self.phones_of())

    def words(self) -> tuple[Interval, ...]:
        """Words of all turns, in order."""
        return tuple(word for spoken in self.turns for word in spoken.words)

    def segments(self, plan: ClipPlan) -> tuple[Segment, ...]:
        """Who speaks which language from when to when."""
        return tuple(
            Segment(
                start=spoken.start,
                end=spoken.end,
                speaker=plan.people[spoken.turn.person].speaker,
                language=spoken.turn.script.language,
                text=spoken.turn.script.text,
            )
            for spoken in self.turns
        )


@dataclass(frozen=True)
class _Speech:
    """A turn before it has a place; seconds count from the first phone, ``margin`` samples into the waveform."""

    turn: Turn
    waveform: Waveform
    margin: int
    phones: tuple[Interval, ...]
    stresses: tuple[int, ...]
    words: tuple[Interval, ...]

    @property
    def seconds(self) -> float:
        return self.phones[-1].end


def soundtrack(plan: ClipPlan, synthesizer: Synthesizer) -> Soundtrack:
    """Speak and mix a plan. Equal plans give equal bytes.

    A GRID command that would not fit its 75 frames starts earlier, then is spoken up to 1.3 times as fast, and only
    then lengthens its clip. Free sentences lengthen it at once.
    """
    speeches = [_speech(plan, turn, synthesizer) for turn in plan.turns]
    if plan.is_grid and len(speeches) == 1:
        room = plan.least_frames / FRAME_RATE - _LEAST_LEAD_S - _TRAIL_S
        haste = min(_MOST_HASTE, 1.04 * speeches[0].seconds / room)
        if speeches[0].seconds > room:
            speeches = [_speech(plan, plan.turns[0], synthesizer, haste)]
    rng = np.random.default_rng([plan.seed, 0x50])
    starts, frames = (
        _switch_places(plan, speeches, rng) if plan.kind == "language_switch" else _places(plan, speeches, rng)
    )
    spoken = tuple(_placed(speech, start, plan.sample_rate) for speech, start in zip(speeches, starts, strict=True))
    dry = np.zeros(round(Fraction(frames * plan.sample_rate, FRAME_RATE)), dtype=np.float32)
    for one in spoken:
        dry[one.first_sample : one.first_sample + len(one.waveform)] += one.waveform
    events = [event.sound_event() for event in plan.events]
    return Soundtrack(
        waveform=mix_events(dry, events, plan.sample_rate, Fraction(FRAME_RATE), plan.seed, gain=0.7),
        sample_rate=plan.sample_rate,
        frames=frames,
        turns=spoken,
    )


def _speech(plan: ClipPlan, turn: Turn, synthesizer: Synthesizer, haste: float = 1.0) -> _Speech:
    voice = plan.people[turn.person].voice.speaking(turn.script.language, haste)
    utterance = synthesizer.synthesize(turn.script.spoken, voice)
    sounding = [phone for phone in utterance.phones if phone.label]
    if not sounding:
        raise OurFault("talkers.nothing_spoken", f"espeak-ng said nothing for {turn.script.text!r}.")
    first, last = sounding[0].start, sounding[-1].end
    waveform, margin = _cut(utterance, first, last, plan.sample_rate)
    return _Speech(
        turn=turn,
        waveform=waveform,
        margin=margin,
        phones=tuple(_within(utterance.phones, first, last)),
        stresses=tuple(
            stress
            for phone, stress in zip(utterance.phones, utterance.stresses, strict=True)
            if _lies_within(phone, first, last)
        ),
        words=_written(turn, _within(utterance.words, first, last)),
    )


def _cut(utterance: Utterance, first: float, last: float, sample_rate: int) -> tuple[Waveform, int]:
    """The sound from ``first`` to ``last`` (s) with a little around it, and how many samples lie before ``first``."""
    import soxr

    sound = soxr.resample(utterance.waveform, utterance.sample_rate, sample_rate, quality="VHQ").astype(np.float32)
    onset = round(first * sample_rate)
    start = max(0, onset - round(_MARGIN_S * sample_rate))
    sound = sound[start : round((last + _MARGIN_S) * sample_rate)]
    loudness = float(np.sqrt(np.mean(np.square(sound))))
    peak = float(np.abs(sound).max())
    gain = min(_SPEECH_RMS / max(loudness, 1e-6), _SPEECH_PEAK / max(peak, 1e-6))
    return np.asarray(sound * np.float32(gain), dtype=np.float32), onset - start


def _within(intervals: Iterable[Interval], first: float, last: float) -> list[Interval]:
    """Intervals of positive length inside ``first`` to ``last``, counted from ``first``."""
    return [
        Interval(start=max(0.0, one.start - first), end=min(one.end, last) - first, label=one.label)
        for one in intervals
        if _lies_within(one, first, last)
    ]


def _lies_within(interval: Interval, first: float, last: float) -> bool:
    return interval.end > interval.start and interval.start < last and interval.end > first


def _written(turn: Turn, spoken: Sequence[Interval]) -> tuple[Interval, ...]:
    """The spoken words under their written labels."""
    labels = turn.script.words
    if len(labels) != len(spoken):
        raise OurFault(
            "talkers.words_lost",
            f"{turn.script.text!r} has {len(labels)} words, {len(spoken)} were spoken.",
            "Report the sentence; its spelling for the synthesiser needs a correction.",
        )
    return tuple(Interval(start=w.start, end=w.end, label=label) for w, label in zip(spoken, labels, strict=True))


def _places(plan: ClipPlan, speeches: Sequence[_Speech], rng: np.random.Generator) -> tuple[list[float], int]:
    """Start of each speech (s), one after the other, and the clip's length in frames."""
    pauses = rng.uniform(*_PAUSE_S, len(speeches) - 1)
    lead = float(rng.uniform(*_LEAD_S))
    needed = sum(speech.seconds for speech in speeches) + float(pauses.sum()) + _TRAIL_S
    least = plan.least_frames / FRAME_RATE
    if plan.is_grid and len(speeches) == 1:
        lead = max(_LEAST_LEAD_S, min(lead, least - needed))
    starts: list[float] = []
    now = lead
    for number, speech in enumerate(speeches):
        starts.append(now)
        now += speech.seconds + (float(pauses[number]) if number < len(pauses) else 0.0)
    return starts, max(plan.least_frames, math.ceil((now + _TRAIL_S) * FRAME_RATE - 1e-9))


def _switch_places(plan: ClipPlan, speeches: Sequence[_Speech], rng: np.random.Generator) -> tuple[list[float], int]:
    """Each speech in its half of ``8k + 1`` frames, at least half the gap away from the middle."""
    before, after = speeches
    lead = float(rng.uniform(*_LEAD_S))
    half_gap = plan.switch_gap_s / 2
    longest = max(lead + before.seconds + half_gap, half_gap + after.seconds + _TRAIL_S)
    least = math.ceil(max(longest * FRAME_RATE, plan.least_frames / 2))
    half = 8 * math.ceil((least - 1) / 8) + 1
    middle = half / FRAME_RATE
    return [lead, middle + half_gap], 2 * half


def _placed(speech: _Speech, start: float, sample_rate: int) -> SpokenTurn:
    onset = math.ceil(start * sample_rate)  # never nearer to what comes before than was asked for
    phones, words = (tuple(shifted(one, onset / sample_rate)) for one in (speech.phones, speech.words))
    return SpokenTurn(speech.turn, speech.waveform, onset - speech.margin, phones, speech.stresses, words)
