"""Figures from Prometheus: its own engine says what the queries give, and no answer is never an answer."""

from __future__ import annotations

import json
import subprocess
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from dubflow.errors import OurFault
from dubflow.platform.preflight.promtool import promtool
from dubflow.platform.rollout.checks import Requests
from dubflow.platform.rollout.policy import TrafficPolicy
from dubflow.platform.rollout.traffic import Prometheus, queries

POLICY = TrafficPolicy(window_s=600)
OF = 'version="7",namespace="dubflow"'
FRONTS = tuple(f'model="diflow",{OF},pod="{pod}"' for pod in "ab")


def evaluated(tmp_path: Path, series: dict[str, str], expected: dict[str, float | None], every: str = "1m") -> None:
    """What Prometheus' own engine says of the queries after 20 minutes, one sample ``every`` so often."""
    tool = promtool()
    if tool is None:
        pytest.skip("promtool is not installed; see DUBFLOW_PROMTOOL")
    asked = queries(7, POLICY, ',namespace="dubflow"')
    cases = [
        {"expr": asked[name], "eval_time": "20m",
         "exp_samples": [] if value is None else [{"labels": "{}", "value": value}]}
        for name, value in expected.items()
    ]  # fmt: skip
    test = {"interval": every, "input_series": [{"series": name, "values": values} for name, values in series.items()],
            "promql_expr_test": cases}  # fmt: skip
    file = tmp_path / "test.yml"
    file.write_text(json.dumps({"rule_files": [], "tests": [test]}))
    found = subprocess.run([tool, "test", "rules", str(file)], capture_output=True, text=True, check=False)
    assert found.returncode == 0, found.stdout + found.stderr


def test_what_the_queries_give(tmp_path: Path) -> None:
    """Names and labels as the real server has them: two pods, four models, reasons of failures."""
    series = {f"nv_inference_request_success{{{pod}}}": "0+60x30" for pod in FRONTS}
    series[f"nv_inference_request_success{{{FRONTS[0].replace('7', '6')}}}"] = "0+999x30"
    for reason, count in (("BACKEND", 3), ("OTHER", 1), ("CANCELED", 50)):
        series[f'nv_inference_request_failure{{model="diflow_denoiser",{OF},reason="{reason}"}}'] = f"0+{count}x30"
    series[f'nv_inference_request_failure{{{FRONTS[0]},reason="BACKEND"}}'] = "0+1x30"
    series[f"nv_inference_request_duration_us{{{FRONTS[0]}}}"] = "0+9x30"
    for part in ("frontend", "denoiser", "codec"):
        series[f'nv_inference_request_duration_us{{model="diflow_{part}",{OF}}}'] = "0+30000000x30"
    # Of a window as long as a minute there is one sample each minute: Prometheus needs two to tell a rise.
    evaluated(tmp_path, series, {"served": 1200, "failed": 50})
    evaluated(tmp_path, {name: f"0+{_step(values) / 2:g}x60" for name, values in series.items()},
              {"dubs": 120, "seconds": 90}, "30s")  # fmt: skip


def test_no_failures_yet_are_none_and_no_successes_are_unknown(tmp_path: Path) -> None:
    served = {f"nv_inference_request_success{{{FRONTS[0]}}}": "0+60x30"}
    evaluated(tmp_path, served, {"served": 600, "failed": 0, "seconds": None})
    evaluated(tmp_path, {"up": "1x30"}, {"served": None, "failed": None, "dubs": None, "seconds": None})


def _step(values: str) -> float:
    return float(values.removeprefix("0+").partition("x")[0])


class _Handler(BaseHTTPRequestHandler):
    answers: dict[str, Any]
    status = 200

    def log_message(self, format: str, *args: object) -> None:
        pass

    def do_GET(self) -> None:
        asked = {name: values[0] for name, values in parse_qs(urlsplit(self.path).query).items()}
        found = next((value for text, value in self.answers.items() if text in asked["query"]), None)
        if "query_range" in self.path:
            values = [[float(asked["start"]) + 60 * one, "2"] for one in range(3)]
            result = [] if found is None else [{"metric": {}, "values": [*values[:2], [values[2][0], "NaN"]]}]
        else:
            result = [] if found is None else [{"metric": {}, "value": [1.0, found]}]
        content = json.dumps({"status": "success", "data": {"resultType": "x", "result": result}}).encode()
        if self.status == 400:
            content = b'{"status": "error", "error": "bad query"}'
        elif self.status == 502:
            content = b"<html>"
        self.send_response(self.status)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)


@pytest.fixture
def server() -> Iterator[tuple[str, type[_Handler]]]:
    handler = type("Handler", (_Handler,), {"answers": {}})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}", handler
        server.shutdown()
        thread.join()


def test_answers_are_read_and_no_number_is_none(server: tuple[str, type[_Handler]]) -> None:
    address, handler = server
    handler.answers = {"_failure": "NaN", "nv_inference_request_success": "500.5", "_duration": "1"}
    found = Prometheus(address).requests(7, POLICY)
    assert (found.served, found.failed) == (500.5, None)
    assert [(dubs, seconds) for _, dubs, seconds in found.minutes] == [(2.0, 2.0)] * 2
    assert found.minutes[0][0] % 60 == 0
    handler.answers = {}
    assert Prometheus(address).requests(7, POLICY) == Requests(served=None, failed=None)


@pytest.mark.parametrize("status", [400, 502])
def test_a_server_that_does_not_answer_is_an_error(server: tuple[str, type[_Handler]], status: int) -> None:
    address, handler = server
    handler.status = status
    with pytest.raises(OurFault, match="no_prometheus"):
        Prometheus(address).requests(7, POLICY)
    with pytest.raises(OurFault, match="no_prometheus"):
        Prometheus("http://127.0.0.1:9").requests(7, POLICY)
