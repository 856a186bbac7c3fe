"""What child processes of the tests do; kept apart so that a child imports nothing else.

``held`` and ``killed`` put a wrapper around one call of the real code: it waits there for the other process, or is
killed there with SIGKILL.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from multiprocessing.context import ForkServerContext
from multiprocessing.queues import Queue
from multiprocessing.synchronize import Barrier
from pathlib import Path
from typing import Any

from dubflow.errors import DubflowError
from dubflow.registry.history import Change
from dubflow.registry.journal import Journal
from dubflow.registry.models import open_registry
from dubflow.registry.promoting import promote, rollback
from dubflow.registry.registering import register
from dubflow.registry.tracking_store import store_of

PRELOADED = [
    "mlflow.tracking",
    "mlflow.artifacts",
    "mlflow.store.tracking.sqlalchemy_store",
    "mlflow.store.model_registry.sqlalchemy_store",
    "registry.children",
]


def processes() -> ForkServerContext:
    """Children come from one server that has imported MLflow once."""
    import multiprocessing

    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(PRELOADED)
    return context


def held(barrier: Barrier) -> None:
    """Wait for the other process just before the first entry is written: both have then seen the same history."""
    append, waited = Journal.append, []

    def waiting(self: Journal, entry: Any) -> bool:
        if not waited:
            waited.append(True)
            barrier.wait(60)
        return append(self, entry)

    Journal.append = waiting  # type: ignore[method-assign]


def killed(owner: type, name: str, after: int) -> None:
    """Die at the call number ``after`` of a method, before it does anything."""
    method, calls = getattr(owner, name), []

    def dying(*args: Any, **options: Any) -> Any:
        calls.append(True)
        if len(calls) > after:
            os.kill(os.getpid(), signal.SIGKILL)
        return method(*args, **options)

    setattr(owner, name, dying)


def racing(
    uri: str, what: str, words: dict[str, Any], barrier: Barrier, answers: Queue[tuple[str, dict[str, Any]]]
) -> None:
    """Promote or roll back at the same moment as somebody else, and say how it went."""
    held(barrier)
    registry = open_registry(uri, note=lambda text: None)
    try:
        act: Callable[..., Any] = {"promote": promote, "rollback": rollback}[what]
        answers.put(("done", act(registry, **words).model_dump()))
    except DubflowError as error:
        answers.put((error.code, error.as_dict()))


def racing_to_register(uri: str, folder: Path, barrier: Barrier, answers: Queue[tuple[str, dict[str, Any]]]) -> None:
    """Register a package at the same moment as somebody else."""
    held(barrier)
    made = register(open_registry(uri, note=lambda text: None), folder, by="ann")
    answers.put(("done", vars(made)))


def dying(uri: str, what: str, words: dict[str, Any], owner: str, name: str, after: int) -> None:
    """Register, promote or roll back, and be killed at a call of a method on the way."""
    from mlflow.tracking import MlflowClient

    killed({"client": MlflowClient, "journal": Journal}[owner], name, after)
    registry = open_registry(uri, note=lambda text: None)
    {"register": register, "promote": promote, "rollback": rollback}[what](registry, **words)


def grown(uri: str, versions: int, who: str, barrier: Barrier, wins: Queue[tuple[str, int]]) -> None:
    """Register many versions as fast as possible, trying again whenever somebody else was quicker."""
    mine, lost = Journal(store_of(uri, Path("run"))), 0
    barrier.wait(60)
    for number in range(versions):
        while not mine.append(mine.state("m").registered(1 + number, "ab" * 32, Change(by=who, at="now"))):
            lost += 1
    wins.put((who, lost))
