"""What the files tell: there, unchanged, as the manifest says, and no two of the same content."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dubflow.corpora.findings import Finding, Severity
from dubflow.corpora.gather import MediaFacts, media_facts
from dubflow.corpora.manifest import ClipRow, CorpusManifest
from dubflow.errors import BadInput
from dubflow.parallel import default_workers, map_unordered
from dubflow.progress import Progress

# Side of the grey pictures that a picture's fingerprint is made of.
_FINGERPRINT_SIDE = 16
_WORTH_WORKERS = 64


@dataclass(frozen=True)
class _Job:
    row: ClipRow
    path: Path
    extras: tuple[tuple[str, Path, str], ...]
    content: bool


@dataclass(frozen=True)
class Fingerprint:
    """Digests of what is decoded: equal for a file and its remuxed copy. None where there is no such stream."""

    picture: str | None
    sound: str | None


def check_media(manifest: CorpusManifest, *, content: bool, workers: int | None, report: Progress) -> Iterator[Finding]:
    """Findings of every file, and of files together; ``content`` decodes each to find copies."""
    jobs = [_job(manifest, row, content) for row in manifest]
    count = 1 if len(jobs) < _WORTH_WORKERS else workers or default_workers()
    prints: dict[str, Fingerprint] = {}
    for job, (findings, fingerprint) in map_unordered(_look, jobs, workers=count):
        yield from findings
        if fingerprint is not None:
            prints[job.row.id] = fingerprint
        report.advance()
    same_bytes = _groups({row.id: row.sha256 for row in manifest})
    yield from _duplicates(manifest, same_bytes, "corpora.duplicate_file", "error", "the same bytes")
    yield from _same_content(manifest, prints, {clip for group in same_bytes for clip in group[1:]})


def _job(manifest: CorpusManifest, row: ClipRow, content: bool) -> _Job:
    files = row.source.get("files", {})
    extras = tuple((role, manifest.root / file["path"], file["sha256"]) for role, file in sorted(files.items()))
    return _Job(row, manifest.media_path(row), extras, content)


def _look(job: _Job) -> tuple[list[Finding], Fingerprint | None]:
    findings = [*_extras(job)]
    try:
        facts = media_facts(job.path)
    except BadInput as error:
        code = "corpora.file_missing" if error.code == "media.missing" else error.code
        return [*findings, Finding(code, "error", job.row.id, error.headline)], None
    findings.extend(_as_listed(job.row, facts))
    if not job.content:
        return findings, None
    try:
        return findings, fingerprint(job.path, picture=facts.frames is not None, sound=facts.sample_rate is not None)
    except BadInput as error:
        return [*findings, Finding(error.code, "error", job.row.id, error.headline)], None


def _extras(job: _Job) -> Iterator[Finding]:
    from dubflow.media.digest import sha256_file

    for role, path, digest in job.extras:
        if not path.is_file():
            yield Finding("corpora.file_missing", "error", job.row.id, f"Its {role} {path.name} is not there.")
        elif sha256_file(path) != digest:
            yield Finding("corpora.file_changed", "error", job.row.id, f"Its {role} {path.name} is not as listed.")


def _as_listed(row: ClipRow, facts: MediaFacts) -> Iterator[Finding]:
    if facts.sha256 != row.sha256:
        yield Finding("corpora.file_changed", "error", row.id, "Its bytes are not those of the manifest.")
    listed = (row.frames, row.fps, row.sample_rate)
    found = (facts.frames, facts.fps, facts.sample_rate)
    if listed != found or abs(facts.duration - row.duration) > 0.01:
        message = (
            f"The manifest says {row.duration:.3f} s, (frames, rate, Hz) {_shown(listed)}; "
            f"the file has {facts.duration:.3f} s, {_shown(found)}."
        )
        yield Finding("corpora.file_disagrees", "error", row.id, message)


def _shown(values: Iterable[object]) -> str:
    return "(" + ", ".join("-" if value is None else str(value) for value in values) + ")"


def fingerprint(path: Path, *, picture: bool, sound: bool) -> Fingerprint:
    """Digests of the decoded picture (source frames, shrunk to grey) and sound (16 kHz, 16 bit) of a file.

    Raises:
        BadInput: what the decoder says of the file.
    """
    from dubflow.media.decode import stream_audio, stream_frames

    seen, heard = hashlib.sha256(), hashlib.sha256()
    if picture:
        for frames in stream_frames(path, fps=None):
            seen.update(_shrunk(frames).tobytes())
    if sound:
        for samples in stream_audio(path):
            heard.update(np.asarray(np.rint(np.clip(samples, -1, 1) * 32767), np.int16).tobytes())
    return Fingerprint(seen.hexdigest() if picture else None, heard.hexdigest() if sound else None)


def _shrunk(frames: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """``[n, H, W, 3]`` to grey ``[n, 16, 16]`` by picking pixels: exact, and enough to tell pictures apart."""
    rows = np.linspace(0, frames.shape[1] - 1, _FINGERPRINT_SIDE).round().astype(int)
    columns = np.linspace(0, frames.shape[2] - 1, _FINGERPRINT_SIDE).round().astype(int)
    picked = frames[:, rows][:, :, columns].astype(np.uint16)
    return np.asarray(picked.sum(axis=3) // 3, np.uint8)


def _groups(digest_of: Mapping[str, object]) -> list[list[str]]:
    """Clips of equal digest, where there are two or more; the smallest id first."""
    groups: dict[object, list[str]] = defaultdict(list)
    for clip, digest in sorted(digest_of.items()):
        groups[digest].append(clip)
    return [group for group in groups.values() if len(group) > 1]


def _same_content(manifest: CorpusManifest, prints: Mapping[str, Fingerprint], known: set[str]) -> Iterator[Finding]:
    """Copies in other containers, and clips that share only picture or sound; copies found by bytes are left aside."""
    fresh = {clip: one for clip, one in prints.items() if clip not in known}
    whole = _groups(fresh)
    yield from _duplicates(manifest, whole, "corpora.duplicate_content", "error", "the same picture and sound")
    copies = {clip for group in whole for clip in group[1:]}
    both = {clip: one for clip, one in fresh.items() if clip not in copies and one.picture and one.sound}
    sounds = _groups({clip: one.sound for clip, one in both.items()})
    pictures = _groups({clip: one.picture for clip, one in both.items()})
    yield from _duplicates(manifest, sounds, "corpora.same_sound", "warning", "the same sound")
    yield from _duplicates(manifest, pictures, "corpora.same_picture", "warning", "the same picture")


def _duplicates(
    manifest: CorpusManifest, groups: list[list[str]], code: str, severity: Severity, what: str
) -> Iterator[Finding]:
    split_of = {row.id: row.split for row in manifest}
    for first, *others in groups:
        crossing = len({split_of[clip] for clip in (first, *others)}) > 1
        message = f"{', '.join(others[:5])} has {what}{', in another split' if crossing else ''}."
        yield Finding(code, severity, first, message)
