"""docs/api.md says what the code does: statuses, limits, routes, and how a webhook is checked."""

from __future__ import annotations

import re
import time
from pathlib import Path
from typing import Any

import pytest

from dubflow.gateway.errors import STATUS
from dubflow.gateway.settings import GatewaySettings
from dubflow.gateway.webhooks import sign
from gateway.api import Api


@pytest.fixture(scope="module")
def page(repository: Path) -> str:
    return (repository / "docs" / "api.md").read_text(encoding="utf-8")


def test_statuses_are_those_of_the_code(page: str) -> None:
    rows = re.findall(r"^\| (\d{3}) \| (.+) \|$", page, re.MULTILINE)
    assert {code: int(status) for status, codes in rows for code in re.findall(r"`([\w.]+)`", codes)} == dict(STATUS)


def test_limits_are_those_of_the_settings(page: str) -> None:
    rows = re.findall(r"^\| `DUBFLOW_GATEWAY_(\w+)` \| ([\d.e+]+) \| (.+) \|$", page, re.MULTILINE)
    assert len(rows) >= 25
    for name, default, words in rows:
        field = GatewaySettings.model_fields[name.lower()]
        assert float(default) == field.default, name
        assert words == field.description


def test_routes_of_it_exist(page: str, api: Api) -> None:
    known = {re.sub(r"\{\w+\}", "X", path) for path in api.app.openapi()["paths"]}
    named = set(re.findall(r"(?:\$HOST|GET |POST |DELETE |and `)(/[\w/…]+)", page)) - {"/openapi"}
    assert len(named) >= 12
    for path in named:
        assert re.sub(r"(dub|con)_…", "X", path) in known, path


def test_the_webhook_check_of_it_tells_ours_from_others(page: str) -> None:
    (code,) = re.findall(r"```python\n(.+?)```", page, re.DOTALL)
    scope: dict[str, Any] = {}
    exec(code, scope)
    body, now = b'{"id": "whd_1"}', int(time.time())
    check = scope["is_ours"]
    assert check(b"secret", body, sign(b"secret", body, now))
    assert not check(b"other", body, sign(b"secret", body, now))
    assert not check(b"secret", body + b" ", sign(b"secret", body, now))
    assert not check(b"secret", body, sign(b"secret", body, now - 301))
    for header in ("", "t=1", "v1=00", "t=x,v1=y", f"t={now},v1="):
        assert not check(b"secret", body, header)
