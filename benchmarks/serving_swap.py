"""A new champion, a rollback and another new champion while clients ask; nobody may hear of it.

    python benchmarks/serving_swap.py [--clients 4] [--least 2000] [--pause 0.1]

Four clients ask the denoiser on Triton for the tokens of a segment of 0.4 s (one step of the flow, features extracted
once: small enough for thousands of requests on two cores), each pausing for a moment after an answer, and a fifth dubs
the whole clip through the front model now and then. Before each request all of them look up who serves, as workers do.
Seconds run from just before the registry's alias is changed to the first answer of the version that it names. The
baseline is the plain way: the server is ended and started again with the other version, while the same clients ask.
"""

from __future__ import annotations

import argparse
import shutil
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

from dubflow.diflow.stored import CARD, find_model
from dubflow.dubbing.diflow_engine import DiflowEngine
from dubflow.dubbing.watching import UNWATCHED
from dubflow.registry.models import Registry, open_registry
from dubflow.registry.package.diflow import build_package
from dubflow.registry.package.signing import generate_key
from dubflow.registry.promoting import Override, promote, rollback
from dubflow.registry.registering import register
from dubflow.serving.engines import engine_for
from dubflow.serving.packing import pack_seen
from dubflow.serving.state import read_state
from serving_common import Denoiser, current_version, job_of, machine, options_of, print_table, request_of, server, tell

NAME, WHO = "dubber", "benchmark"
DUB_PAUSE_S, LONGEST_S = 1.0, 180.0


@dataclass
class Answers:
    """What clients heard: when, and of which version; and what they were refused with."""

    started: float = field(default_factory=time.monotonic)
    heard: list[tuple[float, int]] = field(default_factory=list)
    dubs: list[tuple[float, int]] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)

    def first_of(self, version: int, after: float, dubs: bool = False) -> float | None:
        """When this version answered first, after a moment."""
        found = (at for at, own in list(self.dubs if dubs else self.heard) if own == version and at > after)
        return min(found, default=None)

    def silence(self, start: float, stop: float) -> float:
        """Longest time without an answer to anybody."""
        times = [start, *sorted(at for at, _ in list(self.heard) if start < at < stop), stop]
        return max(b - a for a, b in pairwise(times))


@contextmanager
def asking(folder: Path, root: Path, clients: int, pause_s: float, answers: Answers) -> Iterator[None]:
    """Clients that ask while the block runs."""
    job, stop, state = job_of(request_of(root, steps=1)), threading.Event(), read_state(folder)
    seen = DiflowEngine.open("starter").look(job, UNWATCHED)

    def denoise() -> None:
        client = Denoiser(state, folder, lambda slip: pack_seen(seen, slip))

        def once() -> None:
            version = current_version(folder)
            client.ask(version)
            answers.heard.append((time.monotonic(), version))

        repeat(once, pause_s)
        client.close()

    def dub() -> None:
        def once() -> None:
            now = read_state(folder)
            assert now.current is not None
            engine = engine_for(folder, now, now.current)
            engine.speak([engine.look(job, UNWATCHED)], UNWATCHED)
            answers.dubs.append((time.monotonic(), now.current.version))

        repeat(once, DUB_PAUSE_S)

    def repeat(once: Callable[[], None], pause_s: float) -> None:
        while not stop.is_set():
            try:
                once()
            except Exception as error:  # every kind of failure counts
                answers.failed.append(f"{type(error).__name__}: {error}"[:200])
            stop.wait(pause_s)

    threads = [threading.Thread(target=denoise) for _ in range(clients)] + [threading.Thread(target=dub)]
    for one in threads:
        one.start()
    try:
        yield
    finally:
        stop.set()
        for one in threads:
            one.join()


def until(holds: Callable[[], object], what: str) -> None:
    """Wait for something.

    Raises:
        RuntimeError: when it takes too long.
    """
    over = time.monotonic() + LONGEST_S
    while not holds():
        if time.monotonic() > over:
            raise RuntimeError(f"{what} has not come about within {LONGEST_S:g} s")
        time.sleep(0.01)


def packages(root: Path, key: Path, count: int) -> list[Path]:
    """Packages of the starter that differ in their cards: other bytes, so other versions; equal work."""
    made = []
    for number in range(count):
        model = root / f"model-{number}"
        shutil.copytree(find_model("starter"), model)
        with (model / CARD).open("a", encoding="utf-8") as card:
            card.write(f"\nCopy {number}.\n")
        made.append(build_package(model, root / f"package-{number}", key, name=NAME).folder)
    return made


