"""Outputs appear whole or not at all."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from dubflow.atomic import atomic_dir, atomic_file, sweep, write_json, write_text


def test_target_keeps_its_old_content_until_the_block_ends(tmp_path: Path) -> None:
    target = tmp_path / "deep" / "a.txt"
    write_text(target, "old")
    with atomic_file(target) as part:
        part.write_text("new")
        assert target.read_text() == "old"
        assert part.suffix == target.suffix
    assert target.read_text() == "new"
    assert list(target.parent.iterdir()) == [target]


def test_an_error_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    target = tmp_path / "a.txt"
    write_text(target, "old")
    with pytest.raises(RuntimeError, match="half"), atomic_file(target) as part:
        part.write_text("half")
        raise RuntimeError("half way")
    assert target.read_text() == "old"
    assert list(tmp_path.iterdir()) == [target]


def test_folder_appears_whole(tmp_path: Path) -> None:
    target = tmp_path / "out"
    with atomic_dir(target) as part:
        (part / "a").write_text("1")
        assert not target.exists()
    assert (target / "a").read_text() == "1"
    with pytest.raises(KeyError), atomic_dir(tmp_path / "other") as part:
        (part / "b").write_text("2")
        raise KeyError
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out"]


def test_equal_values_give_equal_bytes(tmp_path: Path) -> None:
    write_json(tmp_path / "a.json", {"b": 1, "a": "ü"})
    write_json(tmp_path / "b.json", {"a": "ü", "b": 1})
    assert (tmp_path / "a.json").read_bytes() == (tmp_path / "b.json").read_bytes()
    assert json.loads((tmp_path / "a.json").read_text("utf-8")) == {"a": "ü", "b": 1}


def test_sweep_removes_what_a_killed_run_left_but_not_what_is_being_written(tmp_path: Path) -> None:
    program = (
        "import sys, time, pathlib; from dubflow.atomic import atomic_file\n"
        "with atomic_file(pathlib.Path(sys.argv[1])) as part:\n"
        "    part.write_text('half'); print('ready', flush=True); time.sleep(60)"
    )
    target = tmp_path / "clip.mp4"
    child = subprocess.Popen([sys.executable, "-c", program, str(target)], stdout=subprocess.PIPE)
    assert child.stdout is not None
    assert child.stdout.readline() == b"ready\n"
    child.send_signal(signal.SIGKILL)
    child.wait(timeout=10)
    child.stdout.close()
    (left,) = tmp_path.iterdir()
    notes = tmp_path / "sub" / ".notes.partial-draft.txt"
    write_text(notes, "somebody else's")
    os.utime(notes, (0, 0))
    assert not target.exists()
    assert sweep(tmp_path) == [], "a young partial file may belong to another run"
    os.utime(left, (time.time() - 7200,) * 2)
    assert sweep(tmp_path) == [left]
    assert list(tmp_path.iterdir()) == [notes.parent]
    assert notes.exists()
