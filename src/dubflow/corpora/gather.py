"""From a listing to rows: find each file, look into it, and account for everything that does not become a row."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from pydantic_core import PydanticSerializationError

from dubflow.corpora.listing import Listed, Listing, ReadOptions
from dubflow.corpora.manifest import ClipRow
from dubflow.corpora.result import Coverage, ImportResult, Problem, Trouble
from dubflow.errors import BadInput
from dubflow.parallel import map_unordered
from dubflow.progress import Progress, Silent

# Below this many files, starting worker processes costs more than they save.
_WORTH_WORKERS = 64


@dataclass(frozen=True)
class MediaFacts:
    """What a row says about its file: seconds, stored frames and rates, and the digest of its bytes."""

    duration: float
    frames: int | None
    fps: Fraction | None
    sample_rate: int | None
    sha256: str


def media_facts(path: Path) -> MediaFacts:
    """Look into one media file.

    Raises:
        BadInput: whatever ``dubflow.media.probe`` refuses it with.
    """
    from dubflow.media.probe import probe

    found = probe(path)
    video = None if found.video is None else found.video.video
    audio = None if found.audio is None else found.audio.audio
    if found.duration is None or found.duration <= 0 or (video is None and audio is None):
        raise BadInput("corpora.no_media", f"{Path(path).name} holds neither picture nor sound of any length.")
    timed = video is not None and video.rate is not None and video.frames > 0
    return MediaFacts(
        duration=float(found.duration),
        frames=video.frames if video is not None and timed else None,
        fps=video.rate if video is not None and timed else None,
        sample_rate=None if audio is None else audio.sample_rate,
        sha256=found.sha256,
    )


def gather(root: Path, listing: Listing, options: ReadOptions, report: Progress | None = None) -> ImportResult:
    """Make rows of what is there; everything else becomes a problem with a code and a reason.

    Args:
        root: folder that paths of the listing start from.
        listing: what the layout speaks of.

    Returns:
        ``coverage.listed`` is the number of clips and problems of the listing, and equals found + missing + broken +
        left out.
    """
    report = report or Silent()
    coverage = Coverage(listed=len(listing.clips) + len(listing.problems), problems=list(listing.problems))
    rows: list[ClipRow] = []
    present = list(_present(root, listing.clips, coverage))
    report.expect(len(present))
    workers = 1 if len(present) < _WORTH_WORKERS else options.workers
    measured = map_unordered(_measure, [_Task(root, index, clip) for index, clip in present], workers=workers)
    by_index: dict[int, ClipRow | Problem] = {}
    for task, outcome in measured:
        by_index[task.index] = _row(task.clip, outcome, options)
        report.advance()
    for _, result in sorted(by_index.items()):
        if isinstance(result, Problem):
            coverage.problems.append(result)
        else:
            rows.append(result)
    coverage.found = len(rows)
    return ImportResult(rows, coverage, root)


@dataclass(frozen=True)
class _Task:
    root: Path
    index: int
    clip: Listed


@dataclass(frozen=True)
class _Measured:
    facts: MediaFacts
    extras: dict[str, dict[str, str]]


def _present(root: Path, clips: list[Listed], coverage: Coverage) -> Iterator[tuple[int, Listed]]:
    """Clips whose files are there and whose id no other clip took before."""
    seen: Counter[str] = Counter()
    for index, clip in enumerate(clips):
        problem: tuple[Trouble, str, str] | None = None
        absent = [
            name for name in (clip.path, *clip.extras.values()) if name is not None and not (root / name).is_file()
        ]
        seen[clip.id] += 1
        if seen[clip.id] > 1:
            problem = ("broken", "corpora.duplicate_id", f"The id {clip.id!r} was taken by an earlier entry.")
        elif clip.path is None:
            problem = ("missing", "corpora.file_missing", "No file of that name lies below the folder.")
        elif absent:
            problem = ("missing", "corpora.file_missing", f"Not there: {', '.join(absent)}.")
        if problem is None:
            yield index, clip
        else:
            coverage.problems.append(Problem(clip.item, *problem))


def _measure(task: _Task) -> _Measured | BadInput:
    from dubflow.media.digest import sha256_file

    try:
        facts = media_facts(task.root / str(task.clip.path))
        extras = {
            role: {"path": path, "sha256": sha256_file(task.root / path)}
            for role, path in sorted(task.clip.extras.items())
        }
        return _Measured(facts, extras)
    except BadInput as error:
        return error


def _row(clip: Listed, outcome: _Measured | BadInput, options: ReadOptions) -> ClipRow | Problem:
    if isinstance(outcome, BadInput):
        return Problem(clip.item, "broken", outcome.code, outcome.headline)
    facts = outcome.facts
    if clip.sha256 is not None and clip.sha256 != facts.sha256:
        return Problem(
            clip.item, "broken", "corpora.file_changed", "Its bytes are not those that the list was made with."
        )
    source: dict[str, Any] = dict(clip.source)
    if outcome.extras:
        source["files"] = outcome.extras
    try:
        row = ClipRow(
            id=clip.id,
            path=str(clip.path),
            sha256=facts.sha256,
            transcript=clip.transcript,
            language=clip.language or options.language,
            speaker=clip.speaker or options.speaker,
            licence=clip.licence or options.licence,
            split=clip.split,
            duration=facts.duration,
            frames=facts.frames,
            fps=facts.fps,
            sample_rate=facts.sample_rate,
            words=clip.words,
            phones=clip.phones,
            stresses=clip.stresses,
            segments=clip.segments,
            events=clip.events,
            tags=clip.tags,
            source=source,
        )
        row.model_dump_json()
    except PydanticSerializationError as error:  # a file name or a field that is no UTF-8
        return Problem(clip.item, "broken", "corpora.bad_row", f"It cannot be written: {error}.")
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"])) or "row"
        return Problem(clip.item, "broken", "corpora.bad_row", f"Field {where}: {first['msg']}.")
    return row
