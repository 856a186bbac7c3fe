"""Work spread over processes: results as they come, a clean stop on Ctrl-C, typed errors from the children.

Children are spawned, not forked: forking a process that has started threads (OpenCV, MediaPipe, torch) can deadlock.
"""

from __future__ import annotations

import ctypes
import multiprocessing
import os
import pickle
import signal
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from itertools import islice
from threading import Thread
from typing import TypeVar

from dubflow.errors import OurFault

Item = TypeVar("Item")
Result = TypeVar("Result")

_PR_SET_PDEATHSIG = 1
_LIBC = ctypes.CDLL(None)  # now, not in a child that was just forked


def default_workers() -> int:
    """Processor cores this process may use."""
    return len(os.sched_getaffinity(0))


def end_with_parent(by: signal.Signals = signal.SIGTERM) -> None:
    """Have the system end this process when its parent ends, however that ends; Linux only, as all of dubflow is."""
    _LIBC.prctl(_PR_SET_PDEATHSIG, by)


def _child_setup(packed_initializer: bytes) -> None:
    # The parent alone answers Ctrl-C and then ends the children; one traceback a worker helps nobody.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # A parent that was killed cannot end its children; they would wait for its next item for ever.
    end_with_parent()
    # A worker a core, each on one thread: nested thread pools only fight over the same cores.
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ[name] = "1"
    # Unpacked only now: it may import numpy, whose threads are counted at that moment.
    initializer: Callable[[], None] | None = pickle.loads(packed_initializer)  # noqa: S301 - packed by our parent
    if initializer is not None:
        initializer()


def map_unordered(
    function: Callable[[Item], Result],
    items: Iterable[Item],
    *,
    workers: int | None = None,
    initializer: Callable[[], None] | None = None,
) -> Iterator[tuple[Item, Result]]:
    """Yield ``(item, function(item))`` as results come, with at most ``2 * workers`` items in flight.

    ``function`` and ``initializer`` must be importable at module level. With ``workers=1`` everything runs here, in
    order, which is what a debugger wants. The first error of a child ends the map and is raised here.

    Raises:
        OurFault: ``parallel.child_died`` when a worker was killed (out of memory, signal).
    """
    count = default_workers() if workers is None else workers
    if count <= 1:
        if initializer is not None:
            initializer()
        for item in items:
            yield item, function(item)
        return
    source = iter(items)
    pool = ProcessPoolExecutor(
        max_workers=count,
        mp_context=multiprocessing.get_context("spawn"),
        initializer=_child_setup,
        initargs=(pickle.dumps(initializer),),
    )
    pending: dict[Future[Result], Item] = {}
    finished = False
    try:
        for item in islice(source, 2 * count):
            pending[pool.submit(function, item)] = item
        while pending:
            done, _ = wait(pending, return_when=FIRST_COMPLETED)
            for future in done:
                item = pending.pop(future)
                yield item, future.result()
                for following in islice(source, 1):
                    pending[pool.submit(function, following)] = following
        finished = True
    except BrokenProcessPool as error:
        raise OurFault(
            "parallel.child_died",
            "A worker process died before it could finish its item.",
            "Most often memory ran out: run again with fewer --workers; finished items are kept.",
        ) from error
    finally:
        if finished:
            pool.shutdown()
        else:
            _abandon(pool)


def _abandon(pool: ProcessPoolExecutor) -> None:
    # Running items cannot be cancelled, and waiting for them would make Ctrl-C feel broken: end the children.
    children = list((pool._processes or {}).values())
    manager: Thread | None = pool._executor_manager_thread  # type: ignore[assignment]  # the stubs name another class
    pool.shutdown(wait=False, cancel_futures=True)
    for child in children:
        child.terminate()
    # The pool's own thread reaps children as well; where both do at once, ours would take one for still running.
    if manager is not None:
        manager.join(timeout=5)
    for child in children:
        child.join(timeout=5)
