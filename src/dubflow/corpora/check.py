"""Check a corpus, and its prepared set when there is one: everything that would mislead training or judging."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from dubflow.corpora.check_media import check_media
from dubflow.corpora.check_rows import check_rows
from dubflow.corpora.findings import CheckReport, Finding, sorted_findings
from dubflow.corpora.manifest import CorpusManifest, read_manifest
from dubflow.corpora.prepared import PreparedSet
from dubflow.corpora.settings import CheckSettings
from dubflow.progress import Progress, Silent


def check_corpus(
    manifest: CorpusManifest | Path,
    prepared: PreparedSet | Path | None = None,
    settings: CheckSettings | None = None,
    *,
    workers: int | None = None,
    report: Progress | None = None,
) -> CheckReport:
    """Look for what is wrong with a corpus.

    Args:
        manifest: the corpus, or its folder.
        prepared: its prepared set, or the folder of it.
        settings: bands and tolerances; ``settings.content`` decodes every clip to find copies.
        workers: processes that read files.
        report: advances once a clip.

    Returns:
        Findings, errors first; ``ok`` when there is no error.

    Raises:
        BadInput: what ``read_manifest`` and ``PreparedSet`` refuse.
    """
    settings = settings or CheckSettings()
    manifest = manifest if isinstance(manifest, CorpusManifest) else read_manifest(manifest)
    findings = [*check_rows(manifest, settings)]
    findings += check_media(manifest, content=settings.content, workers=workers, report=report or Silent())
    if prepared is not None:
        findings += check_prepared(manifest, prepared if isinstance(prepared, PreparedSet) else PreparedSet(prepared))
    return CheckReport(len(manifest), sorted_findings(findings))


def check_prepared(manifest: CorpusManifest, prepared: PreparedSet) -> Iterator[Finding]:
    """Whether a prepared set is whole, of this corpus, and of the shapes that its clips ask for."""
    yield from prepared.verify()
    rows = {row.id: row for row in manifest}
    for clip_id, failed in prepared.index.failed.items():
        yield Finding("corpora.prepare_failed", "warning", clip_id, f"{failed.reason} [{failed.code}]")
    for clip_id in sorted(set(rows) - set(prepared) - set(prepared.index.failed)):
        yield Finding("corpora.not_in_prepared", "error", clip_id, "The prepared set does not know it.")
    for clip_id in prepared:
        info, row = prepared.info(clip_id), rows.get(clip_id)
        if row is None:
            yield Finding("corpora.not_in_manifest", "error", clip_id, "It is prepared and not in the manifest.")
        elif info.clip_sha256 != row.sha256 or info.transcript != row.transcript:
            yield Finding(
                "corpora.prepared_stale", "error", clip_id, "It was prepared from another file or transcript."
            )
        elif row.fps is not None and row.frames is not None:
            expected = row.frames / row.fps * 25
            if abs(info.frames - expected) > 1:
                message = f"{row.frames} frames at {row.fps} are {float(expected):.1f} at 25, not {info.frames}."
                yield Finding("corpora.frames_disagree", "error", clip_id, message)
