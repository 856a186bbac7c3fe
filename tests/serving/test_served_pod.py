"""A pod of Triton as the cluster runs it, asked by a worker that shares nothing with it but a folder and the key."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from dubflow.errors import OurFault
from dubflow.gateway.settings import GatewaySettings, load_settings
from dubflow.gateway.speakers import remote_speaker, speakers_of
from dubflow.gateway.worker import serve
from dubflow.platform.serving_stack import plan_stack
from dubflow.platform.serving_status import start_detached, stop_stack
from dubflow.serving import probe
from dubflow.serving.environment import why_not
from dubflow.serving.fetching import fetch_export
from dubflow.serving.golden import CLIP as GOLDEN
from dubflow.serving.launcher import free_ports, read_key
from dubflow.serving.options import ServeOptions, Tuning
from dubflow.serving.patience import WatchSettings
from dubflow.serving.remote import ask
from dubflow.serving.state import read_state
from dubflow.serving.stubs import running_stubs
from jobs_room import CLIP, open_room

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(bool(why_not()), reason=f"Triton cannot run here: {why_not()}"),
]
KEY = "a-key-that-several-pods-know"
WITHIN_S = 180.0


@pytest.fixture(scope="module")
def pod(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Its state folder; what `dubflow serve fetch` and `dubflow serve up --no-gateway` do with a pod's environment."""
    home = tmp_path_factory.mktemp("pod")
    grpc, metrics = free_ports(2)
    environment = {"KEY": KEY, "GRPC_PORT": grpc, "METRICS_PORT": metrics}
    with pytest.MonkeyPatch.context() as patch:
        for name, value in environment.items():
            patch.setenv(f"DUBFLOW_TRITON_{name}", str(value))
        fetch_export("starter", home / "served", trusted_keys=[])
        options = ServeOptions(model=str(home / "served"), tuning=Tuning(watch=WatchSettings(deep_s=600)))
        plan = plan_stack(home / "state", options, mode="triton", port=0, gateway=False)
        try:
            start_detached(plan, WITHIN_S, lambda _: None)
            yield home / "state"
        finally:
            stop_stack(home / "state", 30)


def settings_of(pod: Path, folder: Path) -> GatewaySettings:
    state = read_state(pod)
    return load_settings(state=folder / "worker", triton=state.grpc, triton_key=KEY, scratch=folder / "scratch")


def until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + WITHIN_S
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_ports_and_key_are_those_of_the_environment(pod: Path) -> None:
    state = read_state(pod)
    assert read_key(pod) == KEY
    environment = (os.environ["DUBFLOW_TRITON_GRPC_PORT"], os.environ["DUBFLOW_TRITON_METRICS_PORT"])
    assert (str(state.grpc).rpartition(":")[2], str(state.metrics).rpartition(":")[2]) == environment
    assert state.grpc is not None
    assert probe.why_not_ready(pod) == ""
    told = ask(state.grpc, KEY)
    assert state.current is not None
    assert (told.installed.version, told.installed.engine) == (0, state.current.engine)
    assert told.health == state.health
    assert "drift.json" in told.beside
    with pytest.raises(OurFault) as caught:
        ask(state.grpc, "another-key-of-nobody")
    assert caught.value.code == "serving.no_key"


def test_a_worker_elsewhere_does_a_job_and_says_what_is_served(pod: Path, tmp_path: Path) -> None:
    settings = settings_of(pod, tmp_path)
    room = open_room(settings.state)
    room.objects.put(CLIP, GOLDEN)
    job = room.submit()
    assert serve(settings, speakers_of(settings), once=True, signals=False) == 1
    done = room.store.get("acme", job)
    assert done.state == "done", done
    state = read_state(settings.state)
    assert state.current is not None
    assert state.current.engine == read_state(pod).current.engine
    assert (state.current.folder / "drift.json").is_file()
    assert list((tmp_path / "scratch").glob("*/*")) == [], "nothing of the clip stays in the shared folder"


def test_a_version_with_a_dead_process_is_not_ready_until_it_is_healed(pod: Path, tmp_path: Path) -> None:
    (victim,) = (one for one in running_stubs(pod) if one.model == "diflow_denoiser")
    reloads = read_state(pod).counts.reloads
    os.kill(victim.process, signal.SIGKILL)
    until(lambda: bool(probe.why_not_ready(pod)))
    until(lambda: read_state(pod).counts.reloads > reloads and not probe.why_not_ready(pod))
    speaker = remote_speaker(settings_of(pod, tmp_path))
    assert speaker.proof is not None
    speaker.proof()
    assert (tmp_path / "scratch" / "golden.mp4").is_file(), "where the server sees it"
