"""What is sent to a Kubeflow endpoint, and what becomes of its answers; the endpoint is on loopback."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from dubflow.errors import BadInput, OurFault, WrongUse
from dubflow.platform.pipelines.cluster import ClusterSettings, cancel, cluster_form, refresh, resume, submit
from dubflow.platform.pipelines.definitions import read_pipeline
from dubflow.platform.pipelines.records import read_record
from fake_kfp import FakeKfp, serving


@pytest.fixture
def fake() -> Iterator[FakeKfp]:
    with serving(FakeKfp()) as api:
        yield api


def settings_of(fake: FakeKfp, **more: object) -> ClusterSettings:
    return ClusterSettings.model_validate({"host": fake.url, "poll_s": 0.01, **more})


def test_a_pipeline_is_handed_over_as_it_is_with_the_clusters_images(fake: FakeKfp, tmp_path: Path) -> None:
    definition = read_pipeline("train-dubber")
    arguments = definition.arguments({"seed": "3", "parts": '["0/1"]', "start": ""})
    settings = settings_of(fake, images="registry.example/team", tag="sha256:" + "0" * 64)
    record = submit(definition, arguments, tmp_path, settings=settings, say=lambda line: None)
    sent = fake.runs[record.remote]
    assert sent["display_name"] == record.id
    assert sent["service_account"] == "dubflow-pipeline"
    given = sent["runtime_config"]["parameters"]
    assert (given["seed"], given["parts"], given["start"]) == (3, ["0/1"], "")
    assert "workspace" not in given, "the cluster's claim stays where the definition mounts it"
    executors = sent["pipeline_spec"]["pipeline_spec"]["deploymentSpec"]["executors"]
    images = {one["container"]["image"] for one in executors.values()}
    assert images == {f"registry.example/team/{name}@sha256:{'0' * 64}" for name in ("data", "train")}
    assert executors["exec-train-tts"]["container"]["resources"]["accelerator"]["resourceCount"] == "1"
    assert (record.where, record.state, record.ignored) == ("cluster", "running", ())


def test_a_cluster_without_gpus_is_asked_for_none() -> None:
    form = cluster_form(read_pipeline("train-dubber").text, ClusterSettings(gpus=False))
    assert "nvidia" not in form
    kept = cluster_form(read_pipeline("train-dubber").text, ClusterSettings())
    assert len(list(yaml.safe_load_all(kept))) == 2, "limits of time and claims are in the second document"


def test_each_image_may_be_named_as_a_whole() -> None:
    whole = {name: f"registry.example/{name}@sha256:{digit * 64}" for name, digit in (("data", "1"), ("train", "2"))}
    settings = ClusterSettings(images="elsewhere", data_image=whole["data"], train_image=whole["train"])
    documents = list(yaml.safe_load_all(cluster_form(read_pipeline("train-dubber").text, settings)))
    used = {one["container"]["image"] for one in documents[0]["deploymentSpec"]["executors"].values()}
    assert used == set(whole.values())


def test_a_token_in_a_file_is_read_again_for_every_client(tmp_path: Path) -> None:
    token = tmp_path / "token"
    with serving(FakeKfp(token="secret")) as guarded:
        settings = settings_of(guarded, token_file=token)
        with pytest.raises(WrongUse, match="no_token"):
            submit(read_pipeline("evaluate"), {"model": "x"}, tmp_path, settings=settings)
        token.write_text("stale\n")
        with pytest.raises(WrongUse, match="not_allowed"):
            submit(read_pipeline("evaluate"), {"model": "x"}, tmp_path, settings=settings)
        token.write_text("secret\n")
        record = submit(read_pipeline("evaluate"), {"model": "x"}, tmp_path, settings=settings, say=lambda line: None)
        assert record.remote == "r1"


def test_what_becomes_of_it_is_asked_there(fake: FakeKfp, tmp_path: Path) -> None:
    settings, definition = settings_of(fake), read_pipeline("release")
    record = submit(definition, {"model": "s3://bucket/model"}, tmp_path, settings=settings, say=lambda line: None)
    task = {"display_name": "register", "state": "SUCCEEDED", "create_time": "2026-11-21T00:00:00Z"}
    later = {"display_name": "evaluate", "state": "RUNNING", "create_time": "2026-11-21T00:01:00Z"}
    fake.runs[record.remote]["run_details"]["task_details"] = [later, task]
    seen = refresh(record, tmp_path, settings)
    assert seen.steps == {"register": "succeeded", "evaluate": "running"}
    assert list(seen.steps) == ["register", "evaluate"]
    with pytest.raises(WrongUse, match="run_is_busy"):
        resume(record.id, tmp_path, settings)
    assert cancel(record.id, tmp_path, settings).state == "cancelled"
    with pytest.raises(WrongUse, match="run_is_over"):
        cancel(record.id, tmp_path, settings)
    again = resume(record.id, tmp_path, settings)
    assert (again.state, again.attempts) == ("running", 2)
    verbs = [path.partition(":")[2] for method, path in fake.asked if method == "POST" and ":" in path]
    assert verbs == ["terminate", "retry"]
    assert read_record(tmp_path, record.id).state == "running", "no process of this machine is looked for"


def test_a_followed_run_ends_as_it_does_there(fake: FakeKfp, tmp_path: Path) -> None:
    said: list[str] = []

    def ending(line: str) -> None:
        said.append(line)
        for run in fake.runs.values():
            run["state"] = "FAILED"

    with pytest.raises(BadInput, match="run_failed_there"):
        submit(read_pipeline("evaluate"), {"model": "x"}, tmp_path, follow=True, settings=settings_of(fake), say=ending)
    assert fake.url in said[0]


def test_wrong_ways_are_said(fake: FakeKfp, tmp_path: Path) -> None:
    definition = read_pipeline("evaluate")
    with pytest.raises(WrongUse, match="no_endpoint"):
        submit(definition, {"model": "x"}, tmp_path, settings=ClusterSettings(host=""))
    with pytest.raises(OurFault, match="unknown parameters"):
        submit(definition, {"model": "x", "nonsense": 1}, tmp_path, settings=settings_of(fake))
    with serving(FakeKfp(token="secret")) as guarded:
        with pytest.raises(WrongUse, match="not_allowed"):
            submit(definition, {"model": "x"}, tmp_path, settings=settings_of(guarded))
        trusted = settings_of(guarded, token="secret")
        assert submit(definition, {"model": "x"}, tmp_path, settings=trusted, say=lambda line: None).remote == "r1"
    gone = settings_of(fake)
    record = submit(definition, {"model": "x"}, tmp_path, settings=gone, say=lambda line: None)
    fake.runs.clear()
    with pytest.raises(BadInput, match="no_run_there"):
        refresh(record, tmp_path, gone)
