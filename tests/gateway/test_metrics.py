"""What Prometheus reads is what happened, in all processes, whoever of them is still alive."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from prometheus_client.openmetrics.parser import text_string_to_metric_families as open_metrics
from prometheus_client.parser import text_string_to_metric_families as plain

from dubflow.gateway.metric_table import METRICS
from dubflow.gateway.metrics import FOLDER, OPEN_METRICS, RETIRED, Meters, Publisher, exposition, gathered
from dubflow.platform.telemetry import TABLE
from gateway.api import Api, serving_state

Values = dict[tuple[str, tuple[tuple[str, str], ...]], float]
LABEL = {"outcome": "done"}


def values(text: str, parse: Any = plain) -> Values:
    """Samples by name and labels."""
    return {
        (one.name, tuple(sorted(one.labels.items()))): one.value for family in parse(text) for one in family.samples
    }


def scraped(folder: Path, own: Meters | None = None) -> Values:
    text, _ = exposition(gathered((own or Meters("gateway")).families(), folder))
    return values(text.decode())


def started(folder: Path, count: int, how: str) -> subprocess.Popen[str]:
    program = Path(__file__).parents[1] / "metrics_process.py"
    made = subprocess.Popen(
        [sys.executable, program, folder, str(count), how], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert made.stdout is not None
    assert made.stdout.readline() == "ready\n"
    return made


def done(found: Values) -> float | None:
    return found.get(("dubflow_job_attempts_total", (("outcome", "done"),)))


def test_counts_of_living_dead_and_ended_workers_are_one_sum(tmp_path: Path) -> None:
    wait, die = started(tmp_path, 3, "wait"), started(tmp_path, 4, "die")
    die.wait()
    # Half a file that a killed process left behind is not counted.
    (tmp_path / FOLDER / ".77-8.deadbeef.partial.json").write_bytes(
        next((tmp_path / FOLDER).glob("[0-9]*-*.json")).read_bytes()
    )
    try:
        for _ in range(3):  # however often it is asked
            found = scraped(tmp_path)
            assert done(found) == 7
            assert found["dubflow_job_seconds_count", (("outcome", "done"),)] == 7
            assert found["dubflow_job_seconds_sum", (("outcome", "done"),)] == 21
            # A gauge lives with its process.
            assert ("dubflow_worker_seen_timestamp_seconds", (("worker", "w3"),)) in found
            assert ("dubflow_worker_seen_timestamp_seconds", (("worker", "w4"),)) not in found
    finally:
        wait.communicate("\n")
    assert done(scraped(tmp_path)) == 7
    assert list((tmp_path / FOLDER).glob("[0-9]*-*.json")) == []


def test_what_a_dead_worker_counted_is_kept_once_wherever_that_was_interrupted(tmp_path: Path) -> None:
    started(tmp_path, 2, "die").wait()
    (left,) = (tmp_path / FOLDER).glob("[0-9]*-*.json")
    content = left.read_bytes()
    assert done(scraped(tmp_path)) == 2
    left.write_bytes(content)  # as if the gateway had died before it removed the file
    assert done(scraped(tmp_path)) == 2
    assert not left.exists()


def test_broken_files_cost_themselves_alone(tmp_path: Path) -> None:
    folder = tmp_path / FOLDER
    folder.mkdir()
    (folder / "1-2.json").write_text("{")
    (folder / RETIRED).write_text("no JSON")
    own = Meters("gateway")
    own.count("dubflow_http_requests_total", method="GET", route="/x", status="200")
    assert scraped(tmp_path, own)[
        "dubflow_http_requests_total", (("method", "GET"), ("route", "/x"), ("status", "200"))
    ]


@given(st.lists(st.lists(st.floats(0, 700, allow_nan=False), max_size=8), max_size=4))
@settings(deadline=None, max_examples=6)
def test_a_sum_of_histograms_is_the_histogram_of_all(parts: list[list[float]]) -> None:
    from tempfile import TemporaryDirectory

    with TemporaryDirectory() as folder:
        whole = Meters("worker")
        for number, part in enumerate(parts):
            meters = Meters("worker")
            for value in part:
                for one in (meters, whole):
                    one.observe("dubflow_job_seconds", value, **LABEL)
            publisher = Publisher(meters, Path(folder))
            publisher.file = Path(folder) / FOLDER / f"1-{number}.json"  # of a process that is no more
            publisher.publish()
        found = scraped(Path(folder))
        expected = values(exposition(whole.families())[0].decode())
        for key, value in expected.items():
            if key[0].startswith("dubflow_job_seconds") and not key[0].endswith("_created"):
                assert found[key] == pytest.approx(value)


def test_examples_with_trace_ids_reach_open_metrics_and_only_that(tmp_path: Path) -> None:
    wait = started(tmp_path, 3, "wait")
    try:
        families = gathered(Meters("gateway").families(), tmp_path)
    finally:
        wait.communicate("\n")
    text, kind = exposition(families, f"{OPEN_METRICS}; version=1.0.0,text/plain;q=0.5")
    assert kind.startswith(OPEN_METRICS)
    assert text.endswith(b"# EOF\n")
    examples = [one.exemplar for family in open_metrics(text.decode()) for one in family.samples if one.exemplar]
    assert [one.labels for one in examples] == [{"trace_id": f"{2:032x}"}]  # the newest
    text, kind = exposition(families)
    assert kind.startswith("text/plain")
    assert b"trace_id" not in text


def test_names_are_as_prometheus_wants_them() -> None:
    assert len({one.name for one in (*METRICS, *TABLE)}) == len((*METRICS, *TABLE))
    for one in (*METRICS, *TABLE):
        assert re.fullmatch(r"dubflow_[a-z_]+", one.name)
        assert (one.kind == "counter") == one.name.endswith("_total")
        assert not re.search(r"_(ms|milliseconds|percent|minutes|kb|mb)(_|$)", one.name)
        assert one.meaning.endswith(".")
        assert (one.kind == "histogram") == bool(one.buckets)
        assert list(one.buckets) == sorted(set(one.buckets))


def test_every_metric_stands_in_the_documentation(repository: Path) -> None:
    page = (repository / "docs" / "observability.md").read_text("utf-8")
    for one in (*METRICS, *TABLE):
        labels = ", ".join(one.labels) or "-"
        row = f"| `{one.name}` | {one.kind} | {one.unit or '-'} | {labels} | {one.meaning} |"
        assert row in page, row
    named = set(re.findall(r"^\| `(dubflow_[a-z_]+)`", page, re.MULTILINE))
    assert named == {one.name for one in (*METRICS, *TABLE)}


@pytest.mark.slow
def test_the_gateway_tells_of_itself_the_queue_workers_and_what_is_served(api: Api, clip: Path) -> None:
    serving_state(api.settings.state)
    key = api.upload(clip)
    api.submit(key)
    api.ask("GET", "/v1/dubs/dub_unknown")
    before = values(api.client.get("/metrics").text)
    assert before["dubflow_queue_jobs", ()] == 1
    assert before["dubflow_jobs", (("state", "queued"),)] == 1
    api.work()
    found = values(api.client.get("/metrics").text)
    assert found["dubflow_queue_jobs", ()] == 0
    assert done(found) == 1
    assert found["dubflow_dubbed_clip_seconds_total", ()] == 1.0
    assert found["dubflow_voices_total", (("kind", "stock"),)] == 1
    posted = (("method", "POST"), ("route", "/v1/dubs"), ("status", "202"))
    assert found["dubflow_http_requests_total", posted] == 1
    missing = (("method", "GET"), ("route", "/v1/dubs/{dub}"), ("status", "404"))
    assert found["dubflow_http_requests_total", missing] == 1
    assert found["dubflow_http_rejections_total", (("code", "gateway.no_such_job"),)] == 1
    assert found["dubflow_http_request_bytes_total", (("route", "/v1/uploads"),)] == clip.stat().st_size
    assert found["dubflow_http_requests_open", ()] == 1  # this very one
    version = (("engine", "hummer"), ("role", "current"), ("version", "4"), ("world", "embedded"))
    assert found["dubflow_serving_version_info", version] == 1
    stages = {key[1] for key in found if key[0] == "dubflow_engine_stage_seconds_count"}
    assert {dict(labels)["stage"] for labels in stages} == {"planning", "looking", "writing"}


def test_labels_never_hold_what_a_client_invents(api: Api) -> None:
    for path in ("/v1/secret-path", "/secret?key=secret", "/v1/dubs/secret-id"):
        api.ask("GET", path)
    api.client.request("SECRET", "/v1/dubs")
    assert "secret" not in api.client.get("/metrics").text.lower()
