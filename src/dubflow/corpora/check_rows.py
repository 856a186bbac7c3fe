"""What a manifest alone tells: times, order, splits, licences, languages, and whether transcripts fit their clips."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise

from dubflow.corpora.findings import Finding
from dubflow.corpora.listing import ISO_639_1
from dubflow.corpora.manifest import ClipRow, CorpusManifest
from dubflow.corpora.settings import CheckSettings
from dubflow.corpora.splits import speakers_of
from dubflow.speech.intervals import Interval


def check_rows(manifest: CorpusManifest, settings: CheckSettings) -> Iterator[Finding]:
    """Findings of every row, and of rows together."""
    for row in manifest:
        yield from _times(row, settings.time_tolerance_s)
        yield from _facts(row)
        yield from _pace(row, settings)
    yield from _crossing_speakers(manifest)


def _times(row: ClipRow, tolerance: float) -> Iterator[Finding]:
    end = row.duration + tolerance
    yield from _intervals(row, "word", row.words, end)
    yield from _intervals(row, "phone", row.phones, end)
    for segment in row.segments:
        if not segment.start <= segment.end <= end:
            message = f"A segment runs from {segment.start:.3f} to {segment.end:.3f} s of {row.duration:.3f} s."
            yield Finding("corpora.segment_outside", "error", row.id, message)
    for event in row.events:
        if event.time > end or (row.frames is not None and event.frame >= row.frames):
            message = f"{event.kind} at frame {event.frame} ({event.time:.3f} s) of {row.frames} frames."
            yield Finding("corpora.event_outside", "error", row.id, message)


def _intervals(row: ClipRow, kind: str, intervals: Sequence[Interval], end: float) -> Iterator[Finding]:
    for interval in intervals:
        if interval.end > end:
            message = f"The {kind} {interval.label!r} ends at {interval.end:.3f} s, the clip at {row.duration:.3f} s."
            yield Finding(f"corpora.{kind}_outside", "error", row.id, message)
    for before, after in pairwise(intervals):
        # Times come from other programs' rounding; a microsecond is no overlap.
        if after.start < before.end - 1e-6:
            message = f"The {kind} {after.label!r} starts at {after.start:.3f} s, before {before.label!r} ends."
            yield Finding(f"corpora.{kind}s_overlap", "error", row.id, message)


def _facts(row: ClipRow) -> Iterator[Finding]:
    if row.licence is None:
        yield Finding("corpora.licence_unknown", "error", row.id, "Nothing says under which licence it is.")
    if row.speaker is None and not row.segments:
        yield Finding("corpora.speaker_unknown", "warning", row.id, "Splits cannot keep its speaker apart.")
    languages = {segment.language for segment in row.segments} | ({row.language} if row.language else set())
    if not languages:
        yield Finding("corpora.language_unknown", "warning", row.id, "Nothing says which language is spoken.")
    for language in sorted(languages):
        if language not in ISO_639_1:
            yield Finding("corpora.language_code", "error", row.id, f"{language!r} is no known ISO 639-1 code.")
    if row.transcript is None:
        yield Finding("corpora.transcript_unknown", "warning", row.id, "Nothing says what is spoken.")


def _pace(row: ClipRow, settings: CheckSettings) -> Iterator[Finding]:
    """Characters a second of speech; a transcript of another clip mostly shows here."""
    characters = len((row.transcript or "").strip())
    seconds = _speech_seconds(row)
    if characters == 0 or seconds <= 0:
        return
    least, most = settings.characters_per_second.get(row.language or "", settings.default_band)
    pace = characters / seconds
    if not least <= pace <= most:
        message = (
            f"{characters} characters in {seconds:.2f} s of speech are {pace:.1f} a second, not {least} to {most}."
        )
        yield Finding("corpora.transcript_length", "error", row.id, message)


def _speech_seconds(row: ClipRow) -> float:
    """From the first word to the last where words are known, else the whole clip."""
    spoken = [word for word in row.words if not word.silent]
    return spoken[-1].end - spoken[0].start if spoken else row.duration


def _crossing_speakers(rows: Iterable[ClipRow]) -> Iterator[Finding]:
    splits: dict[str, dict[str, str]] = defaultdict(dict)
    for row in rows:
        for speaker in speakers_of(row):
            if row.split is not None:
                splits[speaker].setdefault(row.split, row.id)
    for speaker, first in sorted(splits.items()):
        if len(first) > 1:
            where = ", ".join(f"{split} ({clip})" for split, clip in sorted(first.items()))
            message = f"Speaker {speaker!r} stands in {where}."
            yield Finding("corpora.speaker_crosses_splits", "error", min(first.values()), message)
