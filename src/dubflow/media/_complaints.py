"""Inside the decoding process: what FFmpeg's log says went wrong, kept for a better error; nothing is printed."""

from __future__ import annotations

import logging
import re
from collections import deque

import av

_MOST_KEPT = 64
_REFUSED_SIZE = re.compile(r"Picture size (\d{1,10})x(\d{1,10}) (?:is invalid|exceeds)")
_kept: deque[str] = deque(maxlen=_MOST_KEPT)


class _Keep(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        _kept.append(record.getMessage()[:500])


def listen() -> None:
    """Keep FFmpeg's latest errors from now on."""
    logger = logging.getLogger("libav")
    logger.addHandler(_Keep())
    logger.propagate = False
    av.logging.set_level(av.logging.ERROR)


def refused_size() -> tuple[int, int] | None:
    """Width and height of a picture that FFmpeg refused to set memory aside for, if it did."""
    for message in _kept:
        if found := _REFUSED_SIZE.search(message):
            return int(found[1]), int(found[2])
    return None
