"""A Kubeflow Pipelines API that keeps runs in memory and checks what it is sent."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class FakeKfp:
    """State behind the API.

    Attributes:
        runs: by id, as v2beta1 has them. asked: method and path of every request. token: that is asked for, if any.
    """

    def __init__(self, token: str = "") -> None:
        self.runs: dict[str, dict[str, Any]] = {}
        self.asked: list[tuple[str, str]] = []
        self.token = token
        self.url = ""

    def answer(self, method: str, path: str, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        """Status and body."""
        route = path.partition("?")[0].removeprefix("/apis/v2beta1")
        if route == "/experiments" and method == "GET":
            return 200, {"experiments": [{"experiment_id": "e1", "display_name": "dubflow"}]}
        if route == "/runs" and method == "POST":
            problem = self.refusal(body)
            if problem:
                return 400, {"error": problem}
            run = f"r{len(self.runs) + 1}"
            self.runs[run] = {**body, "run_id": run, "state": "RUNNING", "run_details": {"task_details": []}}
            return 200, self.runs[run]
        run, _, verb = route.removeprefix("/runs/").partition(":")
        if run not in self.runs:
            return 404, {"error": "not found"}
        if verb:
            self.runs[run]["state"] = {"terminate": "CANCELED", "retry": "RUNNING"}[verb]
            return 200, {}
        return 200, self.runs[run]

    def refusal(self, body: dict[str, Any]) -> str:
        """What is wrong with a run that is to be made."""
        spec = body.get("pipeline_spec", {})
        if "pipeline_spec" in spec:  # with what only Kubernetes knows beside it
            spec, platform = spec["pipeline_spec"], spec["platform_spec"]
            if set(platform["platforms"]) != {"kubernetes"}:
                return "no platform"
        declared = spec["root"]["inputDefinitions"]["parameters"]
        given = body.get("runtime_config", {}).get("parameters", {})
        unknown = sorted(set(given) - set(declared))
        if unknown:
            return f"unknown parameters {unknown}"
        kinds = {"STRING": str, "NUMBER_INTEGER": int, "NUMBER_DOUBLE": (int, float), "BOOLEAN": bool, "LIST": list}
        wrong = [name for name, value in given.items() if not isinstance(value, kinds[declared[name]["parameterType"]])]
        if wrong:
            return f"wrong kinds {wrong}"
        if spec.get("schemaVersion") != "2.1.0":
            return "schema"
        return ""


@contextmanager
def serving(fake: FakeKfp) -> Iterator[FakeKfp]:
    """The API on loopback for the length of a ``with`` block."""

    class Handler(BaseHTTPRequestHandler):
        def _do(self) -> None:
            size = int(self.headers.get("Content-Length") or 0)
            body = json.loads(self.rfile.read(size) or b"{}")
            fake.asked.append((self.command, self.path))
            status, content = (401, {}) if self._stranger() else fake.answer(self.command, self.path, body or {})
            data = json.dumps(content).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def _stranger(self) -> bool:
            return bool(fake.token) and self.headers.get("authorization") != f"Bearer {fake.token}"

        do_GET = do_POST = _do

        def log_message(self, format: str, *args: Any) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    fake.url = f"http://127.0.0.1:{server.server_port}"
    try:
        yield fake
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
