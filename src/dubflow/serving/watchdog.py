"""Sees that what serves can really answer, and heals it.

A process of a model that is gone is seen at once, by its absence, and one that hangs within seconds, by what it does
not do (it is ended then); one that answers nonsense by a real inference, which is made now and then and whenever the
server counts a failure that may be a process's. Healing ends the version and loads it again, the only thing that
helps. A server that answers nothing is ended; whoever started it starts it again.
"""

from __future__ import annotations

import math
import os
import re
import signal
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

import httpx

from dubflow.errors import DubflowError
from dubflow.serving.hanging import Hanging
from dubflow.serving.laid_out import REPOSITORY
from dubflow.serving.patience import WatchSettings
from dubflow.serving.repository import FRONT, MODELS, number_of, slips_folder
from dubflow.serving.slips import sweep_slips
from dubflow.serving.state import Health, Served, ServingState, now, read_state, update_state
from dubflow.serving.stubs import Stub, counted, end_stub, running_stubs
from dubflow.serving.watcher import Watcher

_FAILURE = re.compile(r'^nv_inference_request_failure\{[^}]*reason="BACKEND"[^}]*\} (\S+)$', re.MULTILINE)
_METRICS_S = 1.0
_AGAIN_S = 1.0
_ANSWER_S = 2.0


