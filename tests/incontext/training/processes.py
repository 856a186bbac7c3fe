"""``dubflow WORDS`` in processes of their own, some of which die."""

from __future__ import annotations

import itertools
import os
import signal
import socket
import sys
from collections.abc import Sequence
from multiprocessing import get_context
from pathlib import Path
from typing import Any

FORKS = get_context("forkserver")
FORKS.set_forkserver_preload(["dubflow.incontext.training.run", "dubflow.cli.main"])


def run(words: list[str], told: Path, environment: dict[str, str], death: tuple[str, int] | None) -> None:
    """The program in this process; ``death`` is ``("batch", n)``, ``("write", n)`` or ``("encode", n)``."""
    from dubflow.cli import main as program

    with open(told, "a", buffering=1) as stream:
        os.dup2(stream.fileno(), 1)
        os.dup2(stream.fileno(), 2)
    os.environ.update(environment)
    sys.argv = ["dubflow", *words]
    signal.signal(signal.SIGINT, signal.default_int_handler)
    if death is not None:
        _will_die(*death)
    program.run()


def _will_die(where: str, number: int) -> None:
    from dubflow.corpora.cache import Store
    from dubflow.incontext.training.module import LoraModule
    from dubflow.training import checkpoints

    places: dict[str, tuple[Any, str]] = {
        "batch": (LoraModule, "training_step"),
        "write": (checkpoints, "save_file"),
        "encode": (Store, "put"),
    }
    place, name = places[where]
    original, count = getattr(place, name), itertools.count(1)

    def dying(*args: Any, **kwargs: Any) -> Any:
        answer = original(*args, **kwargs)
        if next(count) == number:
            if where == "write":
                os.truncate(args[1], Path(args[1]).stat().st_size // 2)
            os.kill(os.getpid(), signal.SIGKILL)
        return answer

    setattr(place, name, dying)


def finished(words: Sequence[str | Path], told: Path, death: tuple[str, int] | None = None) -> int:
    """Run to its end; the exit code."""
    process = FORKS.Process(target=run, args=([str(word) for word in words], told, {}, death))
    process.start()
    process.join(300)
    assert process.exitcode is not None
    return process.exitcode


def on_two(words: Sequence[str | Path], folder: Path) -> list[int]:
    """In two processes that train together, as torchrun would start them; their exit codes."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    shared = {
        "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "TORCHELASTIC_RUN_ID": "tests", "GROUP_RANK": "0",
        "WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "2", "OMP_NUM_THREADS": "1",
    }  # fmt: skip
    running = []
    for rank in (0, 1):
        environment = {**shared, "RANK": str(rank), "LOCAL_RANK": str(rank)}
        told = folder / f"told.{rank}.txt"
        process = FORKS.Process(target=run, args=([str(word) for word in words], told, environment, None))
        process.start()
        running.append(process)
    for process in running:
        process.join(300)
    return [process.exitcode if process.exitcode is not None else -1 for process in running]
