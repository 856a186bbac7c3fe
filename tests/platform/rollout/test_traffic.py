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

POLICY = TrafficPolicy(window_s=600, slow_ms=5000)
OF = 'model="diflow",version="7",namespace="dubflow"'
PODS = tuple(f'{OF},pod="{pod}"' for pod in "ab")
BUCKETS = "nv_inference_first_response_histogram_ms"


def evaluated(tmp_path: Path, series: dict[str, str], expected: dict[str, float | None]) -> None:
    """What Prometheus' own engine says of the queries after 20 minutes, one sample a minute."""
    tool = promtool()
    if tool is None:
        pytest.skip("promtool is not installed; see DUBFLOW_PROMTOOL")
    asked = queries(7, POLICY, ',namespace="dubflow"')
    cases = [
        {"expr": asked[name], "eval_time": "20m",
         "exp_samples": [] if value is None else [{"labels": "{}", "value": value}]}
        for name, value in expected.items()
    ]  # fmt: skip
    test = {"interval": "1m", "input_series": [{"series": name, "values": values} for name, values in series.items()],
            "promql_expr_test": cases}  # fmt: skip
    file = tmp_path / "test.yml"
    file.write_text(json.dumps({"rule_files": [], "tests": [test]}))
    found = subprocess.run([tool, "test", "rules", str(file)], capture_output=True, text=True, check=False)
    assert found.returncode == 0, found.stdout + found.stderr


def test_what_the_queries_give(tmp_path: Path) -> None:
    series = {f"nv_inference_request_success{{{pod}}}": "0+60x30" for pod in PODS}
    series[f'nv_inference_request_failure{{{PODS[0]},reason="BACKEND"}}'] = "0+3x30"
    series[f'nv_inference_request_failure{{{PODS[0]},reason="OTHER"}}'] = "0+1x30"
    series[f'nv_inference_request_success{{{OF.replace("7", "6")},pod="a"}}'] = "0+999x30"
    for pod in PODS:
        series[f"{BUCKETS}_count{{{pod}}}"] = "0+60x30"
        series[f'{BUCKETS}_bucket{{{pod},le="5000"}}'] = "0+54x30"
        series[f'{BUCKETS}_bucket{{{pod},le="500"}}'] = "0+20x30"
    evaluated(tmp_path, series, {"served": 1200, "failed": 40, "timed": 1200, "slow": 120})


def test_no_failures_yet_are_none_and_no_successes_are_unknown(tmp_path: Path) -> None:
    served = {f"nv_inference_request_success{{{PODS[0]}}}": "0+60x30"}
    evaluated(tmp_path, served, {"served": 600, "failed": 0, "timed": None, "slow": None})
    evaluated(tmp_path, {"up": "1x30"}, {"served": None, "failed": None, "timed": None, "slow": None})


class _Handler(BaseHTTPRequestHandler):
    answers: dict[str, Any]
    status = 200

    def log_message(self, format: str, *args: object) -> None:
        pass

    def do_GET(self) -> None:
        query = parse_qs(urlsplit(self.path).query)["query"][0]
        found = next((value for text, value in self.answers.items() if text in query), None)
        result = [] if found is None else [{"metric": {}, "value": [1.0, found]}]
        content = json.dumps({"status": "success", "data": {"resultType": "vector", "result": result}}).encode()
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
    handler.answers = {"_failure": "2", "_count": "NaN", "nv_inference_request_success": "500.5"}
    found = Prometheus(address).requests(7, POLICY)
    assert found == Requests(served=500.5, failed=2.0, timed=None, slow=None)


@pytest.mark.parametrize("status", [400, 502])
def test_a_server_that_does_not_answer_is_an_error(server: tuple[str, type[_Handler]], status: int) -> None:
    address, handler = server
    handler.status = status
    with pytest.raises(OurFault, match="no_prometheus"):
        Prometheus(address).requests(7, POLICY)
    with pytest.raises(OurFault, match="no_prometheus"):
        Prometheus("http://127.0.0.1:9").requests(7, POLICY)
