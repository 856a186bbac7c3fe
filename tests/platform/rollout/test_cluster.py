"""The canary of an InferenceService: what is sent fits KServe's schema, and nobody's change is overwritten."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import fake_kubernetes
from dubflow.errors import BadInput, OurFault, WrongUse
from dubflow.platform.inference_services import DeploySettings, inference_service, source_of
from dubflow.platform.preflight.custom_resources import strict
from dubflow.platform.rollout import cluster as cluster_place
from dubflow.platform.rollout.cluster import ClusterPlace, endpoint
from dubflow.platform.rollout.kubernetes import ClusterSettings, Services, services_of
from dubflow.platform.rollout.machine import Rollout
from dubflow.platform.rollout.records import Contest, RolloutLog
from dubflow.serving import remote
from dubflow.serving.export import Exported
from dubflow.serving.repository import Installed
from dubflow.serving.telling import Told
from fake_kubernetes import FakeKubernetes
from rollouts import contest, counted, pairs
from serving.releasing import heard

OLD, NEW = "s3://models/dubber/1", "s3://models/dubber/2"


class Registered:
    """The registry's part: keeps in mind who is champion."""

    def __init__(self) -> None:
        self.champion = 1

    def promote(self, contest: Contest, by: str) -> None:
        self.champion = contest.candidate

    def rollback(self, contest: Contest, by: str, reason: str) -> None:
        if self.champion == contest.candidate:
            self.champion = contest.champion


def service(version: int = 1, package: str = "a" * 64, uri: str = OLD) -> dict[str, Any]:
    export = Exported(
        version=version, package=package, kind="diflow", engine=f"diflow-{version}", world="embedded",
        languages=("en",), heard=heard("diflow-1"), seconds=1.0, made="2026-01-01T00:00:00+00:00",
    )  # fmt: skip
    return inference_service(export, "dubber", uri, DeploySettings())


@pytest.fixture(scope="module")
def problems(repository: Path) -> Any:
    path = repository.parent / "shared" / "schemas" / "serving.kserve.io_v1beta1_InferenceService.json"
    if not path.is_file():
        return lambda manifest: []
    jsonschema = pytest.importorskip("jsonschema")
    schema = strict(json.loads(path.read_text()))
    schema["properties"]["metadata"] = {"type": "object"}
    validator = jsonschema.Draft202012Validator(schema)
    return lambda manifest: [error.message for error in validator.iter_errors(manifest)]


@pytest.fixture
def cluster(problems: Any) -> Iterator[FakeKubernetes]:
    with fake_kubernetes.running(problems) as server:
        server.put(service())
        yield server


@pytest.fixture
def place(cluster: FakeKubernetes) -> ClusterPlace:
    settings = ClusterSettings(api=cluster.url, ready_s=0.2, poll_s=0.01)
    return ClusterPlace(services_of(settings), Registered(), settings, lambda: None)  # type: ignore[arg-type, return-value]


def wanted(**changes: Any) -> Contest:
    return contest(where="cluster", storage_uri=NEW, **changes)


def test_from_canary_to_predictor_and_back(cluster: FakeKubernetes, place: ClusterPlace) -> None:
    before = copy.deepcopy(cluster.services["dubber"])
    for percent in (10, 10, 50):
        place.set_share(wanted(), percent)
        spec = cluster.services["dubber"]["spec"]
        (canary,) = spec["canary"]
        assert canary["trafficPercent"] == percent
        assert source_of(canary["predictor"]) == NEW
        assert spec["predictor"] == before["spec"]["predictor"], "the champion is untouched"
        same = copy.deepcopy(canary["predictor"])
        assert (same.pop("name"), same.pop("minReplicas"), same.pop("annotations")["dubflow.dev/version"]) == (
            "v2", 1, "2",
        )  # fmt: skip
        assert same.items() <= before["spec"]["predictor"].items(), "the candidate runs as the champion does"
    assert [one.split()[0] for one in cluster.asked].count("PATCH") == 2, "what is so already is not sent again"
    for _ in range(2):
        place.promote(wanted(), "ada")
        spec, notes = cluster.services["dubber"]["spec"], cluster.services["dubber"]["metadata"]["annotations"]
        assert "canary" not in spec
        assert (source_of(spec["predictor"]), spec["predictor"]["name"]) == (NEW, "v2")
        assert (notes["dubflow.dev/version"], notes["dubflow.dev/package"]) == ("2", "b" * 64)
    for _ in range(2):
        place.rollback(wanted(), "ada", "complaints")
        after = cluster.services["dubber"]
        assert after["spec"] == before["spec"]
        assert after["metadata"]["annotations"]["dubflow.dev/version"] == "1"
        assert not [name for name in after["metadata"]["annotations"] if "previous" in name or "candidate" in name]


def test_back_from_a_canary(cluster: FakeKubernetes, place: ClusterPlace) -> None:
    before = copy.deepcopy(cluster.services["dubber"])
    place.set_share(wanted(), 10)
    place.rollback(wanted(), "ada", "bad")
    assert cluster.services["dubber"]["spec"] == before["spec"]
    assert cluster.services["dubber"]["metadata"]["annotations"] == before["metadata"]["annotations"]


