"""A headless Chromium on a pipe: its own protocol, two descriptors, no network and no package."""

from __future__ import annotations

import json
import os
import select
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")


def find() -> str | None:
    """Chromium's program: what DUBFLOW_CHROMIUM names, or one of the usual names."""
    named = os.environ.get("DUBFLOW_CHROMIUM")
    return named or next((path for name in NAMES if (path := shutil.which(name))), None)


FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run",
    "--remote-debugging-pipe",
)  # fmt: skip
LAUNCH = """
import fcntl, os, sys
reads, writes = (fcntl.fcntl(int(number), fcntl.F_DUPFD, 10) for number in sys.argv[1:3])
os.dup2(reads, 3)
os.dup2(writes, 4)
os.execv(sys.argv[3], sys.argv[3:])
"""
"""The protocol is spoken on descriptors 3 and 4 of the browser: puts them there and becomes the browser."""


class Tab:
    """One page in one browser."""

    def __init__(self, commands: int, answers: int) -> None:
        self._commands, self._answers, self._held, self._number = commands, answers, b"", 0
        self._session: str | None = None
        self.events: list[dict[str, Any]] = []
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(f"{domain}.enable")

    def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Ask, and wait for the answer; events that come before it are kept."""
        self._number += 1
        message = {"id": self._number, "method": method, "params": parameters}
        if self._session is not None:
            message["sessionId"] = self._session
        os.write(self._commands, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._next()
            if answer.get("id") == self._number:
                assert "error" not in answer, answer
                result: dict[str, Any] = answer["result"]
                return result
            if self._session is not None:
                self.events.append(answer)

    def show(self, page: Path) -> None:
        """Open ``page`` and wait until it is loaded."""
        self.call("Page.bringToFront")  # what is hidden plays nothing
        self.call("Page.navigate", url=page.as_uri())
        self.evaluate("new Promise(done => document.readyState === 'complete' ? done() : onload = () => done())")

    def resize(self, width: int) -> None:
        """A window (a phone, where it is narrow) of that many CSS pixels."""
        phone = width < 600
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=900, deviceScaleFactor=1, mobile=phone)

    def evaluate(self, expression: str) -> Any:
        """What ``expression`` (or the promise that it is) comes to."""
        answer = self.call("Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True)
        assert "exceptionDetails" not in answer, answer
        return answer["result"].get("value")

    def complaints(self) -> list[str]:
        """Errors of scripts, of the content policy and of loading."""
        found = []
        for event in self.events:
            if event.get("method") == "Log.entryAdded" and event["params"]["entry"]["level"] == "error":
                found.append(event["params"]["entry"]["text"])
            if event.get("method") == "Runtime.exceptionThrown":
                found.append(str(event["params"]["exceptionDetails"]))
        return found

    def requested(self) -> set[str]:
        """Addresses that the page asked for."""
        sent = [event for event in self.events if event.get("method") == "Network.requestWillBeSent"]
        return {event["params"]["request"]["url"] for event in sent}

    def _next(self) -> dict[str, Any]:
        while b"\0" not in self._held:
            ready, _, _ = select.select([self._answers], [], [], 120)
            assert ready, "the browser has not answered for two minutes"
            chunk = os.read(self._answers, 2**16)
            assert chunk, "the browser has ended"
            self._held += chunk
        message, _, self._held = self._held.partition(b"\0")
        answer: dict[str, Any] = json.loads(message)
        return answer


@contextmanager
def tab(program: str, profile: Path) -> Iterator[Tab]:
    """A browser with one tab, ended on the way out."""
    child_reads, commands = os.pipe()
    answers, child_writes = os.pipe()
    child = subprocess.Popen(
        [
            sys.executable,
            "-c",
            LAUNCH,
            str(child_reads),
            str(child_writes),
            program,
            *FLAGS,
            f"--user-data-dir={profile}",
        ],
        pass_fds=(child_reads, child_writes),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    os.close(child_reads)
    os.close(child_writes)
    try:
        yield Tab(commands, answers)
    finally:
        child.kill()
        child.wait()
        os.close(commands)
        os.close(answers)
