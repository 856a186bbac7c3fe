"""TrainJobs: strictly by the resource's schema, with the very command that runs on one machine."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dubflow.errors import OurFault
from dubflow.platform.preflight.custom_resources import strict
from dubflow.platform.steps.verbs import command_of
from dubflow.platform.training_command import LAUNCHER_ENVIRONMENT, launcher_of, training_words
from dubflow.platform.trainjobs import TrainJobSettings, job_name, run_train_job, train_job

WORDS = training_words("dubber", data="/d", codec="/c", out="/o", teacher="/t", steps=5, nodes=2, devices=4)


@pytest.fixture(scope="module")
def errors_of(repository: Path) -> Any:
    path = repository.parent / "shared" / "schemas" / "trainer.kubeflow.org_v1alpha1_TrainJob.json"
    if not path.is_file():
        pytest.skip("the schemas of custom resources (../shared/schemas) are not on this machine")
    jsonschema = pytest.importorskip("jsonschema")
    schema = strict(json.loads(path.read_text()))
    schema["properties"]["metadata"] = {"type": "object"}
    validator = jsonschema.Draft202012Validator(schema)
    return lambda job: [error.message for error in validator.iter_errors(job)]


@given(nodes=st.integers(1, 64), devices=st.integers(1, 8), queue=st.sampled_from(["", "team"]))
def test_every_job_fits_the_schema(errors_of: Any, nodes: int, devices: int, queue: str) -> None:
    settings = TrainJobSettings(queue=queue)
    job = train_job(WORDS, nodes=nodes, devices=devices, settings=settings, environment={"A": "b"})
    assert errors_of(job) == []
    assert ("kueue.x-k8s.io/queue-name" in job["metadata"]["labels"]) is bool(queue)


def test_the_schema_is_strict(errors_of: Any) -> None:
    job = train_job(WORDS, nodes=2, devices=4)
    job["spec"]["podSpecOverrides"] = []
    assert errors_of(job), "a field of an older Trainer must not pass"


def test_its_command_is_the_one_that_runs_here() -> None:
    job = train_job(WORDS, nodes=2, devices=4)
    here = command_of(WORDS, launcher_of(2, 4))
    assert job["spec"]["trainer"]["command"] == ["python", *here[1:]]
    assert "--nnodes=2" in here
    variables = {one["name"]: one["value"] for one in job["spec"]["trainer"]["env"]}
    assert LAUNCHER_ENVIRONMENT.items() <= variables.items()
    assert "--nproc-per-node=4" in here
    assert launcher_of(1, 1) == []
    assert "--standalone" in launcher_of(1, 2)


def test_without_an_image_of_its_own_it_takes_the_runtimes(errors_of: Any) -> None:
    job = train_job(WORDS, nodes=2, devices=4, settings=TrainJobSettings(image=""))
    assert "image" not in job["spec"]["trainer"]
    assert errors_of(job) == []


def test_keys_to_the_storage_stay_in_their_secret(errors_of: Any) -> None:
    words = [*WORDS, "--mirror", "s3://bucket/runs/a"]
    job = train_job(words, nodes=2, devices=4, settings=TrainJobSettings(storage_secret="keys"))
    assert errors_of(job) == []
    assert job["spec"]["trainer"]["command"][-3:] == ["--mirror", "s3://bucket/runs/a", "--json"]
    given = {one["name"]: one for one in job["spec"]["trainer"]["env"]}
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        assert given[name] == {"name": name, "valueFrom": {"secretKeyRef": {"name": "keys", "key": name}}}
    assert training_words("tts", data="d", codec="c", out="o", mirror="s3://b/x")[-2:] == ["--mirror", "s3://b/x"]


def test_equal_words_are_one_job() -> None:
    assert job_name(WORDS) == job_name(list(WORDS))
    assert job_name(WORDS) != job_name([*WORDS, "--seed", "2"])
    assert len(job_name(WORDS)) <= 63


class Conflict(Exception):
    status = 409


class Jobs:
    """The API of one namespace; each look at a job takes the next of its conditions."""

    def __init__(self, *conditions: list[dict[str, str]], there: bool = False) -> None:
        self.conditions = list(conditions)
        self.made: list[Any] = []
        self.there = there

    def create_namespaced_custom_object(self, group: str, version: str, namespace: str, plural: str, body: Any) -> Any:
        if self.there:
            raise Conflict
        self.made.append((group, version, namespace, plural, body))

    def get_namespaced_custom_object(self, group: str, version: str, namespace: str, plural: str, name: str) -> Any:
        return {"status": {"conditions": self.conditions.pop(0)}}


def condition(kind: str, **more: str) -> dict[str, str]:
    return {"type": kind, "status": "True", **more}


@pytest.mark.parametrize("there", [False, True])
def test_a_job_is_made_or_taken_over_and_waited_for(there: bool) -> None:
    said: list[str] = []
    api = Jobs([], [condition("Suspended")], [condition("Complete")], there=there)
    job = train_job(WORDS, nodes=2, devices=1)
    run_train_job(job, api, poll_s=1, say=said.append, sleep=lambda seconds: None)
    assert len(api.made) == (0 if there else 1)
    assert api.conditions == []
    assert any("Suspended" in line for line in said)
    assert ("is there already" in said[0]) is there


def test_a_failed_job_says_why() -> None:
    api = Jobs([], [condition("Failed", reason="BackoffLimitExceeded", message="node-1 out of memory")])
    with pytest.raises(OurFault) as error:
        job = train_job(WORDS, nodes=2, devices=1)
        run_train_job(job, api, poll_s=1, say=lambda line: None, sleep=lambda seconds: None)
    assert error.value.code == "platform.train_job_failed"
    assert "out of memory" in error.value.headline
    assert error.value.retryable