class Watchdog:
    """Looks at the versions that the state names."""

    def __init__(
        self,
        directory: Path,
        watcher: Watcher,
        settings: WatchSettings | None = None,
        *,
        say: Callable[[str], None] = lambda _: None,
        clock: Callable[[], float] = time.monotonic,
        stubs: Callable[[Path], tuple[Stub, ...]] = running_stubs,
        hanging: Callable[[tuple[Stub, ...]], tuple[Stub, ...]] | None = None,
        runs: Callable[[int], bool] | None = None,
    ) -> None:
        """
        Args:
            watcher: checks and reloads versions, under its lock. clock: seconds.
            stubs: processes of models that there are now. hanging: which of them hang.
            runs: whether a process is a server.
        """
        self._directory, self._watcher, self._settings = Path(directory), watcher, settings or WatchSettings()
        self._say, self._clock, self._stubs, self._runs = say, clock, stubs, runs or is_server
        self._slips = slips_folder(self._directory / REPOSITORY)
        self._hanging = hanging or Hanging(self._slips, self._settings.hung_s).among
        self._ending: dict[int, float] = {}
        """Processes of what was loaded again, which count for nothing, and until when they may take to end."""
        self._unhealed: dict[int, tuple[int, float]] = {}
        """How often in a row a version could not be healed, and when it is tried again."""
        self._server: int | None = None
        self._seen: dict[int, Counter[tuple[str, int]]] = {}
        self._failures: float | None = None
        self._next_deep = self._next_metrics = 0.0
        self._answered = clock()

    def look(self) -> bool:
        """One look; True when something had to be healed. Never raises what the server did."""
        state = read_state(self._directory)
        if state.server != self._server:  # started anew, with processes that nobody has seen yet
            self._server, self._answered, self._failures = state.server, self._clock(), None
            self._seen.clear()
            self._ending.clear()
            self._unhealed.clear()
        try:
            # A server that is gone takes its processes with it; whoever started it starts it again.
            running = state.mode == "triton" and state.server is not None and self._runs(state.server)
            healed = running and self._look_at_server(state)
            if state.mode == "triton" and not running:
                return False
            return self._look_deep(state) or healed
        except DubflowError as error:
            self._note(f"the server cannot be looked at: {error.headline}")
            return False

    def heal(self, served: Served, reason: str, models: Sequence[str] = ()) -> bool:
        """End a version and load it again; True where it then dubs the golden clip.

        Args:
            models: of the version, whose processes are gone; they are tried first, for that is quicker than all.
        """
        self._note(f"version {served.version} is loaded again: {reason}")
        began = time.monotonic()
        with self._watcher.lock:
            self._seen.pop(served.version, None)
            stamp = time.time()
            try:
                health = self._healed(served, models)
            except DubflowError as error:
                seconds = round(time.monotonic() - began, 3)
                health = Health(fine=False, at=now(), seconds=seconds, reason=f"{error.headline} [{error.code}]")

        if not models or FRONT in models:
            # A front that was killed leaves the slips of its jobs, which would look like jobs that wait for ever.
            sweep_slips(self._slips, number_of(served.version), until=stamp)

        def change(found: ServingState) -> ServingState:
            more = found.counted(reloads=1)
            return more.with_changes(health=health) if _same(found.current, served) else more

        update_state(self._directory, change)
        self._next_deep = self._clock() + self._settings.deep_s
        if health.fine:
            self._unhealed.pop(served.version, None)
        else:
            tries, _ = self._unhealed.get(served.version, (0, 0.0))
            pause = min(self._settings.deep_s, _AGAIN_S * 2**tries)
            self._unhealed[served.version] = (tries + 1, self._clock() + pause)
        told = (
            f"answers again after {time.monotonic() - began:.1f} s"
            if health.fine
            else f"is not healed: {health.reason}"
        )
        self._note(f"version {served.version} {told}")
        return health.fine

    def _healed(self, served: Served, models: Sequence[str]) -> Health:
        if models:
            self._leave_out(served, models)
            try:
                return self._watcher.reloaded(served, models)
            except DubflowError:
                pass  # then all of it
        self._leave_out(served, MODELS)
        return self._watcher.reloaded(served)

    def _leave_out(self, served: Served, models: Sequence[str]) -> None:
        until = self._clock() + self._settings.ending_s
        for one in self._stubs(self._directory):
            if one.version == served.version and one.model in models:
                self._ending.setdefault(one.process, until)

    def _look_at_server(self, state: ServingState) -> bool:
        healed = False
        stubs = self._stubs(self._directory)
        self._end("that were to end by themselves", self._late(stubs))
        stubs = tuple(one for one in stubs if one.process not in self._ending)
        if self._watcher.recovered == (state.server,) and (hung := self._hanging(stubs)):
            self._end("that hang", hung)
            stubs = tuple(one for one in stubs if one not in hung)
        for served, models in self._lost(state, counted(stubs)):
            healed = self._replace(served, models) or healed
        if state.metrics is not None and self._clock() >= self._next_metrics:
            self._next_metrics = self._clock() + _METRICS_S
            self._look_at_metrics(state)
        return healed

    def _late(self, stubs: Sequence[Stub]) -> tuple[Stub, ...]:
        """Those that were loaded again long ago and are still there, as one that is stopped would be for ever."""
        here = {one.process for one in stubs}
        self._ending = {process: until for process, until in self._ending.items() if process in here}
        return tuple(one for one in stubs if self._ending.get(one.process, math.inf) <= self._clock())

    def _end(self, which: str, stubs: Sequence[Stub]) -> None:
        if stubs:
            names = ", ".join(sorted(f"{one.model} {one.version}" for one in stubs))
            self._note(f"processes {which} are ended: {names}")
        for one in stubs:
            end_stub(one)

    def _replace(self, served: Served, models: Sequence[str]) -> bool:
        update_state(self._directory, lambda found: found.counted(stubs_died=1))
        return self.heal(served, f"a process of {', '.join(models)} is gone", models)

    def _lost(self, state: ServingState, running: Counter[tuple[str, int]]) -> list[tuple[Served, list[str]]]:
        """Versions that have fewer processes than they had, and of which models."""
        lost = []
        for served in (state.current, state.previous):
            if served is None or self._watcher.recovered != (state.server,):
                continue
            if self._clock() < self._unhealed.get(served.version, (0, 0.0))[1]:
                continue
            have = Counter({key: count for key, count in running.items() if key[1] == served.version})
            # At the least one each; as many as were seen where there are several.
            before = self._seen.get(served.version) or Counter((model, served.version) for model in MODELS)
            gone = sorted(model for (model, version), count in before.items() if have[(model, version)] < count)
            if gone:
                lost.append((served, gone))
            else:
                self._seen[served.version] = have
        kept = {one.version for one in (state.current, state.previous) if one is not None}
        for version in self._seen.keys() - kept:
            del self._seen[version]
        return lost

    def _look_at_metrics(self, state: ServingState) -> None:
        """A failure that may be a process's asks for a deep look at once; silence for too long ends the server."""
        try:
            text = httpx.get(f"http://{state.metrics}/metrics", timeout=_ANSWER_S, trust_env=False).text
            live = httpx.get(f"http://{state.http}/v2/health/live", timeout=_ANSWER_S, trust_env=False).is_success
        except httpx.HTTPError:
            live = False
        if live:
            self._answered = self._clock()
            failures = backend_failures(text)
            if self._failures is not None and failures > self._failures:
                self._next_deep = 0.0
            self._failures = failures
        elif self._clock() - self._answered > self._settings.silent_s and state.server is not None:
            self._answered = self._clock()
            self._note(f"Triton has answered nothing for {self._settings.silent_s:g} s and is ended")
            end_server(state.server)

    def _look_deep(self, state: ServingState) -> bool:
        served = state.current
        if served is None or self._clock() < self._next_deep:
            return False
        self._next_deep = self._clock() + self._settings.deep_s
        if not self._watcher.lock.acquire(blocking=False):
            return False  # versions are being loaded, each of which is heard
        try:
            health = self._watcher.check(served)
        except DubflowError as error:
            # A process may have died since the look at processes; then that is what happened.
            living = tuple(one for one in self._stubs(self._directory) if one.process not in self._ending)
            for lost, models in self._lost(state, counted(living)):
                if _same(lost, served):
                    return self._replace(served, models)
            update_state(self._directory, lambda found: found.counted(checks_failed=1))
            return self.heal(served, f"it does not dub the golden clip: {error.headline}")
        finally:
            self._watcher.lock.release()
        update_state(self._directory, lambda found: found.with_changes(health=health))
        return False

    def _note(self, text: str) -> None:
        self._say(text)
        update_state(self._directory, lambda found: found.noted(text))


def _same(one: Served | None, other: Served) -> bool:
    return one is not None and (one.version, one.package) == (other.version, other.package)


def backend_failures(metrics: str) -> float:
    """Requests that failed in a backend since the server was started, of all models, by its metrics."""
    return sum(map(float, _FAILURE.findall(metrics)))


def is_server(process: int) -> bool:
    """Whether this process runs, and is a Triton server."""
    try:
        return b"tritonserver" in Path(f"/proc/{process}/cmdline").read_bytes()
    except OSError:
        return False


def end_server(process: int) -> None:
    """End a server that hangs, if the process is one."""
    if is_server(process):
        with suppress(ProcessLookupError):
            os.kill(process, signal.SIGKILL)
