"""Nothing that a user gave us stands in a log, whatever was logged and whatever went wrong."""

from __future__ import annotations

import ast
import io
import json
import logging
import sys
import threading
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dubflow.gateway.logs import FIELDS, JsonLines, configure_logging
from gateway.api import Api, make_clip
from gateway.test_consent import recorded

FIXED = {"time", "level", "logger", "event"}
SECRET = "s3cretw0rd"


@pytest.fixture
def lines() -> Iterator[io.StringIO]:
    """What is logged in this test; the loggers of this process are put back."""
    loggers = [logging.getLogger(), *map(logging.getLogger, list(logging.root.manager.loggerDict))]
    before = [(one, one.handlers[:], one.level, one.propagate, one.disabled) for one in loggers]
    raising, hooks = logging.raiseExceptions, (sys.excepthook, threading.excepthook)
    stream = io.StringIO()
    configure_logging(stream)
    yield stream
    logging.raiseExceptions = raising
    logging.captureWarnings(False)
    sys.excepthook, threading.excepthook = hooks
    for one, handlers, level, propagate, disabled in before:
        one.handlers[:], one.propagate, one.disabled = handlers, propagate, disabled
        one.setLevel(level)


def parsed(stream: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_a_line_has_its_fields_and_nothing_else(lines: io.StringIO) -> None:
    log = logging.getLogger("dubflow.gateway.test")
    log.info(
        "something %s happened", SECRET, extra={"job_id": "dub_1", "text": SECRET, "seconds": 0.12345678, "count": 3}
    )
    log.warning("named", extra={"tenant": f"{SECRET}\n{{}}", "route": "/v1/dubs/{dub}", "status": 200})
    first, second = parsed(lines)
    assert set(first) == FIXED | {"job_id", "seconds", "count"}
    assert (first["event"], first["seconds"], first["count"]) == ("something %s happened", 0.123457, 3)
    assert (second["tenant"], second["route"], second["level"]) == ("?", "/v1/dubs/{dub}", "warning")
    assert SECRET not in lines.getvalue()


def test_of_exceptions_only_kind_and_place(lines: io.StringIO) -> None:
    try:
        raise ValueError(SECRET)
    except ValueError:
        logging.getLogger("dubflow.x").exception("it failed")
    (line,) = parsed(lines)
    assert line["error"] == "ValueError"
    assert line["where"].startswith("test_logs.py:")
    assert SECRET not in lines.getvalue()


def test_what_python_itself_would_print_is_told_so_too(lines: io.StringIO) -> None:
    def fails() -> None:
        raise RuntimeError(SECRET)

    thread = threading.Thread(target=fails)
    thread.start()
    thread.join()
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        warnings.warn(SECRET, stacklevel=1)
    found = parsed(lines)
    assert [one["event"] for one in found] == ["an exception that nobody caught", "library"]
    assert found[0]["error"] == "RuntimeError"
    assert SECRET not in lines.getvalue()


def test_other_libraries_say_only_where(lines: io.StringIO) -> None:
    logging.getLogger("sqlalchemy.engine").error(f"INSERT INTO jobs VALUES ({SECRET!r})")
    (line,) = parsed(lines)
    assert line == {key: line[key] for key in (*FIXED, "where")}
    assert line["event"] == "library"
    assert SECRET not in lines.getvalue()


@given(st.dictionaries(st.sampled_from(FIELDS), st.text() | st.floats() | st.integers() | st.binary() | st.none()))
@settings(deadline=None)
def test_every_record_is_one_line_of_json(extra: dict[str, Any]) -> None:
    record = logging.LogRecord("dubflow.x", logging.INFO, "x.py", 1, "event", (), None)
    record.__dict__.update(extra)
    text = JsonLines().format(record)
    assert "\n" not in text
    assert set(json.loads(text)) <= FIXED | set(FIELDS)


def test_what_is_logged_is_a_constant_of_our_code(repository: Path) -> None:
    # The template of a record is written as it is: it must never be put together from anything.
    looked = 0
    for path in sorted((repository / "src" / "dubflow").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)):
                continue
            if ast.unparse(node.func.value) not in ("_log", "log", "logger", "logging"):
                continue
            if node.func.attr in ("debug", "info", "warning", "error", "exception", "critical"):
                looked += 1
                assert isinstance(node.args[0], ast.Constant), f"{path.name}:{node.lineno}"
    assert looked > 10


def test_secrets_in_every_field_of_a_dub_reach_no_log(api: Api, lines: io.StringIO, tmp_path: Path) -> None:
    clip = make_clip(tmp_path / f"{SECRET}.mp4", seed=4)
    key = api.upload(clip)
    consent = recorded(
        api, clip, person=f"Maria {SECRET}", how=f"{SECRET}", scope=SECRET, recorded_by=SECRET,
    )  # fmt: skip
    made = api.submit(
        key, text=f"Good {SECRET} morning.", reference="self", consent=consent, webhook=f"https://{SECRET}.invalid/{SECRET}",
        headers={"Idempotency-Key": SECRET, "User-Agent": SECRET, "traceparent": SECRET},
    )  # fmt: skip
    assert made.status_code == 202, made.text
    api.ask(
        "POST",
        "/v1/dubs",
        data={"clip": "", "text": SECRET, "language": "en"},
        files={"clip": (f"{SECRET}.mp4", clip.read_bytes())},
    )
    api.work()
    api.ask("GET", f"/v1/dubs/{made.json()['id']}/video")
    # And wherever it is refused.
    api.submit(SECRET, text=SECRET)
    api.submit(key, text=SECRET, language=SECRET)
    api.submit(key, text=SECRET, voice=SECRET)
    api.ask("GET", f"/v1/{SECRET}?{SECRET}={SECRET}")
    api.ask("DELETE", f"/v1/consents/{SECRET}", params={"reason": SECRET})
    api.ask("POST", "/v1/dubs", content=b'{"' + SECRET.encode(), headers={"Content-Type": "application/json"})
    api.client.get("/v1/dubs", headers={"Authorization": f"Bearer dubflow_{SECRET}"})
    text = lines.getvalue()
    assert SECRET not in text
    assert all(secret.rpartition("_")[2] not in text for secret in api.keys.values())
    assert str(tmp_path) not in text
    events = {one["event"] for one in parsed(lines)}
    assert {"request", "job taken", "job left"} <= events
    requests = [one for one in parsed(lines) if one["event"] == "request"]
    assert {one["status"] for one in requests} >= {201, 202, 200, 404, 401}
    assert all(set(one) <= FIXED | set(FIELDS) | {"error"} for one in parsed(lines))
