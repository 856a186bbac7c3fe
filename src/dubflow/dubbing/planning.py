"""From texts with times to segments of whole frames, each judged: can this be said there?

Frames are those of 25 a second that the engines see. A segment is wider than its subtitle by a margin, where nobody
else speaks: subtitles start when speech does, and an engine needs the moment before.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

from dubflow.diflow.inference.items import Ids
from dubflow.diflow.inference.written import written
from dubflow.dubbing.request import DubOptions, SegmentText
from dubflow.errors import BadInput
from dubflow.media.subtitles import read_subtitle_file
from dubflow.speech.durations import FRAME_RATE
from dubflow.speech.inventory import SILENCE_ID

_TOLERANCE_S = 0.04
_WHOLE = -1.0


@dataclass(frozen=True, eq=False)
class PlannedSegment:
    """What is said in frames ``first`` to ``stop`` (half-open).

    Attributes:
        text: as written.
        phonemes, stress: ``[N]``, silence around them.
        notices: what had to be decided, one sentence each.
    """

    text: str
    first: int
    stop: int
    phonemes: Ids
    stress: Ids
    notices: tuple[str, ...] = ()

    @property
    def frames(self) -> int:
        """How many frames it has."""
        return self.stop - self.first

    @property
    def start(self) -> float:
        """Seconds of the clip."""
        return self.first / FRAME_RATE

    @property
    def end(self) -> float:
        """Seconds of the clip."""
        return self.stop / FRAME_RATE

    @property
    def phones(self) -> int:
        """Phones without silence."""
        return int((self.phonemes != SILENCE_ID).sum())

    @property
    def pace(self) -> float:
        """Phones a second of the segment."""
        return self.phones * FRAME_RATE / self.frames


@dataclass(frozen=True)
class Plan:
    """Segments in order, what was noticed about the request as a whole, and the clip's exact seconds."""

    segments: tuple[PlannedSegment, ...]
    notices: tuple[str, ...]
    duration: Fraction

    @property
    def frames(self) -> int:
        """Frames of the clip at 25 a second."""
        return frames_of(self.duration)


def frames_of(duration: Fraction) -> int:
    """Frames at 25 a second of a picture of ``duration`` seconds, as the reader counts them; at least 1."""
    return max(1, int(duration * FRAME_RATE + Fraction(1, 2)))


def texts_of_subtitles(path: Path) -> tuple[tuple[SegmentText, ...], tuple[str, ...]]:
    """Segments of an SRT or WebVTT file, one a cue, and what the reader noticed.

    Raises:
        BadInput: what the reader says; ``dubbing.nothing_to_say`` for a file without a cue that has text.
    """
    subtitles = read_subtitle_file(path)
    if not subtitles.cues:
        raise BadInput("dubbing.nothing_to_say", f"{path.name} has no cue with text.", "Give subtitles with text.")
    cues = tuple(SegmentText(text=" ".join(cue.text.split()), start=cue.start, end=cue.end) for cue in subtitles.cues)
    return cues, tuple(f"{path.name}: {notice}" for notice in subtitles.notices)


def plan_segments(texts: Sequence[SegmentText], language: str, duration: Fraction, options: DubOptions) -> Plan:
    """Lay texts into a clip of ``duration`` seconds.

    Raises:
        BadInput: ``dubbing.cue_outside`` for a cue that starts after the clip's end, ``dubbing.cues_overlap``,
            ``dubbing.text_too_long`` for more phones a second than ``options`` allow, ``dubbing.nothing_to_say`` when
            no text has a sound.
        WrongUse: ``speech.unknown_language``.
    """
    total = frames_of(duration)
    notices: list[str] = []
    spoken: list[tuple[SegmentText, Ids, Ids]] = []
    for one in sorted(texts, key=lambda text: _WHOLE if text.start is None else text.start):
        try:
            spoken.append((one, *written(one.text, language)))
        except BadInput as error:
            if error.code != "diflow.nothing_to_say":
                raise
            notices.append(f"{_named(one)} has nothing that can be spoken and is left out")
    if not spoken:
        raise BadInput("dubbing.nothing_to_say", "No text of this request can be spoken.", "Give words.")
    spans = _spans([one for one, _, _ in spoken], float(duration), total, options.margin_s, notices)
    segments = [
        _judged(PlannedSegment(one.text, *span, phonemes, stress), options)
        for (one, phonemes, stress), span in zip(spoken, spans, strict=True)
    ]
    return Plan(tuple(segments), tuple(notices), duration)


def _spans(
    texts: Sequence[SegmentText], duration: float, total: int, margin_s: float, notices: list[str]
) -> list[tuple[int, int]]:
    """Frames of each text, ``[first, stop)``, not overlapping."""
    times: list[tuple[float, float]] = []
    for one in texts:
        if one.start is None or one.end is None:
            return [(0, total)]
        if one.start >= duration:
            raise BadInput(
                "dubbing.cue_outside",
                f"{_named(one)} starts after the clip's end ({duration:.2f} s).",
                "Take the subtitles of this clip, or cut them to it.",
            )
        if one.end > duration + _TOLERANCE_S:
            notices.append(f"{_named(one)} ends after the clip and is cut to it")
        if times and one.start < times[-1][1] - _TOLERANCE_S:
            raise BadInput(
                "dubbing.cues_overlap",
                f"{_named(one)} starts before the one before it ends ({times[-1][1]:.2f} s).",
                "One voice says one thing at a time: separate the cues.",
            )
        times.append((one.start, min(one.end, duration)))
    edges = [0.0, *(t for pair in times for t in pair), duration]
    spans = []
    for number, (start, end) in enumerate(times):
        before, after = edges[2 * number], edges[2 * number + 3]
        # Between two cues each gets its half of the gap at most; the clip's ends need no sharing.
        room_before = start - before if number == 0 else (start - before) / 2
        room_after = after - end if number == len(times) - 1 else (after - end) / 2
        first = start - min(margin_s, max(0.0, room_before))
        stop = end + min(margin_s, max(0.0, room_after))
        spans.append((round(first * FRAME_RATE), min(total, round(stop * FRAME_RATE))))
    return [
        (max(first, 0 if number == 0 else spans[number - 1][1]), stop) for number, (first, stop) in enumerate(spans)
    ]


def _judged(segment: PlannedSegment, options: DubOptions) -> PlannedSegment:
    """The segment with a notice where it must be spoken fast; refused where nobody could."""
    if segment.frames < 1 or segment.pace > options.most_phones_s:
        seconds = max(segment.frames, 0) / FRAME_RATE
        raise BadInput(
            "dubbing.text_too_long",
            f"{segment.text[:60]!r} has {segment.phones} phones for {seconds:.2f} s; {options.most_phones_s:g} a "
            "second is the most.",
            "Shorten the text or give it more time.",
            phones=segment.phones,
            seconds=seconds,
        )
    if segment.pace <= options.fast_phones_s:
        return segment
    notice = f"it must be spoken fast: {segment.pace:.1f} phones a second"
    return PlannedSegment(
        segment.text, segment.first, segment.stop, segment.phonemes, segment.stress, (*segment.notices, notice)
    )


def _named(one: SegmentText) -> str:
    text = one.text if len(one.text) <= 40 else one.text[:37] + "..."
    return f"The text {text!r}" if one.start is None else f"The cue at {one.start:.2f} s ({text!r})"
