"""Names are found in expressions, and a scrape is kept without anything that was in it."""

from __future__ import annotations

import math
import re
from http import HTTPStatus
from pathlib import Path

import pytest
import yaml
from fastapi.routing import APIRoute
from hypothesis import given, settings
from hypothesis import strategies as st

from dubflow.gateway.metric_table import METRICS as TABLE
from dubflow.gateway.metrics import Meters, exposition
from dubflow.platform.monitoring.catalogue import METRICS, kept, known, names_in, scraped
from dubflow.platform.telemetry import TABLE as TELEMETRY

NAME = st.from_regex(r"[a-z][a-z_]{2,12}:?[a-z]{1,5}", fullmatch=True).filter(
    lambda one: one not in ("and", "or", "unless", "bool", "offset", "inf", "nan", "by", "without")
)


@pytest.mark.parametrize(
    ("expression", "names"),
    [
        ("up == 0", {"up"}),
        (
            'sum by (le, job) (rate(a_bucket{le="5.0",route!~"/b|c"}[5m])) / on (x) group_left () d:e_f',
            {"a_bucket", "d:e_f"},
        ),
        ("1e6 * a or b and on() c unless d offset 1d > bool 0x10", {"a", "b", "c", "d"}),
        ("histogram_quantile(0.95, sum without (i) (rate(h_bucket[$__rate_interval])))", {"h_bucket"}),
        ('absent(a{b="c{d}\\"e"}) > Inf', {"a"}),
        ("a / on (x) group_left b * ignoring (y) group_right () c", {"a", "b", "c"}),
        ("time() - vector(1)", set()),
    ],
)
def test_names_in_expressions(expression: str, names: set[str]) -> None:
    assert names_in(expression) == names


@given(NAME, NAME, st.sampled_from(("5m", "1d", "$__rate_interval")))
@settings(deadline=None, max_examples=60)
def test_names_survive_whatever_is_done_with_them(one: str, other: str, window: str) -> None:
    assert names_in(f'sum by ({other}_label) (rate({one}{{x="{other}"}}[{window}])) > 2 or ({other})') == {one, other}


def test_a_scrape_is_kept_without_values() -> None:
    meters = Meters("gateway")
    meters.count("dubflow_http_requests_total", method="GET", route="/secret", status="200")
    meters.observe("dubflow_http_request_seconds", 0.3, method="GET", route="/secret")
    meters.set("dubflow_http_requests_open", 7)
    text = exposition(meters.families())[0].decode() + "# TYPE process_max_fds gauge\nprocess_max_fds 9\n"
    small = kept(text)
    assert "secret" not in small
    assert "GET" not in small
    assert "process_" not in small
    assert {line.rpartition(" ")[2] for line in small.splitlines() if not line.startswith("#")} == {"0"}
    assert kept(small) == small
    found, before = scraped(small, "s"), scraped(text, "s")
    assert {name: one.labels for name, one in found.items()} == {
        name: one.labels for name, one in before.items() if not name.endswith("_created") and name != "process_max_fds"
    }
    bounds = found["dubflow_http_request_seconds_bucket"].bounds
    assert bounds == before["dubflow_http_request_seconds_bucket"].bounds
    assert "5.0" in bounds


def test_a_real_scrape_of_every_part_is_kept_and_has_what_our_tables_have(repository: Path) -> None:
    for name in ("gateway", "worker", "triton", "telemetry"):
        text = (repository / METRICS / f"{name}.txt").read_text("utf-8")
        assert kept(text) == text
        assert scraped(text, name)
    found = known(repository)
    for one in (*TABLE, *TELEMETRY):
        if one.name == "dubflow_consent_refusals_total":  # without a refusal it has no series
            continue
        series = f"{one.name}_count" if one.kind == "histogram" else one.name
        assert series in found, f"{one.name} is in no scrape: run tools/monitoring_live.py"
        assert found[series].labels == set(one.labels)
    assert "nv_inference_pending_request_count" in found


def test_labels_are_few_and_none_is_open_to_what_users_send(repository: Path) -> None:
    """Label names that may be used; each has a bounded set of values, and a series never names a person or a file."""
    bounded = {
        "method", "route", "status", "code", "state", "outcome", "kind", "stage", "worker", "role", "version", "engine",
        "world", "mode", "feature", "run", "part", "decision", "model", "action", "override",
    }  # fmt: skip
    assert {label for one in (*TABLE, *TELEMETRY) for label in one.labels} <= bounded
    assert all(len(one.labels) <= 4 for one in (*TABLE, *TELEMETRY))
    for name, one in known(repository).items():
        if name.startswith("dubflow_"):
            assert one.labels - {"le"} <= bounded


def test_no_client_can_make_more_series_than_a_scrape_may_have(repository: Path) -> None:
    """Every method on every route with every status and every code at once: still below the door's `sampleLimit`."""
    from dubflow.gateway.app import ROUTERS
    from dubflow.gateway.observing import _METHODS

    routes = (
        len({route.path for module in ROUTERS for route in module.router.routes if isinstance(route, APIRoute)}) + 1
    )
    codes = len(re.findall(r"^\| `", (repository / "docs" / "errors.md").read_text("utf-8"), re.MULTILINE))
    values = {"method": len(_METHODS) + 1, "route": routes, "status": len(HTTPStatus) + 1, "code": codes}
    series = 0
    for one in TABLE:
        if one.place == "gateway":
            parts = len(one.buckets) + 3 if one.kind == "histogram" else 1
            series += parts * math.prod(values[label] for label in one.labels)
    monitors = (repository / "infra" / "kubernetes" / "base" / "monitoring" / "monitors.yaml").read_text("utf-8")
    (limit,) = {
        one["spec"]["sampleLimit"]
        for one in yaml.safe_load_all(monitors)
        if one["metadata"]["name"] == "dubflow-gateway"
    }
    assert 100 < series < limit
