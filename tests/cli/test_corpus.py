"""Rendering, importing, checking and preparing by the verbs a person types."""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from dubflow.atomic import PARTIAL
from dubflow.cli import main as program
from dubflow.corpora.manifest import read_manifest
from verbs import SMALL, Answer


def test_render_a_second_time_finds_everything(corpus: Path, answer: Answer) -> None:
    report = answer("talkers", "render", "--out", corpus, *SMALL)
    assert (report["clips"], report["rendered"]) == (4, 0)
    assert report["languages"].keys() == {"en", "de"}


def test_dry_run_of_render_plans_and_writes_nothing(tmp_path: Path, answer: Answer) -> None:
    plan = answer("talkers", "render", "--out", tmp_path / "new", *SMALL, "--dry-run")
    assert plan["clips"] == sum(plan["kinds"].values()) == 4
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("workers", "exit_code"), [("1", 0), ("0", 2)])
def test_the_environment_may_set_the_workers_of_every_verb(
    workers: str, exit_code: int, corpus: Path, answer: Answer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DUBFLOW_WORKERS", workers)
    answer("corpus", "check", corpus, exit_code=exit_code)


def test_a_size_that_cannot_be_drawn_is_refused_by_name(tmp_path: Path, answer: Answer) -> None:
    error = answer("talkers", "render", "--out", tmp_path, "--size", "9", exit_code=3)["error"]
    assert error["code"] == "config.bad_preset"
    assert "size" in error["headline"]


def test_check_passes_a_whole_corpus_and_fails_a_damaged_one(corpus: Path, tmp_path: Path, answer: Answer) -> None:
    assert answer("corpus", "check", corpus)["ok"]
    damaged = tmp_path / "damaged"
    shutil.copytree(corpus, damaged)
    row = read_manifest(damaged).rows[0]
    (damaged / row.path).write_bytes(b"not a film")
    report = answer("corpus", "check", damaged, exit_code=3)
    assert not report["ok"]
    assert row.id in {finding["clip"] for finding in report["findings"] if finding["severity"] == "error"}


def test_import_reports_what_is_missing(corpus: Path, tmp_path: Path, answer: Answer) -> None:
    published = tmp_path / "published"
    shutil.copytree(corpus, published)
    lost = read_manifest(published).rows[0]
    (published / lost.path).unlink()
    coverage = answer("corpus", "import", "talkers", published, "--out", tmp_path / "in")["coverage"]
    assert (coverage["listed"], coverage["found"], coverage["missing"]) == (4, 3, 1)
    assert len(read_manifest(tmp_path / "in")) == 3


def test_dry_run_of_import_only_counts(corpus: Path, tmp_path: Path, answer: Answer) -> None:
    answered = answer("corpus", "import", "talkers", corpus, "--out", tmp_path / "in", "--dry-run")
    assert answered["coverage"]["found"] == 4
    assert list(tmp_path.iterdir()) == []


def test_import_of_real_grid_clips(shared_data: Path, tmp_path: Path, answer: Answer) -> None:
    coverage = answer("corpus", "import", "grid", shared_data / "grid_s1_aligned", "--out", tmp_path)["coverage"]
    assert coverage["found"] == 12
    rows = {row.source["path"]: row for row in read_manifest(tmp_path)}
    assert rows["bbal6n.mpg"].transcript == "bin blue at l six now"
    assert rows["bbal6n.mpg"].frames == 75


@pytest.mark.parametrize("words", [("import", "atlantis", "x", "--out", "y"), ("import", "grid", "x", "--out", "y")])
def test_import_of_nothing_is_a_typed_error(words: tuple[str, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.argv", ["dubflow", "corpus", *words])
    assert program._run() in (2, 3)


def test_a_split_list_needs_its_split(corpus: Path, tmp_path: Path, answer: Answer) -> None:
    words = ("corpus", "import", "grid", corpus, "--out", tmp_path, "--split-list", "list.txt")
    assert answer(*words, exit_code=2)["error"]["code"] == "cli.bad_split_list"


@pytest.mark.slow
def test_prepare_twice_does_the_work_once(corpus: Path, tmp_path: Path, answer: Answer) -> None:
    out = tmp_path / "prepared"
    assert answer("prepare", corpus, "--out", out, "--dry-run") == {"clips": 4, "found": 0, "to_do": 4}
    assert not out.exists()
    first = answer("prepare", corpus, "--out", out, "--workers", "1")
    assert (first["clips"], first["done"] + first["failed"]) == (4, 4)
    again = answer("prepare", corpus, "--out", out, "--workers", "1")
    assert (again["done"], again["found"]) == (0, first["done"])
    assert answer("prepare", corpus, "--out", out, "--dry-run") == {"clips": 4, "found": 4, "to_do": 0}
    assert answer("corpus", "check", corpus, "--prepared", out)["ok"]


def finished_clips(folder: Path) -> list[Path]:
    return list(folder.glob("c/.rows/*/[!.]*.json"))


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_stopping_a_render_leaves_whole_clips_only_and_the_next_run_goes_on(
    number: signal.Signals, tmp_path: Path, answer: Answer
) -> None:
    words = ("talkers", "render", "--out", str(tmp_path / "c"), "--identities", "2", "--clips", "6", "--size", "64")
    child = subprocess.Popen(
        [sys.executable, "-m", "dubflow", *words, "--workers", "2"], stderr=subprocess.PIPE, text=True
    )
    deadline = time.monotonic() + 60
    while not finished_clips(tmp_path) and time.monotonic() < deadline:
        time.sleep(0.05)
    child.send_signal(number)
    _, told = child.communicate(timeout=60)
    assert child.returncode == 128 + number
    assert "Traceback" not in told
    assert [path.name for path in tmp_path.rglob(f"*{PARTIAL}*")] == []
    finished = len(finished_clips(tmp_path))
    report = answer(*words)
    assert finished >= 1
    assert report["rendered"] == 12 - finished
