"""The clean process: what it promises when engines crash, hang, or lose their parent."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from dubflow.errors import OurFault
from dubflow.speech._child import EngineProcess

ENGINE = """
    import os, signal, time
    count = 0

    def echo(job, payload):
        global count
        count += 1
        return {"ok": True, "said": job["text"], "count": count, "parent": os.getppid()}, payload[::-1]

    def crash(job, payload):
        os.kill(os.getpid(), signal.SIGSEGV)

    def hang(job, payload):
        open(job["file"], "w").write(str(os.getpid()))
        time.sleep(600)

    def grow(job, payload):
        return {"ok": True}, bytes(4 << 30)

    def refuse(job, payload):
        raise RuntimeError("not that")

    def shout(job, payload):
        print("noise on standard output", flush=True)
        return {"ok": True}, b""

    def start(arguments):
        if arguments == ["broken"]:
            raise OSError("no library here")
        return {"arguments": arguments}, {f.__name__: f for f in (echo, crash, hang, grow, refuse, shout)}
"""


@pytest.fixture
def engine_file(tmp_path: Path) -> Path:
    path = tmp_path / "engine.py"
    path.write_text(textwrap.dedent(ENGINE))
    return path


@pytest.fixture
def start(engine_file: Path) -> Iterator[Callable[..., EngineProcess]]:
    started: list[EngineProcess] = []

    def make(*arguments: str, timeout_s: float = 20.0) -> EngineProcess:
        process = EngineProcess("test", "test", lambda: (["-I", "-S"], engine_file, list(arguments)), timeout_s)
        started.append(process)
        return process

    yield make
    for process in started:
        process.close()


def alive(pid: int) -> bool:
    """Whether the process runs: neither gone nor a zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def eventually(condition: Callable[[], bool], seconds: float = 20.0) -> bool:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if condition():
            return True
        time.sleep(0.02)
    return False


def test_jobs_are_answered_in_order_from_the_same_fresh_state(start: Callable[..., EngineProcess]) -> None:
    process = start("one", "two")
    answers = process.request([{"op": "echo", "text": t} for t in "äöü"], [b"ab", b"", b"cd" * 100_000])
    assert [header["said"] for header, _ in answers] == ["ä", "ö", "ü"]
    assert [payload for _, payload in answers] == [b"ba", b"", b"dc" * 100_000]
    assert {header["count"] for header, _ in answers} == {1}, "a job saw what an earlier one left behind"
    assert process.greeting["arguments"] == ["one", "two"]


def test_a_crash_is_an_answer_and_the_next_job_runs(start: Callable[..., EngineProcess]) -> None:
    crashed, fine = start().request([{"op": "crash"}, {"op": "echo", "text": "x"}])
    assert not crashed[0]["ok"]
    assert "SIGSEGV" in crashed[0]["problem"]
    assert fine[0]["said"] == "x"


@pytest.mark.parametrize(("op", "says"), [("refuse", "not that"), ("grow", "broke down"), ("unheard_of", "broke down")])
def test_failures_say_what_happened(start: Callable[..., EngineProcess], op: str, says: str) -> None:
    ((header, _),) = start().request([{"op": op}])
    assert not header["ok"]
    assert says in header["problem"]


def test_printing_engines_do_not_disturb_the_frames(start: Callable[..., EngineProcess]) -> None:
    process = start()
    assert process.request([{"op": "shout"}])[0][0]["ok"]
    assert process.request([{"op": "echo", "text": "x"}])[0][0]["said"] == "x"


def test_a_hanging_job_is_ended(start: Callable[..., EngineProcess], tmp_path: Path) -> None:
    process = start(timeout_s=0.5)
    ((header, _),) = process.request([{"op": "hang", "file": str(tmp_path / "pid")}])
    assert not header["ok"]
    assert "longer than 0.5 s" in header["problem"]
    assert not alive(int((tmp_path / "pid").read_text()))


