"""Keeps a state folder's ``serving.json`` true to what Tritons of other machines serve.

The gateway and its workers read the state as everywhere; here nobody beside them writes it, so they do it themselves.
While a new version is tried beside the old one, the state names the one that most servers have as current, and the
other as previous. Where nobody answers, what was known last stays, and the health says so.
"""

from __future__ import annotations

import random
import shutil
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

from dubflow.atomic import write_text
from dubflow.errors import BadInput, DubflowError
from dubflow.serving.remote import Answering, Fleet
from dubflow.serving.repository import Installed
from dubflow.serving.state import Health, Served, ServingState, now, read_state, update_state, write_state
from dubflow.serving.watcher import MODELS

EVERY_S = 10.0

Key = tuple[int, str | None, str]
"""Version, package, engine."""


class Follower:
    """Of one state folder, which is no other process's.

    Args:
        model: name under which it is served. say: is told when something changes.
    """

    def __init__(self, directory: Path, fleet: Fleet, model: str, say: Callable[[str], None] = lambda _: None) -> None:
        self.directory, self.fleet, self.model, self.say = Path(directory), fleet, model, say

    def look(self) -> ServingState:
        """Ask all servers, and write down what they say.

        Raises:
            OurFault: ``serving.state_busy``. BadInput: ``serving.bad_state``. WrongUse: ``serving.bad_address``.
        """
        found = self.fleet.answering()
        self._begun()
        state = update_state(self.directory, lambda known: self._next(known, found))
        self._tidy(state)
        return state

    def _begun(self) -> None:
        try:
            known = read_state(self.directory)
        except BadInput as error:
            if error.code != "serving.no_state":
                raise
        else:
            if (known.model, known.grpc) == (self.model, self.fleet.address):
                return
        write_state(self.directory, ServingState(mode="triton", model=self.model, grpc=self.fleet.address))

    def _next(self, known: ServingState, found: Sequence[Answering]) -> ServingState:
        if not found:
            reason = f"nobody answers behind {self.fleet.address}"
            if known.health is None or known.health.reason != reason:
                self.say(reason)
            return known.with_changes(health=Health(fine=False, at=now(), seconds=0, reason=reason))
        current, previous = self._named(known, found)
        counted = known
        if known.current is None or _key(known.current) != _key(current):
            self.say(f"version {current.version} serves on {len(found)} servers")
            counted = known.counted(switches=1)
        return counted.with_changes(current=current, previous=previous, health=_health(found, current))

    def _named(self, known: ServingState, found: Sequence[Answering]) -> tuple[Served, Served | None]:
        """What most servers serve, and what the next most do; of two with as many, what was current stays so."""
        told = {_key(one.told.installed): one.told for one in found}
        counts = Counter(_key(one.told.installed) for one in found)
        here = None if known.current is None else _key(known.current)
        order = sorted(counts, key=lambda key: (-counts[key], key != here, -key[0]))
        before = {_key(one): one for one in (known.current, known.previous) if one is not None}
        named = [before.get(key) or told[key].served(self._kept(key, told[key].beside)) for key in order[:2]]
        # A state cannot name a version twice; two packages of one number are two registries' doing.
        second = named[1] if len(named) == 2 and named[1].version != named[0].version else None
        return named[0], second

    def _kept(self, key: Key, beside: dict[str, str]) -> Path:
        version, package, engine = key
        folder = self.directory / MODELS / f"{version}-{package[:16] if package else quote(engine, safe='')}"
        folder.mkdir(parents=True, exist_ok=True)
        for name, content in beside.items():
            write_text(folder / name, content)
        return folder

    def _tidy(self, state: ServingState) -> None:
        kept = {one.folder for one in (state.current, state.previous) if one is not None}
        for folder in (self.directory / MODELS).glob("*"):
            if folder not in kept:
                shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def followed(follower: Follower, every_s: float = EVERY_S) -> Iterator[None]:
    """Have a thread look every few seconds for the length of a ``with`` block."""
    ended = threading.Event()

    def follow() -> None:
        while True:
            try:
                follower.look()
            except (DubflowError, OSError) as error:  # a full disk must not end it; the next look may fit
                follower.say(f"what is served is not known: {error}")
            # Not all pods of a deployment at the same moment.
            if ended.wait(every_s * random.uniform(0.8, 1.2)):  # noqa: S311
                return

    thread = threading.Thread(target=follow, name="follower", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join(timeout=every_s)


def _key(one: Served | Installed) -> Key:
    """Two models from no registry may have one number, and no package."""
    return one.version, one.package, one.engine


def _health(found: Sequence[Answering], current: Served) -> Health | None:
    """Of the servers of the current version: the worst, or else the latest."""
    own = [one.told for one in found if _key(one.told.installed) == _key(current)]
    looks = [one.health for one in own if one.health is not None]
    return max(looks, key=lambda one: (not one.fine, one.at), default=None)
