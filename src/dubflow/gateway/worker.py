"""``python -m dubflow.gateway.worker --state DIR``: takes jobs, one after another, and does them.

It may be killed at any moment. On SIGTERM (or Ctrl-C) it takes no new job and finishes the one it has, if that is done
within ``--drain`` seconds; otherwise, and on a second signal, it hands the job back for another worker. Several may run
on one machine or many. Beside the work each keeps house: leases that are over, webhooks that are due, files whose time
has come; with many workers each of these is still done once.
"""

from __future__ import annotations

import argparse
import logging
import secrets
import shutil
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from types import FrameType

from dubflow.errors import DubflowError, OurFault
from dubflow.gateway.consent import ConsentStore
from dubflow.gateway.database import Database
from dubflow.gateway.jobs.doing import Speaker, Tools
from dubflow.gateway.jobs.queue import JobQueue
from dubflow.gateway.jobs.working import Worker
from dubflow.gateway.logs import configure_logging
from dubflow.gateway.metrics import Meters, Publisher
from dubflow.gateway.retention import Retention
from dubflow.gateway.settings import GatewaySettings, load_settings
from dubflow.gateway.speakers import following, speakers_of
from dubflow.gateway.tables import migrate
from dubflow.gateway.uploads import UploadStore
from dubflow.gateway.webhooks import Webhooks, webhook_secret
from dubflow.gateway.worker_metrics import told_by_itself
from dubflow.locking import alone_in
from dubflow.storage import Objects

_KEEP_S = 5.0
_RETENTION_S = 300.0
_WEBHOOKS_S = 0.5
_PATIENCE_S = 30.0

_log = logging.getLogger("dubflow.gateway.worker")


class Housekeeping:
    """What goes on beside jobs, each in a thread of its own; a context manager."""

    def __init__(self, queue: JobQueue, webhooks: Webhooks, retention: Retention) -> None:
        self._ended, self._webhooks = threading.Event(), webhooks
        chores: list[tuple[Callable[[], object], float]] = [
            (queue.take_back, _KEEP_S),
            (webhooks.deliver_due, _WEBHOOKS_S),
            (retention.run, _RETENTION_S),
        ]
        self._threads = [threading.Thread(target=self._every, args=chore, daemon=True) for chore in chores]

    def __enter__(self) -> Housekeeping:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._webhooks.stop()
        for thread in self._threads:
            thread.join(timeout=15)  # a delivery is bounded, and may be cut off: it is sent again

    def _every(self, chore: Callable[[], object], seconds: float) -> None:
        while not self._ended.wait(seconds):
            try:
                chore()
            except DubflowError as error:
                _log.warning("a chore failed", extra={"code": error.code})
            except Exception:
                _log.exception("a chore failed for no known reason")


@contextmanager
def own_scratch(root: Path) -> Iterator[Path]:
    """A folder in ``root`` for this worker while it lives; those of workers that are no more are removed."""
    taken = OurFault("gateway.scratch_taken", "Other workers hold the folder of scratch files.", "Start it again.")
    folder = root / secrets.token_hex(8)
    with ExitStack() as stack:
        # Alone until the new folder is held: one that is not held yet looks like a dead worker's.
        with alone_in(root, taken, _PATIENCE_S):
            for old in [path for path in sorted(root.iterdir()) if path.is_dir()]:
                with suppress(DubflowError, OSError), alone_in(old, taken):
                    shutil.rmtree(old, ignore_errors=True)
            stack.enter_context(alone_in(folder, taken))
        stack.callback(shutil.rmtree, folder, ignore_errors=True)
        yield folder


def serve(
    settings: GatewaySettings,
    speaker: Callable[[], Speaker],
    *,
    name: str | None = None,
    drain_s: float = 30.0,
    once: bool = False,
    signals: bool = True,
) -> int:
    """Run a worker of a deployment to its end; how many attempts it made.

    Args:
        speaker: the engine for the next job. signals: whether SIGTERM and SIGINT drain it (main thread only).

    Raises:
        OurFault: ``gateway.database_busy``, ``gateway.database_failed``. BadInput: ``gateway.newer_database``.
    """
    database = Database(settings.database_url)
    migrate(database)
    objects = Objects(settings.files_root)
    queue = JobQueue(database, lease_s=settings.lease_s, attempts=settings.attempts)
    meters = Meters("worker")
    tools = Tools(settings, objects, ConsentStore(database), speaker)
    webhooks = Webhooks(database, webhook_secret(settings), allowed=settings.webhook_hosts, meters=meters)
    retention = Retention(database, objects, UploadStore(database, objects), settings.retention_days)
    with ExitStack() as stack:
        scratch = stack.enter_context(own_scratch(settings.scratch_root))
        worker = Worker(tools, queue, scratch, name=name, drain_s=drain_s, meters=meters)
        if signals:
            stack.enter_context(_drained_by_signals(worker))

        def beat() -> None:
            meters.set("dubflow_worker_seen_timestamp_seconds", time.time(), worker=worker.name)

        port = settings.worker_metrics_port
        if port is None:
            stack.enter_context(Publisher(meters, settings.state, beat=beat))
        else:
            stack.enter_context(told_by_itself(meters, settings.state, (settings.host, port), beat))
        stack.enter_context(following(settings))
        stack.enter_context(Housekeeping(queue, webhooks, retention))
        _log.info("worker ready", extra={"worker": worker.name})
        attempts = worker.run(once=once)
    database.close()
    _log.info("worker ends", extra={"worker": worker.name, "count": attempts})
    return attempts


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; answers its exit code."""
    parser = argparse.ArgumentParser(prog="python -m dubflow.gateway.worker", description="Takes jobs and does them.")
    parser.add_argument("--state", type=Path, help="folder of the serving state; DUBFLOW_GATEWAY_STATE without")
    parser.add_argument("--name", help="of this worker, in logs and metrics")
    parser.add_argument("--drain", type=float, default=30.0, help="seconds that a job may still take after SIGTERM")
    parser.add_argument("--once", action="store_true", help="end when no job is due")
    given = parser.parse_args(arguments)
    configure_logging()
    try:
        settings = load_settings(state=given.state)
        serve(
            settings,
            speakers_of(settings),
            name=given.name,
            drain_s=given.drain,
            once=given.once,
        )
    except DubflowError as error:
        _log.error("the worker cannot run", extra={"code": error.code})
        sys.stderr.write(f"{error}\n")
        return int(error.exit_code)
    return 0


@contextmanager
def _drained_by_signals(worker: Worker) -> Iterator[None]:
    def told(_signal: int, _frame: FrameType | None) -> None:
        worker.drain(now=worker.stopping.is_set())

    before = {number: signal.signal(number, told) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


if __name__ == "__main__":
    sys.exit(main())
