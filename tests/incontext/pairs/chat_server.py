"""A chat service on loopback that says what it is told to, and remembers what it was asked."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass(frozen=True)
class Answer:
    """One answer: ``text`` as the model's message, or ``body`` as it is."""

    text: str = ""
    status: int = 200
    body: bytes | None = None
    headers: tuple[tuple[str, str], ...] = ()


@dataclass
class ChatService:
    """Where it listens and what it was asked."""

    url: str
    asked: list[dict[str, Any]] = field(default_factory=list)
    keys: list[str | None] = field(default_factory=list)
    paths: list[str] = field(default_factory=list)


@contextmanager
def chat_service(answers: Sequence[Answer]) -> Iterator[ChatService]:
    """A service that gives one answer after the other; after the last one it gives the last again."""
    service, lock = ChatService(""), threading.Lock()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            content = self.rfile.read(int(self.headers["Content-Length"]))
            with lock:
                answer = answers[min(len(service.asked), len(answers) - 1)]
                service.asked.append(json.loads(content))
                service.keys.append(self.headers.get("Authorization"))
                service.paths.append(self.path)
            body = answer.body
            if body is None:
                body = json.dumps({"choices": [{"message": {"role": "assistant", "content": answer.text}}]}).encode()
            self.send_response(answer.status)
            for name, value in (*answer.headers, ("Content-Length", str(len(body)))):
                self.send_header(name, value)
            self.end_headers()
            with suppress(OSError):  # who asked has hung up on an answer that is too long
                self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    service.url = f"http://127.0.0.1:{server.server_address[1]}/v1"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield service
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
