"""Native libraries that write to the terminal past Python are kept off it: standard output belongs to the answer."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def native_output_hidden() -> Iterator[None]:
    """Nothing written to file descriptors 1 and 2 inside is seen, from whatever language it comes."""
    sys.stdout.flush()
    sys.stderr.flush()
    kept = {stream: os.dup(stream) for stream in (1, 2)}
    with tempfile.TemporaryFile() as sink:
        try:
            for stream in kept:
                os.dup2(sink.fileno(), stream)
            yield
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            for stream, copy in kept.items():
                os.dup2(copy, stream)
                os.close(copy)
