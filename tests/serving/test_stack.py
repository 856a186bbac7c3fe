"""A whole server on the real Triton: it serves, heals, and leaves nothing behind however it ends."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from dubflow.platform.serving_stack import SUPERVISOR, plan_stack
from dubflow.platform.serving_status import is_up, start_detached, status_of, stop_stack
from dubflow.serving.engines import open_engine
from dubflow.serving.environment import why_not
from dubflow.serving.golden import dub_golden
from dubflow.serving.launcher import shared_memory_prefix, stubs_of
from dubflow.serving.options import ServeOptions, Tuning
from dubflow.serving.patience import WatchSettings
from dubflow.serving.state import Counts, ServingState, read_state
from dubflow.serving.stubs import running_stubs

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(bool(why_not()), reason=f"Triton cannot run here: {why_not()}"),
]

WITHIN_S = 180.0


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The folder of a server of the starter; the tests below follow one another."""
    directory = tmp_path_factory.mktemp("serve")
    options = ServeOptions(model="starter", tuning=Tuning(watch=WatchSettings(deep_s=600, ending_s=5)))
    try:
        start_detached(plan_stack(directory, options, port=0, gateway=False), WITHIN_S, lambda _: None)
        yield directory
    finally:
        stop_stack(directory, 30)


def until(directory: Path, what: Callable[[ServingState], bool]) -> ServingState:
    deadline = time.monotonic() + WITHIN_S
    while not what(state := read_state(directory)):
        assert time.monotonic() < deadline, state.notices
        time.sleep(0.05)
    return state


def found_dead(counts: Counts) -> int:
    """How often the watchdog saw that a process is gone, or heard it: whichever look comes first."""
    return counts.stubs_died + counts.checks_failed


def process(directory: Path, name: str) -> int:
    (found,) = (one.pid for one in status_of(directory).processes if one.name == name)
    assert found is not None
    return found


def test_it_serves_what_was_asked_for_and_says_so(server: Path) -> None:
    status = status_of(server)
    assert status.fine
    assert status.state is not None
    assert status.state.mode == "triton"
    assert status.state.current is not None
    assert status.state.current.version == 0
    dub = dub_golden(open_engine(server), WITHIN_S)
    assert dub.heard.engine == status.state.current.engine


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSTOP], ids=["killed", "hung"])
def test_a_stub_that_is_killed_or_hangs_is_loaded_again_and_answers(
    server: Path, number: signal.Signals, record_property: Callable[[str, object], None]
) -> None:
    before = read_state(server).counts
    (victim,) = (one for one in running_stubs(server) if one.model == "diflow_denoiser")
    began = time.monotonic()
    os.kill(victim.process, number)
    state = until(server, lambda state: found_dead(state.counts) > found_dead(before))
    record_property("seen_s", time.monotonic() - began)
    state = until(server, lambda state: state.counts.reloads > before.reloads)
    record_property("answers_s", time.monotonic() - began)
    assert state.counts.stubs_died <= before.stubs_died + 1  # one death is counted once
    assert state.health is not None
    assert state.health.fine
    dub_golden(open_engine(server), WITHIN_S)
    deadline = time.monotonic() + WITHIN_S
    while _runs(victim.process):  # one that only a failed dub gave away is ended a while after the reload
        assert time.monotonic() < deadline, read_state(server).notices
        time.sleep(0.1)


def test_a_keeper_that_is_killed_is_started_again_and_disturbs_nobody(server: Path) -> None:
    killed = process(server, "keeper")
    os.kill(killed, signal.SIGKILL)
    dub_golden(open_engine(server), WITHIN_S)
    deadline = time.monotonic() + WITHIN_S
    while (now := status_of(server)) and {one.pid for one in now.processes if one.name == "keeper"} <= {killed, None}:
        assert time.monotonic() < deadline
        time.sleep(0.1)
    assert read_state(server).current is not None


def test_a_server_that_is_killed_is_started_again_and_serves_the_same(server: Path) -> None:
    before = read_state(server)
    assert before.server is not None
    os.kill(before.server, signal.SIGKILL)
    state = until(server, lambda state: state.counts.server_restarts > before.counts.server_restarts)
    assert state.server != before.server
    assert state.current == before.current
    assert state.current is not None
    deadline = time.monotonic() + WITHIN_S
    while True:
        try:
            dub = dub_golden(open_engine(server), WITHIN_S)
            break
        except Exception:
            assert time.monotonic() < deadline, read_state(server).notices
            time.sleep(0.5)
    assert dub.heard.engine == state.current.engine


def test_a_supervisor_that_is_killed_takes_everything_with_it(server: Path) -> None:
    status = status_of(server)
    assert status.pid is not None
    everybody = [one.pid for one in status.processes if one.pid] + [one.process for one in running_stubs(server)]
    assert len(everybody) >= 6
    os.kill(status.pid, signal.SIGKILL)
    deadline = time.monotonic() + 30
    while any(_runs(one) for one in everybody) or stubs_of(shared_memory_prefix(server)):
        assert time.monotonic() < deadline, [one for one in everybody if _runs(one)]
        time.sleep(0.1)
    assert not is_up(server)
    assert (server / SUPERVISOR).exists(), "what a killed one leaves is not believed"
    assert not status_of(server).up
    assert not stop_stack(server, 1)
    assert not (server / SUPERVISOR).exists()


def _runs(process: int) -> bool:
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False
