"""The part of Kubernetes' API that a rollout uses, in memory: one resource, merge patches, conflicts, a schema."""

from __future__ import annotations

import copy
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class FakeKubernetes(ThreadingHTTPServer):
    """InferenceServices of the namespace ``dubflow``.

    Attributes:
        services: by name. problems: what a manifest is refused for (422). ready: whether pods are ready at once.
        meanwhile: done once just before the next patch, as somebody else would. asked: methods and paths so far.
        refusing: status of all answers; 0: none.
    """

    def __init__(self, problems: Callable[[Any], list[str]]) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.services: dict[str, dict[str, Any]] = {}
        self.problems, self.ready, self.refusing = problems, True, 0
        self.meanwhile: Callable[[], None] | None = None
        self.asked: list[str] = []

    @property
    def url(self) -> str:
        """Its address."""
        return f"http://127.0.0.1:{self.server_address[1]}"

    def put(self, manifest: dict[str, Any]) -> None:
        """Make or replace a service, as somebody else would."""
        name, before = manifest["metadata"]["name"], self.services.get(manifest["metadata"]["name"])
        made = copy.deepcopy(manifest)
        version = 1 if before is None else int(before["metadata"]["resourceVersion"]) + 1
        made["metadata"] |= {"resourceVersion": str(version), "generation": version}
        state = {"type": "Ready", "status": "True" if self.ready else "False", "message": "pods are starting"}
        made["status"] = {"observedGeneration": version, "conditions": [state]}
        self.services[name] = made


@contextmanager
def running(problems: Callable[[Any], list[str]] = lambda _: []) -> Iterator[FakeKubernetes]:
    """A server that answers meanwhile."""
    with FakeKubernetes(problems) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def merged(target: Any, patch: Any) -> Any:
    """RFC 7396."""
    if not isinstance(patch, dict):
        return patch
    made = dict(target) if isinstance(target, dict) else {}
    for name, value in patch.items():
        if value is None:
            made.pop(name, None)
        else:
            made[name] = merged(made.get(name), value)
    return made


class _Handler(BaseHTTPRequestHandler):
    server: FakeKubernetes

    def log_message(self, format: str, *args: object) -> None:
        pass

    def do_GET(self) -> None:
        self._respond(None)

    def do_PATCH(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self._respond(body)

    def _respond(self, patch: Any) -> None:
        self.server.asked.append(f"{self.command} {self.path}")
        status, content = self._answer(patch)
        raw = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(raw)))
        self.end_headers()
        self.wfile.write(raw)

    def _answer(self, patch: Any) -> tuple[int, Any]:
        root = "/apis/serving.kserve.io/v1beta1/namespaces/dubflow/inferenceservices/"
        name = self.path.removeprefix(root)
        if self.server.refusing:
            return self.server.refusing, {"message": "not for you"}
        if not self.path.startswith(root) or name not in self.server.services:
            return 404, {"message": "not found"}
        if patch is None:
            return 200, self.server.services[name]
        if self.headers["Content-Type"] != "application/merge-patch+json":
            return 415, {"message": "no merge patch"}
        if self.server.meanwhile is not None:
            meanwhile, self.server.meanwhile = self.server.meanwhile, None
            meanwhile()
        found = self.server.services[name]
        if patch["metadata"].get("resourceVersion") != found["metadata"]["resourceVersion"]:
            return 409, {"message": "the object has been modified"}
        made = merged(found, patch)
        sent = {key: value for key, value in made.items() if key != "status"}
        problems = self.server.problems(sent)
        if problems:
            return 422, {"message": "; ".join(problems)}
        self.server.put(sent)
        return 200, self.server.services[name]
