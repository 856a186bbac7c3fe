"""Native libraries that write to the terminal past Python are kept off it: standard output belongs to the answer."""

from __future__ import annotations

import os
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

_lock = threading.Lock()
_hiding = 0  # how many blocks are open, in all threads
_kept: dict[int, int] = {}


@contextmanager
def native_output_hidden() -> Iterator[None]:
    """Nothing written to file descriptors 1 and 2 inside is seen, from whatever language it comes.

    The descriptors belong to the whole process: the first block to open turns them away, the last to close turns them
    back, so blocks may overlap in several threads.
    """
    with _lock:
        _enter()
    try:
        yield
    finally:
        with _lock:
            _leave()


@contextmanager
def advice_hidden(library: Any) -> Iterator[None]:
    """Without advice and progress bars of ``library`` (transformers or diffusers) inside, as it was afterwards."""
    logging = library.utils.logging
    level, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(level)
        if bars:
            logging.enable_progress_bar()


def _enter() -> None:
    global _hiding
    if _hiding == 0:
        sys.stdout.flush()
        sys.stderr.flush()
        with tempfile.TemporaryFile() as sink:
            for stream in (1, 2):
                _kept[stream] = os.dup(stream)
                os.dup2(sink.fileno(), stream)
    _hiding += 1


def _leave() -> None:
    global _hiding
    _hiding -= 1
    if _hiding == 0:
        sys.stdout.flush()
        sys.stderr.flush()
        while _kept:
            stream, copy = _kept.popitem()
            os.dup2(copy, stream)
            os.close(copy)
