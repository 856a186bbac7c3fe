"""A worker that is scraped itself tells what it counted, what it serves and that it lives; nothing of others."""

from __future__ import annotations

import socket
import urllib.request
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from dubflow.dubbing.engine import Job
from dubflow.errors import BadInput, DubflowError, OurFault
from dubflow.gateway.metrics import FOLDER, Meters
from dubflow.gateway.worker import serve
from dubflow.gateway.worker_metrics import told_by_itself
from gateway.api import serving_state
from jobs_room import Speaker, open_room

HERE = "127.0.0.1"


def asked(place: tuple[str, int]) -> dict[str, float]:
    """Values by name and labels."""
    with urllib.request.urlopen(f"http://{place[0]}:{place[1]}/metrics", timeout=10) as answer:
        text = answer.read().decode()
    return {
        one.name + "".join(f" {key}={value}" for key, value in sorted(one.labels.items())): one.value
        for family in text_string_to_metric_families(text)
        for one in family.samples
    }


def test_it_tells_its_counts_its_life_and_what_it_serves(tmp_path: Path) -> None:
    serving_state(tmp_path)
    meters, beats = Meters("worker"), iter(range(1, 9))

    def beat() -> None:
        meters.set("dubflow_worker_seen_timestamp_seconds", next(beats), worker="w")

    with told_by_itself(meters, tmp_path, (HERE, 0), beat) as place:
        meters.count("dubflow_job_attempts_total", outcome="failed")
        found = asked(place)
        assert found["dubflow_job_attempts_total outcome=failed"] == 1
        # What has not happened yet is a zero, not a gap: the first fault must be seen as a rise.
        assert found["dubflow_job_attempts_total outcome=done"] == found["dubflow_job_faults_total"] == 0
        assert found["dubflow_serving_mode_info mode=in_process"] == 1
        assert not [name for name in found if "_created" in name or name.startswith("dubflow_queue")]
        assert asked(place)["dubflow_worker_seen_timestamp_seconds worker=w"] == 2, "it lives as long as it answers"
        with (
            pytest.raises(OurFault, match="cannot be listened on") as taken,
            told_by_itself(meters, tmp_path, place, beat),
        ):
            pass
        assert taken.value.code == "gateway.metrics_port_taken"
    with pytest.raises(OSError, match="refused"):
        urllib.request.urlopen(f"http://{place[0]}:{place[1]}/metrics", timeout=5)


@pytest.mark.parametrize(
    ("error", "faults"),
    [(OurFault("dubbing.broke", "It broke."), 1), (BadInput("dubbing.no_face", "No face."), 0)],
)
def test_a_job_that_fails_for_good_is_our_fault_or_its_own(tmp_path: Path, error: DubflowError, faults: int) -> None:
    room = open_room(tmp_path, attempts=1)

    def fails(_job: Job) -> None:
        raise error

    room.engine.before = fails
    room.submit()
    worker = room.worker()
    assert worker.run(once=True) == 1
    samples = [one for family in worker.meters.families() for one in family.samples]
    assert [one.value for one in samples if one.name == "dubflow_job_faults_total"] == [faults]
    room.database.close()


def test_a_worker_with_a_port_publishes_to_no_folder(tmp_path: Path) -> None:
    with socket.socket() as free:
        free.bind((HERE, 0))
        port = free.getsockname()[1]
    room = open_room(tmp_path, worker_metrics_port=port)
    room.submit()
    found: dict[str, float] = {}

    def speaker() -> Speaker:
        found.update(asked((HERE, port)))
        return Speaker(room.engine, 3, "d")

    assert serve(room.settings, speaker, name="w", once=True, signals=False) == 1
    assert found["dubflow_worker_seen_timestamp_seconds worker=w"] > 1e9
    assert not (room.settings.state / FOLDER).exists()
    room.database.close()
