"""Whoever rolls a version out reaches what a rollout asks, and nothing else; its decisions outlive its pod."""

from __future__ import annotations

from cluster_rules import End, end_of, may, may_connect, pods_named
from dubflow.platform.preflight.resources import Manifests

SPACE, KSERVE = "dubflow", "serving.kserve.io"
PROMETHEUS = End("monitoring", {"app.kubernetes.io/name": "prometheus"})
NODE, DATABASE, OUTSIDE = End(address="192.168.1.9"), End(address="10.3.4.5"), End(address="203.0.113.7")


def named(manifests: Manifests, name: str) -> End:
    return end_of(pods_named(manifests, SPACE, name))


def test_it_reaches_what_a_rollout_asks_and_nothing_else(rendered: dict[str, Manifests]) -> None:
    for name, manifests in rendered.items():
        own = named(manifests, "dubflow-rollout")
        for target, port in (("dubflow-triton", 9000), ("dubflow-mlflow", 5000)):
            assert may_connect(manifests, own, named(manifests, target), port), name
        assert may_connect(manifests, own, PROMETHEUS, 9090)
        assert may_connect(manifests, own, NODE, 6443), "Kubernetes' API"
        journal = named(manifests, "dubflow-postgres") if name == "dev" else DATABASE
        assert may_connect(manifests, own, journal, 5432), "the models' history"
        assert not may_connect(manifests, own, OUTSIDE, 443)
        assert not may_connect(manifests, own, named(manifests, "dubflow-gateway"), 8080)
        assert not may_connect(manifests, own, named(manifests, "dubflow-triton"), 8000)


def test_it_moves_the_share_of_one_service_and_begins_only_when_told(manifests: Manifests) -> None:
    for verb in ("get", "patch"):
        assert may(manifests, f"{SPACE}/dubflow-rollout", verb, "inferenceservices", SPACE, "dubber", KSERVE)
    assert not may(manifests, f"{SPACE}/dubflow-rollout", "delete", "inferenceservices", SPACE, "dubber", KSERVE)
    job = manifests.find("CronJob", "dubflow-rollout", SPACE)
    assert job is not None
    assert job.spec["suspend"] is True
    pod = pods_named(manifests, SPACE, "dubflow-rollout").spec
    (container,) = pod["containers"]
    homes = [one["value"] for one in container["env"] if one["name"] == "DUBFLOW_HOME"]
    (mount,) = [one for one in container["volumeMounts"] if one["mountPath"] in homes]
    (volume,) = [one for one in pod["volumes"] if one["name"] == mount["name"]]
    assert manifests.find("PersistentVolumeClaim", volume["persistentVolumeClaim"]["claimName"], SPACE) is not None
