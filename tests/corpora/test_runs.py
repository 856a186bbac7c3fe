"""Runs that are killed, and runs at once: finished clips are kept, no clip is done twice, nothing is corrupted."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from corpora.conftest import MakeCorpus
from corpora.samples import row_of, sound
from dubflow.corpora.manifest import CorpusManifest
from dubflow.corpora.prepared import PreparedSet
from dubflow.corpora.tensorfile import TensorFile

pytestmark = pytest.mark.slow

CLIPS = 40

_RUN = """
import json, sys
from pathlib import Path
from dubflow.corpora.prepare import prepare_corpus
from dubflow.corpora.settings import PrepareSettings
from dubflow.progress import Silent
if __name__ == "__main__":
    settings = PrepareSettings(align="given", shard_mib=float(sys.argv[4]))
    report = prepare_corpus(Path(sys.argv[1]), Path(sys.argv[2]), settings, workers=int(sys.argv[3]), report=Silent())
    print(json.dumps(report.as_dict()))
"""


@pytest.fixture
def corpus(tmp_path: Path, make_corpus: MakeCorpus) -> CorpusManifest:
    """Forty clips of three seconds: a few seconds of work."""
    root = tmp_path / "corpus"
    for index in range(CLIPS):
        sound(root / f"c{index:02d}.wav", index, seconds=3.0)
    rows = [row_of(root, f"c{index:02d}.wav", f"c{index:02d}", language="nl") for index in range(CLIPS)]
    return make_corpus(rows=rows)


def _start(corpus: CorpusManifest, out: Path, workers: int, shard_mib: float = 1.0) -> subprocess.Popen[str]:
    script = out.parent / "run.py"
    script.write_text(_RUN)
    command = [sys.executable, str(script), str(corpus.root), str(out), str(workers), str(shard_mib)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, start_new_session=True)


def _report(run: subprocess.Popen[str]) -> dict[str, int]:
    text, _ = run.communicate(timeout=300)
    assert run.returncode == 0
    report: dict[str, int] = json.loads(text)
    return report


def _kill_after(run: subprocess.Popen[str], out: Path, objects: int) -> None:
    """End a run and its workers with SIGKILL as soon as it has finished that many clips."""
    deadline = time.monotonic() + 120
    while len(list(out.glob("objects/*/[!.]*.safetensors"))) < objects:
        assert run.poll() is None, "it finished before it could be killed"
        assert time.monotonic() < deadline
        time.sleep(0.001)
    os.killpg(run.pid, signal.SIGKILL)
    run.communicate()


@pytest.mark.parametrize("workers", [1, 2])
def test_a_killed_run_goes_on_where_it_was(corpus: CorpusManifest, tmp_path: Path, workers: int) -> None:
    out = tmp_path / "out"
    for objects in (3, 9):
        _kill_after(_start(corpus, out, workers), out, objects)
        assert not (out / "index.json").exists()
        finished = list(out.glob("objects/*/[!.]*.safetensors"))
        assert objects <= len(finished) < CLIPS
        for path in finished:
            TensorFile(path)  # refuses what is not whole
    report = _report(_start(corpus, out, workers))
    assert report["found"] >= len(finished)
    assert report["found"] + report["done"] == CLIPS
    prepared = PreparedSet(out)
    assert len(prepared) == CLIPS
    assert prepared.verify() == ()


def test_two_runs_at_once_share_the_work(corpus: CorpusManifest, tmp_path: Path) -> None:
    out = tmp_path / "out"
    reports = [_report(run) for run in [_start(corpus, out, workers=1) for _ in range(2)]]
    assert sum(report["done"] for report in reports) == CLIPS
    assert all(report["done"] + report["found"] == CLIPS for report in reports)
    prepared = PreparedSet(out)
    assert len(prepared) == CLIPS
    assert prepared.verify() == ()
    assert list(out.glob("objects/*/*")) == []


def test_killing_one_of_two_leaves_the_other_whole(corpus: CorpusManifest, tmp_path: Path) -> None:
    out = tmp_path / "out"
    victim, other = _start(corpus, out, workers=1), _start(corpus, out, workers=1)
    _kill_after(victim, out, 2)
    report = _report(other)
    assert report["clips"] == CLIPS
    assert report["failed"] == 0
    assert PreparedSet(out).verify() == ()
