"""Logs for machines: one line of JSON an event, and nothing in it that a user gave us.

What a line may hold is a list (:data:`FIELDS`); everything else that is passed to a logger is dropped, so a text, a
URL, a key or a file's name cannot slip in with a new log call. Of other libraries only where they spoke up is told,
since their messages may quote anything; of exceptions their kind and place.
"""

from __future__ import annotations

import json
import logging
import re
import sys
import threading
import time
from pathlib import Path
from typing import Any, TextIO

FIELDS = (
    "trace_id", "span_id", "job_id", "tenant", "key_id", "consent", "method", "route", "status", "seconds", "bytes",
    "code", "attempt", "stage", "state", "worker", "version", "engine", "mode", "kind", "where", "count", "port",
)  # fmt: skip
"""What may stand in a line beside time, level, event and logger."""
_PLAIN = re.compile(r"[\w .:/{}@+*,=-]{0,160}")
_OURS = "dubflow"


class JsonLines(logging.Formatter):
    """A record as one line."""

    def format(self, record: logging.LogRecord) -> str:
        """JSON with sorted keys; never raises for what it is given."""
        ours = record.name.partition(".")[0] == _OURS
        line: dict[str, Any] = {
            "time": time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created)) + f".{int(record.msecs):03d}Z",
            "level": record.levelname.lower(),
            "logger": record.name,
            # The template, without what would be filled in: templates are constants of our code, arguments are not.
            "event": str(record.msg) if ours else "library",
        }
        if not ours:
            line["where"] = f"{record.module}:{record.lineno}"
        for name in FIELDS:
            value = getattr(record, name, None) if ours else None
            if value is not None:
                line[name] = _plain(value)
        if record.exc_info and record.exc_info[1] is not None:
            line |= _raised(record.exc_info[1])
        return json.dumps(line, sort_keys=True)


def configure_logging(stream: TextIO | None = None, level: int = logging.INFO) -> None:
    """Send every logger of this process to ``stream`` (standard error) as JSON lines; uvicorn's access log ends."""
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(JsonLines())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.WARNING)
    logging.getLogger(_OURS).setLevel(level)
    for name in list(logging.root.manager.loggerDict):
        logger = logging.getLogger(name)
        logger.handlers[:] = []
        logger.propagate = True
    logging.getLogger("uvicorn.access").disabled = True  # it writes whole addresses
    logging.raiseExceptions = False
    logging.captureWarnings(True)
    sys.excepthook = lambda kind, error, trace: _uncaught(error)
    threading.excepthook = lambda told: _uncaught(told.exc_value)


def _uncaught(error: BaseException | None) -> None:
    # What Python would print of it may quote anything.
    if isinstance(error, KeyboardInterrupt | None):
        return
    logging.getLogger(_OURS).error("an exception that nobody caught", exc_info=error)


def _plain(value: object) -> object:
    if isinstance(value, bool | int):
        return value
    if isinstance(value, float):
        return round(value, 6)
    text = str(value)
    return text if _PLAIN.fullmatch(text) else "?"


def _raised(error: BaseException) -> dict[str, Any]:
    frame, where = error.__traceback__, ""
    while frame is not None:
        where = f"{Path(frame.tb_frame.f_code.co_filename).name}:{frame.tb_lineno}"
        frame = frame.tb_next
    return {"error": type(error).__name__, "where": where}