def change(answers: Answers, folder: Path, what: str, make: Callable[[], int]) -> tuple[object, ...]:
    """Change the alias; a row about what followed."""
    began, failed = time.monotonic(), len(answers.failed)
    version = make()
    told = time.monotonic() - began
    until(lambda: answers.first_of(version, began), f"an answer of version {version}")
    first = answers.first_of(version, began) or 0.0
    until(lambda: answers.first_of(version, began, dubs=True), f"a dub of version {version}")
    dub = answers.first_of(version, began, dubs=True) or 0.0
    during = sum(began < at < first for at, _ in answers.heard)
    silence = f"{answers.silence(began, first):.2f}"
    tell(f"{what}: version {version} after {first - began:.1f} s; {len(answers.heard)} answers so far")
    return (
        what,
        f"{told:.1f}",
        f"{first - began:.1f}",
        f"{dub - began:.1f}",
        silence,
        during,
        len(answers.failed) - failed,
    )


def swapped(
    registry: Registry, folder: Path, ready: list[Path], key: Path, answers: Answers
) -> list[tuple[object, ...]]:
    """The changes, one after another; ``ready`` are the packages of versions 2 and 3."""

    def enter(package: Path) -> int:
        return register(registry, package, by=WHO, trusted_keys=[key]).version

    def promoted(version: int) -> int:
        promote(registry, NAME, version, None, by=WHO, override=Override("for the benchmark"))
        return version

    second = enter(ready[0])
    until(lambda: any(folder.glob(f"models/{second}-*/export.json")), "the challenger made ready")
    rows = [change(answers, folder, "promotion, the challenger was made ready", lambda: promoted(second))]

    def back() -> int:
        rollback(registry, NAME, by=WHO, reason="for the benchmark")
        return 1

    rows.append(change(answers, folder, "rollback, the version is still loaded", back))
    third = enter(ready[1])
    row = change(answers, folder, "promotion at once, nothing ready; the oldest is unloaded", lambda: promoted(third))
    return [*rows, row]


def restarted(root: Path, ready: list[Path], clients: int, pause_s: float) -> tuple[object, ...]:
    """The plain way: end the server, start it with the other package."""
    folder, answers, began = root / "plain", Answers(), 0.0
    over = threading.Event()

    def ask() -> None:
        client = None
        while not over.is_set():
            try:
                client = client or Denoiser(read_state(folder), folder, lambda slip: pack_seen(seen, slip))
                client.ask(current_version(folder))
                answers.heard.append((time.monotonic(), 0))
            except Exception as error:  # the server is gone; so is its address, its key and the slip
                answers.failed.append(type(error).__name__)
                client = None
            over.wait(pause_s)

    seen = DiflowEngine.open("starter").look(job_of(request_of(root, steps=1)), UNWATCHED)
    threads = [threading.Thread(target=ask) for _ in range(clients)]
    with server(folder, options_of(model=str(ready[0])), gateway=False):
        for one in threads:
            one.start()
        until(lambda: answers.heard, "a first answer")
        time.sleep(1)
        failed, began = len(answers.failed), time.monotonic()
    ended = time.monotonic()
    with server(folder, options_of(model=str(ready[1])), gateway=False):
        until(lambda: answers.first_of(0, ended), "an answer of the new server")
        over.set()
        for one in threads:
            one.join()
    first = answers.first_of(0, ended) or 0.0
    silence = answers.silence(began, first)
    lost = len(answers.failed) - failed
    return ("baseline: end the server and start another", "-", f"{first - began:.1f}", "-", f"{silence:.2f}", "-", lost)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--clients", type=int, default=4)
    parser.add_argument("--least", type=int, default=2000, help="requests")
    parser.add_argument("--pause", type=float, default=0.1, help="of a client after an answer, in seconds")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        key, folder = generate_key(root / "key"), root / "serve"
        uri = f"sqlite:///{root / 'mlflow.db'}"
        registry = open_registry(uri, note=lambda _: None)
        made = packages(root, root / "key", 3)
        first = register(registry, made[0], by=WHO, trusted_keys=[key]).version
        promote(registry, NAME, first, None, by=WHO, override=Override("the first"))
        options = options_of(model=None, name=NAME, registry=uri, trusted_keys=(key,))
        with server(folder, options, gateway=False):
            answers = Answers()
            with asking(folder, root, given.clients, given.pause, answers):
                until(lambda: len(answers.heard) > given.clients and answers.dubs, "first answers")
                rows = swapped(registry, folder, made[1:], key, answers)
                until(lambda: len(answers.heard) >= given.least, f"{given.least} requests")
            wall = time.monotonic() - answers.started
        rows.append(restarted(root, made[:2], given.clients, given.pause))
    heard, dubs = len(answers.heard), len(answers.dubs)
    asked = (
        f"{given.clients} clients with pauses of {given.pause:g} s: {heard} requests of a segment and {dubs} whole dubs"
    )
    print(f"{asked} in {wall:.0f} s, over three changes; {len(answers.failed)} failed. {machine()}\n")
    columns = (
        "change",
        "alias changed s",
        "first answer s",
        "first dub s",
        "longest silence s",
        "answers meanwhile",
        "failed",
    )
    print_table(columns, rows)
    if answers.failed:
        print(answers.failed[:5])


if __name__ == "__main__":
    main()
