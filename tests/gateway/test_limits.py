"""Limits: buckets fill at their rate, slots come back, a hair's breadth is forgiven."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dubflow.errors import BadInput, DubflowError, WrongUse
from dubflow.gateway.jobs.job import Counts
from dubflow.gateway.limits import Rate, Slots, admit, soft, too_many_uploads
from dubflow.gateway.settings import GatewaySettings
from gateway.api import running

SETTINGS = GatewaySettings(state=Path("unused"), tolerance=0.02, tenant_jobs=3, queue_jobs=10, queue_wait_s=100)


def _refuse(told: str) -> BadInput:
    return BadInput("gateway.x", told)


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@settings(deadline=None, max_examples=60)
@given(st.lists(st.floats(0, 5), min_size=1, max_size=80), st.integers(1, 10), st.floats(6, 600))
def test_a_bucket_never_gives_more_than_its_burst_and_rate(gaps: list[float], burst: int, a_minute: float) -> None:
    clock = Clock()
    rate = Rate(a_minute, burst, clock)
    for taken, gap in enumerate(gaps, 1):
        clock.now += gap
        try:
            rate.take("a")
        except WrongUse as refused:
            wait = refused.details["retry_after_s"]
            assert wait >= 1
            clock.now += wait
            rate.take("a")  # whoever waits as told is served
        assert taken <= burst + clock.now * a_minute / 60 + 1e-6


def test_tenants_do_not_share_a_bucket() -> None:
    rate = Rate(60, 1, Clock())
    rate.take("a")
    with pytest.raises(WrongUse, match=r"gateway\.rate_limited"):
        rate.take("a")
    rate.take("b")


def test_slots_come_back_however_they_are_left() -> None:
    slots = Slots(2, too_many_uploads)
    with slots.one("a"), slots.one("a"):
        with slots.one("b"):
            pass
        with pytest.raises(WrongUse, match=r"gateway\.too_many_uploads"), slots.one("a"):
            pass
        with pytest.raises(ZeroDivisionError), slots.one("b"):
            raise ZeroDivisionError
        assert slots.taken == 2
    assert slots.taken == 0


@given(st.floats(0.1, 1e6), st.floats(0, 3))
def test_a_soft_limit_is_silent_then_a_notice_then_an_error(limit: float, ratio: float) -> None:
    value = limit * ratio
    if value <= limit:
        assert soft(value, limit, SETTINGS, _refuse, "It has") is None
    elif value <= limit * 1.02:
        assert "only a little more" in (soft(value, limit, SETTINGS, _refuse, "It has") or "")
    else:
        with pytest.raises(BadInput, match=r"gateway\.x"):
            soft(value, limit, SETTINGS, _refuse, "It has")


def test_thirty_seconds_and_a_half_pass_where_thirty_are_the_limit() -> None:
    notice = soft(30.4, 30.0, SETTINGS, _refuse, "The clip has", " s")
    assert notice == "The clip has 30.4 s; the limit is 30 s; taken all the same, it is only a little more"


def _counts(queued: int = 0, wait_s: float | None = None, **more: dict[str, int]) -> Counts:
    return Counts(queued, 0, 0.0, more.get("running_of", {}), more.get("queued_of", {}), {}, wait_s)


@pytest.mark.parametrize(
    ("counts", "code"),
    [
        (_counts(9, 99.0), None),
        (_counts(queued_of={"a": 1}, running_of={"a": 1}), None),
        (_counts(queued_of={"a": 2}, running_of={"a": 1}), "gateway.too_many_jobs"),
        (_counts(queued_of={"b": 9}), None),
        (_counts(10), "gateway.overloaded"),
        (_counts(2, 101.0), "gateway.overloaded"),
    ],
)
def test_jobs_are_taken_on_while_there_is_room(counts: Counts, code: str | None) -> None:
    if code is None:
        admit(counts, "a", SETTINGS)
        return
    with pytest.raises(DubflowError) as refused:
        admit(counts, "a", SETTINGS)
    assert refused.value.code == code
    wait = refused.value.details["retry_after_s"]
    assert math.isfinite(wait)
    assert 1 <= wait <= 600


def test_who_asks_too_often_is_told_when_to_come_back(tmp_path: Path) -> None:
    with running(tmp_path, burst=3, requests_a_minute=6) as api:
        answers = [api.ask("GET", "/v1/voices") for _ in range(4)]
        assert [one.status_code for one in answers] == [200, 200, 200, 429]
        assert 9 <= int(answers[-1].headers["retry-after"]) <= 10
        assert api.ask("GET", "/v1/voices", "two").status_code == 200
        assert api.client.get("/healthz").status_code == 200
