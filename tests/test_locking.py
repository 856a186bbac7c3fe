"""A folder's lock: one holder at a time, gone with its holder."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from dubflow.errors import WrongUse
from dubflow.locking import LOCK, alone_in

BUSY = WrongUse("floor.busy", "Somebody is here.", "Wait.")


def test_the_second_is_refused_until_the_first_has_left(tmp_path: Path) -> None:
    folder = tmp_path / "a" / "b"
    with alone_in(folder, BUSY):
        assert (folder / LOCK).is_file()
        with pytest.raises(WrongUse) as refused, alone_in(folder, BUSY):
            pass
        assert refused.value is BUSY
    with alone_in(folder, BUSY):
        pass


def test_a_killed_holder_holds_nothing(tmp_path: Path) -> None:
    words = (
        "import os, sys, pathlib; from dubflow.locking import alone_in; from dubflow.errors import WrongUse\n"
        "with alone_in(pathlib.Path(sys.argv[1]), WrongUse('floor.busy', 'x')): os.kill(os.getpid(), 9)"
    )
    killed = subprocess.run([sys.executable, "-c", words, str(tmp_path)], check=False)
    assert killed.returncode == -9
    with alone_in(tmp_path, BUSY):
        pass


def test_who_has_patience_gets_it_when_the_holder_is_gone(tmp_path: Path) -> None:
    words = (
        "import sys, time, pathlib; from dubflow.locking import alone_in; from dubflow.errors import WrongUse\n"
        "with alone_in(pathlib.Path(sys.argv[1]), WrongUse('floor.busy', 'x')):\n"
        "    print('in', flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", words, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"in\n"
        with pytest.raises(WrongUse), alone_in(tmp_path, BUSY, patience_s=0.1):
            pass
        holder.kill()  # it goes on holding until the system has taken it down
        with alone_in(tmp_path, BUSY, patience_s=60):
            pass
