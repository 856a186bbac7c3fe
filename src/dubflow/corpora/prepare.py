"""Prepare a corpus: features, phones and tokens of every clip into a prepared set.

Work done is never done again: a clip's key is the digest of its file, what is said in it, the settings, the extractors,
the codec and the transform's version, and a key that is there is taken as it is. So a second run does nothing, a
changed clip is done alone, and a killed run goes on where it was. Several runs at once share the work: each clip is
claimed by the process that does it. What fails is recorded with its reason, and the others go on.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from dubflow.corpora.cache import content_key
from dubflow.corpora.manifest import ClipRow, CorpusManifest, read_manifest
from dubflow.corpora.parts import Part, adopt_shards
from dubflow.corpora.prepare_job import Job, Outcome, close_store, open_store, prepare_one, set_up_worker, use_tools
from dubflow.corpora.prepared import (
    INDEX,
    FailedClip,
    PreparedClip,
    PreparedIndex,
    ShardFacts,
    read_index,
    write_index,
)
from dubflow.corpora.settings import PrepareSettings
from dubflow.corpora.stamps import Stamps
from dubflow.corpora.transform import TRANSFORM_VERSION, Tools, build_tools
from dubflow.errors import BadInput, OurFault
from dubflow.parallel import default_workers, map_unordered
from dubflow.progress import Progress, reporting
from dubflow.speech.codecs import Codec

# How often a run makes again what another run (with other settings, in the same folder) removed meanwhile.
_ROUNDS = 5


@dataclass(frozen=True)
class PrepareReport:
    """What a run did.

    Attributes:
        done: clips prepared now. found: clips that were there already. failed: clips that cannot be prepared, by id.
        seconds: wall time. bytes: size of the shards.
        reasons: how many clips lack something, by reason.
    """

    clips: int
    done: int
    found: int
    failed: Mapping[str, FailedClip]
    seconds: float
    bytes: int
    reasons: Mapping[str, int] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        """For ``--json``."""
        return {
            "clips": self.clips,
            "done": self.done,
            "found": self.found,
            "failed": len(self.failed),
            "seconds": round(self.seconds, 3),
            "bytes": self.bytes,
            "reasons": dict(self.reasons),
            "failures": {name: one.model_dump(mode="json") for name, one in sorted(self.failed.items())},
        }


def prepare_corpus(
    corpus: Path,
    out: Path,
    settings: PrepareSettings,
    *,
    codec: Codec | None = None,
    workers: int | None = None,
    part: Part | None = None,
    earlier: Sequence[Path] = (),
    report: Progress | None = None,
) -> PrepareReport:
    """Prepare the corpus folder ``corpus`` into the folder ``out``.

    Args:
        codec: encodes the waveforms when given; it must be picklable where there are several workers.
        workers: processes; by default one a core.
        part: only these clips, so that several machines share a corpus.
        earlier: prepared sets (such as those of the parts) whose clips are taken as they are where keys agree.
        report: told of every clip; by default a report on standard error.

    Returns:
        Counts; ``read_index(out)`` and ``PreparedSet(out)`` read the result.

    Raises:
        BadInput: what ``read_manifest`` refuses.
        OurFault: ``corpora.cannot_settle`` when other runs keep removing what this one makes.
    """
    if report is None:
        total = len(read_manifest(corpus))
        with reporting("Preparing", total, "clips") as own:
            return prepare_corpus(
                corpus, out, settings, codec=codec, workers=workers, part=part, earlier=earlier, report=own
            )
    started = time.monotonic()
    manifest = read_manifest(corpus)
    if part is not None:
        manifest = part.of(manifest)
        report.expect(len(manifest))
    tools = build_tools(settings, codec)
    for folder in earlier:
        adopt_shards(folder, Path(out))
    run = _Run(manifest, Path(out), settings, tools, workers or default_workers(), report)
    try:
        return run.to_the_end(started)
    finally:
        close_store(run.store)


def survey_preparation(
    corpus: Path, out: Path, settings: PrepareSettings, *, codec: Codec | None = None
) -> dict[str, int]:
    """How many ``clips`` :func:`prepare_corpus` would take, how many it would find done (``found``), and ``to_do``.

    Clips of equal content are done once and count as many here. Writes nothing.

    Raises:
        BadInput: what ``read_manifest`` refuses.
    """
    manifest, tools = read_manifest(corpus), build_tools(settings, codec)
    found = 0
    if Path(out).is_dir():
        store = open_store(Path(out))
        try:
            found = sum(store.has(clip_key(row, settings, tools)) for row in manifest)
        finally:
            close_store(store)
    return {"clips": len(manifest), "found": found, "to_do": len(manifest) - found}


def clip_key(row: ClipRow, settings: PrepareSettings, tools: Tools) -> str:
    """Digest of everything that the arrays of ``row`` depend on."""
    said = row.model_dump(mode="json", include={"transcript", "language", "phones", "stresses", "segments"})
    return content_key(
        {
            "clip": row.sha256,
            "picture": row.frames is not None,
            "said": said,
            "settings": settings.content(),
            "extractors": tools.ids,
            "codec": tools.codec_id,
            "transform": TRANSFORM_VERSION,
        }
    )


def _earlier_index(out: Path) -> PreparedIndex | None:
    """The index of an earlier run, None where none reads: clips are found by their keys anyway."""
    try:
        return read_index(out) if (out / INDEX).is_file() else None
    except BadInput:
        return None


class _Run:
    """One run over one corpus."""

    def __init__(
        self,
        manifest: CorpusManifest,
        out: Path,
        settings: PrepareSettings,
        tools: Tools,
        workers: int,
        report: Progress,
    ) -> None:
        self.manifest, self.settings, self.tools, self.workers, self.report = manifest, settings, tools, workers, report
        self.store = open_store(out)
        self.keys = {row.id: clip_key(row, settings, tools) for row in manifest}
        self.ids_of: dict[str, list[str]] = {}  # equal clips have one key
        for clip_id, key in self.keys.items():
            self.ids_of.setdefault(key, []).append(clip_id)
        self.earlier = _earlier_index(out)
        self.failed: dict[str, FailedClip] = self._known_failures()
        self.done = 0

    def to_the_end(self, started: float) -> PrepareReport:
        """Do what is missing, pack it, write the index."""
        self._refuse_changed_files()
        todo = self._missing()
        self.report.advance(len(self.manifest) - len(todo), cached=True)
        for _ in range(_ROUNDS):
            self._work(todo)
            with self.store.packing():
                todo = self._missing()
                if not todo:
                    index = self._finish()
                    break
        else:
            raise OurFault(
                "corpora.cannot_settle",
                f"{len(todo)} clips vanish from {self.store.root} as soon as they are made.",
                "Another run with other settings works in the same folder: give each its own --out.",
            )
        reasons = Counter(reason for clip in index.clips.values() for reason in clip.reasons)
        return PrepareReport(
            clips=len(self.manifest),
            done=self.done,
            found=len(index.clips) - self.done,
            failed=self.failed,
            seconds=time.monotonic() - started,
            bytes=sum(shard.bytes for shard in index.shards.values()),
            reasons=dict(sorted(reasons.items())),
        )

    def _known_failures(self) -> dict[str, FailedClip]:
        """Failures of an earlier run that trying again would not change."""
        earlier = {} if self.earlier is None else self.earlier.failed
        return {
            clip_id: failure
            for clip_id, failure in earlier.items()
            if self.keys.get(clip_id) == failure.key and not failure.retry
        }

    def _refuse_changed_files(self) -> None:
        """A file that is not the manifest's any more fails here, also where its old content was prepared before."""
        stamps = Stamps(self.store.root)
        for row in self.manifest:
            try:
                stamps.check(self.manifest.media_path(row), row.sha256)
            except BadInput as error:
                failure = FailedClip(key=self.keys[row.id], code=error.code, reason=error.headline, retry=True)
                self.failed[row.id] = failure
        stamps.write()

    def _missing(self) -> list[ClipRow]:
        return [row for row in self.manifest if row.id not in self.failed and not self.store.has(self.keys[row.id])]

    def _work(self, rows: Iterable[ClipRow]) -> None:
        """Do ``rows``; what another run is at is waited for at the end."""
        todo = list(rows)
        for wait in (False, True):
            jobs = list({self.keys[row.id]: self._job(row, wait=wait) for row in todo}.values())
            todo = []
            for job, outcome in self._outcomes(jobs):
                if outcome.status == "busy":
                    todo.append(job.row)
                else:
                    self._account(self.ids_of[job.key], outcome)

    def _outcomes(self, jobs: list[Job]) -> Iterator[tuple[Job, Outcome]]:
        workers = min(self.workers, len(jobs))
        if workers <= 1:
            use_tools(self.tools)
            return map_unordered(prepare_one, jobs, workers=1)
        set_up = partial(set_up_worker, self.settings, self.tools.codec)
        return map_unordered(prepare_one, jobs, workers=workers, initializer=set_up)

    def _account(self, clip_ids: list[str], outcome: Outcome) -> None:
        if outcome.failure is not None:
            self.failed |= dict.fromkeys(clip_ids, outcome.failure)
            self.report.note(f"{clip_ids[0]}: {outcome.failure.reason} [{outcome.failure.code}]")
        self.done += outcome.status == "done"
        self.report.advance(len(clip_ids), cached=outcome.status == "found")

    def _job(self, row: ClipRow, *, wait: bool) -> Job:
        path = self.manifest.media_path(row)
        return Job(row, path, self.keys[row.id], self.store.root, self.settings, wait)

    def _finish(self) -> PreparedIndex:
        """Pack and write the index; the caller holds the packing lock and everything is there."""
        rows = [row for row in self.manifest if row.id not in self.failed]
        wanted = {self.keys[row.id] for row in rows}
        self.store.pack(wanted, round(self.settings.shard_mib * 2**20))
        names = sorted({self.store.shard_of(key) for key in wanted})
        index = PreparedIndex(
            corpus=self.manifest.header.name,
            world=self.manifest.header.world,
            transform_version=TRANSFORM_VERSION,
            preset=self.settings.content(),
            extractors=self.tools.ids,
            codec=self.tools.codec_id,
            clips={row.id: self._entry(row) for row in rows},
            failed=dict(sorted(self.failed.items())),
            shards={name: self._shard_facts(name) for name in names},
        )
        write_index(self.store.root, index)
        self.store.clean(wanted)
        return index

    def _shard_facts(self, name: str) -> ShardFacts:
        """Size and digest; a shard never changes, so what the last index said of it still holds."""
        known = None if self.earlier is None else self.earlier.shards.get(name)
        size = self.store.shard_path(name).stat().st_size
        return known if known and known.bytes == size else ShardFacts(sha256=self.store.digest(name), bytes=size)

    def _entry(self, row: ClipRow) -> PreparedClip:
        key = self.keys[row.id]
        return PreparedClip(
            key=key,
            shard=self.store.shard_of(key),
            clip_sha256=row.sha256,
            transcript=row.transcript,
            language=row.language,
            speaker=row.speaker,
            split=row.split,
            tags=row.tags,
            **self.store.meta(key),
        )