def test_somebody_who_was_quicker_is_not_overwritten(cluster: FakeKubernetes, place: ClusterPlace) -> None:
    def scaled() -> None:
        manifest = copy.deepcopy(cluster.services["dubber"])
        manifest["spec"]["predictor"]["terminationGracePeriodSeconds"] = 9
        cluster.put(manifest)

    cluster.meanwhile = scaled
    place.set_share(wanted(), 10)
    spec = cluster.services["dubber"]["spec"]
    assert spec["predictor"]["terminationGracePeriodSeconds"] == 9
    assert spec["canary"][0]["predictor"]["terminationGracePeriodSeconds"] == 9

    cluster.meanwhile = lambda: cluster.put(service(7, "c" * 64, "s3://models/dubber/7"))
    with pytest.raises(BadInput, match="other_champion"):
        place.set_share(wanted(), 50)
    assert source_of(cluster.services["dubber"]["spec"]["predictor"]).endswith("/7")
    with pytest.raises(BadInput, match="other_champion"):
        place.promote(wanted(), "ada")
    place.rollback(wanted(), "ada", "gone already")
    assert source_of(cluster.services["dubber"]["spec"]["predictor"]).endswith("/7")


def test_another_rollouts_canary_is_left_alone(cluster: FakeKubernetes, place: ClusterPlace) -> None:
    place.set_share(wanted(), 10)
    other = wanted(candidate=3, candidate_package="c" * 64).model_copy(update={"storage_uri": "s3://models/dubber/3"})
    with pytest.raises(BadInput, match="rollout_conflict"):
        place.set_share(other, 10)
    place.rollback(other, "bob", "mine is not there")
    assert source_of(cluster.services["dubber"]["spec"]["canary"][0]["predictor"]) == NEW


def test_whoever_is_always_quicker_is_named(cluster: FakeKubernetes, place: ClusterPlace) -> None:
    def again() -> None:
        cluster.put(cluster.services["dubber"])
        cluster.meanwhile = again

    cluster.meanwhile = again
    with pytest.raises(OurFault, match="cluster_busy"):
        place.set_share(wanted(), 10)


def test_a_candidate_whose_pods_do_not_start_is_no_candidate(cluster: FakeKubernetes, place: ClusterPlace) -> None:
    cluster.ready = False
    with pytest.raises(OurFault, match="pods are starting"):
        place.set_share(wanted(), 10)


def test_what_a_cluster_refuses_is_said(cluster: FakeKubernetes, place: ClusterPlace) -> None:
    with pytest.raises(WrongUse, match="no_storage_uri"):
        place.set_share(contest(where="cluster"), 10)
    cluster.refusing = 403
    with pytest.raises(OurFault, match="not for you"):
        place.set_share(wanted(), 10)
    cluster.refusing = 0
    cluster.services.clear()
    with pytest.raises(BadInput, match="no_service"):
        place.set_share(wanted(), 10)
    with pytest.raises(OurFault, match="cluster_refused"):
        Services("http://127.0.0.1:9", "dubflow").get("dubber")


def test_without_prometheus_and_endpoints_nothing_is_judged(place: ClusterPlace) -> None:
    assert place.requests(wanted()) == (None, None)
    with pytest.raises(OurFault, match="nothing_served"):
        place.golden(wanted(), 8, 1)


def test_where_one_version_alone_answers() -> None:
    assert endpoint("dubber", "v2", "dubflow") == "dubber-v2-predictor.dubflow.svc:80"
    assert endpoint("dubber", "", "dubflow") == "dubber-predictor.dubflow.svc:80"


def test_a_service_of_the_starter_has_no_champion_to_compare_with(cluster: FakeKubernetes, place: ClusterPlace) -> None:
    cluster.put(inference_service(None, "dubber", "", DeploySettings()))
    with pytest.raises(BadInput, match="serves the starter"):
        place.set_share(wanted(), 10)


def test_a_whole_rollout(cluster: FakeKubernetes, place: ClusterPlace, tmp_path: Path,
                         monkeypatch: pytest.MonkeyPatch) -> None:  # fmt: skip
    """Held while Prometheus does not answer for the users; then live; then back with one call."""
    monkeypatch.setattr(place, "golden", lambda *_: pairs(24))
    rollout = Rollout(RolloutLog(tmp_path), place)
    rollout.start(wanted(), "ada")
    assert (rollout.run("ada").percent, cluster.services["dubber"]["spec"]["canary"][0]["trafficPercent"]) == (10, 10)
    monkeypatch.setattr(place, "requests", lambda _: (counted(1000), counted(9000)))
    assert rollout.run("ada").phase == "promoted"
    assert source_of(cluster.services["dubber"]["spec"]["predictor"]) == NEW
    assert rollout.rollback("bob", "complaints").phase == "rolled_back"
    assert source_of(cluster.services["dubber"]["spec"]["predictor"]) == OLD


@pytest.mark.parametrize("answers", [2, 7])
def test_golden_dubs_are_asked_of_exactly_the_version_that_they_are_about(
    place: ClusterPlace, monkeypatch: pytest.MonkeyPatch, answers: int
) -> None:
    asked = []

    def told(endpoint: str, key: str) -> Told:
        asked.append(endpoint)
        version = 1 if endpoint.startswith("10.0.0.1") else answers
        installed = Installed(
            version=version, package=None, engine=f"e{version}", world="embedded", languages=("en",),
            folder=Path("/models"),
        )  # fmt: skip
        return Told(installed=installed)

    hosts = {"dubber-v2-predictor.dubflow.svc": "10.0.0.2", "dubber-predictor.dubflow.svc": "10.0.0.1"}
    monkeypatch.setattr(remote, "ask", told)
    monkeypatch.setattr(remote, "resolved", lambda host, port: (f"{hosts[host]}:{port}",))
    monkeypatch.setattr(
        cluster_place, "compare_golden", lambda ours, theirs, *_, **__: [(ours.version, theirs.version)]
    )
    if answers == 2:
        assert place.golden(wanted(), 8, 1) == [(2, 1)]
        assert asked == ["10.0.0.2:80", "10.0.0.1:80"]
    else:
        with pytest.raises(BadInput, match="version 7 answers, not version 2"):
            place.golden(wanted(), 8, 1)
