"""How fast a corpus is prepared, what a second run and one changed clip cost, and how fast a prepared set is read.

    python benchmarks/prepare_speed.py [CORPUS] [--clips 14] [--workers 2]

Without CORPUS (a corpus folder) talking heads in seven languages are rendered first, CLIPS of them. Everything is
written to a temporary folder.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from dubflow.config import load_preset
from dubflow.corpora.check import check_corpus
from dubflow.corpora.importing import import_corpus
from dubflow.corpora.manifest import CorpusManifest, read_manifest
from dubflow.corpora.prepare import PrepareReport, prepare_corpus
from dubflow.corpora.prepared import PreparedSet
from dubflow.corpora.settings import PrepareSettings
from dubflow.progress import Silent
from dubflow.speech.voices import LANGUAGES


def rendered(folder: Path, clips: int) -> Path:
    """A corpus of talking heads of every language."""
    from dubflow.talkers.render import render_corpus
    from dubflow.talkers.settings import TalkerSettings

    each = -(-clips // len(LANGUAGES))
    settings = load_preset("tiny", "talkers", TalkerSettings)
    render_corpus(
        folder, identities=len(LANGUAGES), clips=each, languages=LANGUAGES, seed=0, settings=settings, progress=Silent()
    )
    return folder


@contextmanager
def timed(rows: list[tuple[str, float, str]], what: str, notes: list[str]) -> Iterator[None]:
    """Append a row with the wall time of the block and the note that it leaves."""
    started = time.perf_counter()
    yield
    rows.append((what, time.perf_counter() - started, notes.pop() if notes else ""))


def one_changed(manifest: CorpusManifest) -> CorpusManifest:
    """The same corpus with another transcript for its first clip."""
    first, *rest = manifest.rows
    changed = first.model_copy(update={"transcript": f"{first.transcript or ''} again".strip()})
    new = CorpusManifest(manifest.header, [changed, *rest], manifest.root)
    new.write()
    return new


def said(report: PrepareReport) -> str:
    """Counts of a run."""
    return f"done {report.done}, found {report.found}, failed {len(report.failed)}"


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("corpus", type=Path, nargs="?")
    parser.add_argument("--clips", type=int, default=14)
    parser.add_argument("--workers", type=int, default=2)
    arguments = parser.parse_args()
    settings = load_preset("tiny", "prepare", PrepareSettings)
    rows: list[tuple[str, float, str]] = []
    notes: list[str] = []
    with tempfile.TemporaryDirectory() as name:
        scratch = Path(name)
        source = arguments.corpus or rendered(scratch / "rendered", arguments.clips)
        with timed(rows, "import (probe, hash, link)", notes):
            manifest, _ = import_corpus("talkers", source, scratch / "corpus")
        with timed(rows, "check (decodes every clip)", notes):
            checked = check_corpus(manifest)
            notes.append(f"{checked.count('error')} errors, {checked.count('warning')} warnings")
        for workers in sorted({1, arguments.workers}):
            out = scratch / f"prepared{workers}"
            with timed(rows, f"prepare from nothing, {workers} workers", notes):
                report = prepare_corpus(manifest.root, out, settings, workers=workers, report=Silent())
                notes.append(said(report))
        with timed(rows, "prepare again", notes):
            notes.append(said(prepare_corpus(manifest.root, out, settings, workers=workers, report=Silent())))
        with timed(rows, "read every array of every clip", notes):
            prepared = PreparedSet(out)
            total = sum(array.sum(dtype="float64") for clip in prepared for array in prepared[clip].values())
            notes.append(f"checksum {total:.3e}")
        one_changed(manifest)
        with timed(rows, "prepare after one change", notes):
            notes.append(said(prepare_corpus(manifest.root, out, settings, workers=workers, report=Silent())))
        media = sum(row.duration for row in read_manifest(manifest.root))
        size = sum(path.stat().st_size for path in out.rglob("*") if path.is_file())
        print(
            f"{len(manifest)} clips, {media:.1f} s of media; prepared {size / 2**20:.2f} MiB; without: {report.reasons}"
        )
        print("| step | wall s | times real time | |\n|---|---|---|---|")
        for what, seconds, note in rows:
            print(f"| {what} | {seconds:.2f} | {media / seconds:.1f} | {note} |")


if __name__ == "__main__":
    main()