def test_an_engine_that_does_not_start_is_reported(start: Callable[..., EngineProcess]) -> None:
    with pytest.raises(OurFault, match="no library here") as caught:
        start("broken").request([{"op": "echo", "text": "x"}])
    assert caught.value.code == "speech.engine_unavailable"


def test_a_stuck_zygote_is_a_typed_error_and_comes_back(
    start: Callable[..., EngineProcess], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dubflow.speech._child._GRACE_S", 0.3)
    process = start()
    zygote = process.request([{"op": "echo", "text": "x"}])[0][0]["parent"]
    os.kill(zygote, signal.SIGSTOP)
    process.timeout_s = 0.0
    with pytest.raises(OurFault) as caught:
        process.request([{"op": "echo", "text": "x"}])
    assert caught.value.code == "speech.engine_lost"
    assert not alive(zygote)
    monkeypatch.undo()
    process.timeout_s = 20.0
    assert process.request([{"op": "echo", "text": "again"}])[0][0]["said"] == "again"


def test_closing_ends_the_process_and_twice_is_fine(start: Callable[..., EngineProcess]) -> None:
    process = start()
    zygote = process.request([{"op": "echo", "text": "x"}])[0][0]["parent"]
    process.close()
    process.close()
    assert not alive(zygote)


def test_no_orphans_when_the_parent_is_killed(engine_file: Path, tmp_path: Path) -> None:
    script = f"""
from pathlib import Path
from dubflow.speech._child import EngineProcess
process = EngineProcess("t", "t", lambda: (["-I", "-S"], Path({str(engine_file)!r}), []), 500.0)
print(process.request([dict(op="echo", text="x")])[0][0]["parent"], flush=True)
process.request([dict(op="hang", file={str(tmp_path / "pid")!r})])
"""
    parent = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    zygote = int(parent.stdout.readline())
    assert eventually(lambda: (tmp_path / "pid").exists() and (tmp_path / "pid").read_text() != "")
    child = int((tmp_path / "pid").read_text())
    assert alive(zygote)
    assert alive(child)
    parent.kill()
    parent.wait()
    parent.stdout.close()
    assert eventually(lambda: not alive(zygote)), "the zygote outlived its parent"
    assert eventually(lambda: not alive(child)), "a job outlived its zygote"


def test_a_job_dies_with_a_killed_zygote(start: Callable[..., EngineProcess], tmp_path: Path) -> None:
    import threading

    process = start(timeout_s=60.0)
    zygote = process.request([{"op": "echo", "text": "x"}])[0][0]["parent"]
    errors: list[OurFault] = []

    def ask() -> None:
        try:
            process.request([{"op": "hang", "file": str(tmp_path / "pid")}])
        except OurFault as error:
            errors.append(error)

    thread = threading.Thread(target=ask)
    thread.start()
    assert eventually(lambda: (tmp_path / "pid").exists() and (tmp_path / "pid").read_text() != "")
    os.kill(zygote, signal.SIGKILL)
    thread.join(timeout=20)
    assert [error.code for error in errors] == ["speech.engine_lost"]
    child = int((tmp_path / "pid").read_text())
    assert eventually(lambda: not alive(child))


def test_a_forked_caller_gets_a_zygote_of_its_own(start: Callable[..., EngineProcess]) -> None:
    process = start()
    mine = process.request([{"op": "echo", "text": "x"}])[0][0]["parent"]
    read_end, write_end = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            theirs = process.request([{"op": "echo", "text": "y"}])[0][0]["parent"]
            os.write(write_end, str(theirs).encode())
            process.close()
        finally:
            os._exit(0)
    os.close(write_end)
    theirs = int(os.read(read_end, 100))
    os.close(read_end)
    os.waitpid(child, 0)
    assert theirs != mine
    assert process.request([{"op": "echo", "text": "z"}])[0][0]["parent"] == mine
