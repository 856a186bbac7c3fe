"""Who may do and reach what: each right that is needed is given, and its neighbours are not."""

from __future__ import annotations

import pytest

from cluster_rules import End, end_of, may, may_connect, pods_named, selects
from dubflow.platform import inference_services, trainjobs
from dubflow.platform.preflight.resources import Manifests

SERVING, TRAINING = "dubflow", "dubflow-training"
STEP = End(TRAINING, {"workflows.argoproj.io/workflow": "nightly-x", "pipelines.kubeflow.org/v2_component": "true"})
TRAINER = End(TRAINING, {"app.kubernetes.io/name": "dubflow-training", "app.kubernetes.io/component": "training"})
PROMETHEUS = End("monitoring", {"app.kubernetes.io/name": "prometheus"})
STRANGER = End("default", {"app": "stranger"})
KFP = End("kubeflow", {"app": "ml-pipeline"})
DNS = End("kube-system", {"k8s-app": "kube-dns"})
METADATA = End(address="169.254.169.254")
DATABASE, OUTSIDE, NODE = End(address="10.3.4.5"), End(address="203.0.113.7"), End(address="192.168.1.9")
NAMES = ("dubflow-gateway", "dubflow-worker", "dubflow-triton", "dubflow-mlflow")


def pod(manifests: Manifests, name: str) -> End:
    """The pods of that name, wherever they are."""
    space = TRAINING if name in ("dubflow-telemetry", "dubflow-nightly") else SERVING
    return end_of(pods_named(manifests, space, name))


@pytest.mark.slow
def test_no_role_has_a_wildcard_and_none_is_of_the_whole_cluster(manifests: Manifests) -> None:
    assert list(manifests.of("ClusterRole", "ClusterRoleBinding")) == []
    for role in manifests.of("Role"):
        for rule in role.body["rules"]:
            for key in ("verbs", "resources", "apiGroups", "resourceNames"):
                assert "*" not in rule.get(key, ()), role.where
        assert any(binding.body["roleRef"]["name"] == role.name for binding in manifests.of("RoleBinding"))


def test_a_step_may_do_what_its_code_calls_and_not_its_neighbours(manifests: Manifests) -> None:
    step = f"{TRAINING}/dubflow-pipeline"
    jobs = {"plural": trainjobs.PLURAL, "group": trainjobs.GROUP, "namespace": TRAINING}
    for verb in ("create", "get"):
        assert may(manifests, step, verb, name="dubflow-dubber-1", **jobs)
    assert not may(manifests, step, "delete", name="dubflow-dubber-1", **jobs)
    services = {"plural": inference_services.PLURAL, "group": inference_services.GROUP, "namespace": SERVING}
    assert may(manifests, step, "create", **services)
    assert may(manifests, step, "patch", name="dubber", **services)
    for verb, name in (("patch", "another"), ("delete", "dubber"), ("list", "")):
        assert not may(manifests, step, verb, name=name, **services)
    assert not may(manifests, step, "create", "trainjobs", SERVING, group=trainjobs.GROUP)
    assert not may(manifests, step, "get", "secrets", TRAINING, "dubflow-signing")
    assert not may(manifests, step, "list", "secrets", TRAINING)
    assert not may(manifests, step, "get", "secrets", SERVING, "dubflow-gateway")


def test_a_rollout_moves_one_service_and_nothing_else(manifests: Manifests) -> None:
    account, group = f"{SERVING}/dubflow-rollout", inference_services.GROUP
    for verb in ("get", "patch"):
        assert may(manifests, account, verb, "inferenceservices", SERVING, "dubber", group)
        assert not may(manifests, account, verb, "inferenceservices", SERVING, "other", group)
        assert not may(manifests, account, verb, "servingruntimes", SERVING, "dubflow-triton", group)
    assert not may(manifests, account, "create", "inferenceservices", SERVING, group=group)


def test_the_schedule_begins_runs_and_prometheus_finds_targets(manifests: Manifests) -> None:
    schedule = f"{TRAINING}/dubflow-schedule"
    for verb in ("create", "get", "list"):
        assert may(manifests, schedule, verb, "runs", TRAINING, group="pipelines.kubeflow.org")
    assert not may(manifests, schedule, "delete", "runs", TRAINING, group="pipelines.kubeflow.org")
    assert not may(manifests, schedule, "get", "pods", TRAINING)
    for space in (SERVING, TRAINING):
        for resource in ("services", "endpoints", "pods"):
            assert may(manifests, "monitoring/prometheus-k8s", "watch", resource, space)
        assert not may(manifests, "monitoring/prometheus-k8s", "get", "secrets", space)


def test_pods_that_ask_kubernetes_nothing_have_no_token(manifests: Manifests) -> None:
    for one in manifests.pods:
        asks = one.spec.get("serviceAccountName") == "dubflow-rollout"  # which moves the service's share
        assert one.spec.get("automountServiceAccountToken") is asks, one.where
    asking = {one.name for one in manifests.of("ServiceAccount") if one.body.get("automountServiceAccountToken", True)}
    assert asking == {"dubflow-pipeline", "dubflow-rollout"}


def test_each_namespace_denies_by_default_and_all_find_names(manifests: Manifests) -> None:
    for space in manifests.of("Namespace"):
        denying = manifests.find("NetworkPolicy", "default-deny", space.name)
        assert denying is not None
        assert denying.spec == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}
    for one in manifests.pods:
        source = End(one.namespace or TRAINING, one.labels)
        for protocol in ("UDP", "TCP"):
            assert may_connect(manifests, source, DNS, 53, protocol), one.where
        assert not may_connect(manifests, source, End("kube-system", {"k8s-app": "other"}), 53, "UDP")
        assert not may_connect(manifests, source, METADATA, 80), one.where
        assert not may_connect(manifests, source, METADATA, 443), one.where
        assert not may_connect(manifests, source, OUTSIDE, 80), one.where


def test_each_port_of_a_service_is_reached_by_somebody_and_by_no_stranger(manifests: Manifests) -> None:
    ends = [end_of(one) for one in manifests.pods if one.namespace] + [STEP, TRAINER, PROMETHEUS]
    ends += [End("gateway-system", {}), STRANGER]
    for service in manifests.of("Service"):
        pods = [
            one
            for one in manifests.pods_in(service.namespace)
            if selects({"matchLabels": service.spec["selector"]}, one.labels)
        ]
        assert pods, service.where
        target = end_of(pods[0])
        for port in service.spec["ports"]:
            named = port["targetPort"]
            number = target.ports[named] if isinstance(named, str) else int(named)
            callers = [one for one in ends if may_connect(manifests, one, target, number)]
            assert callers, f"nobody reaches {service.where} at {named}"
            assert STRANGER not in callers, f"{service.where} at {named}"


LET = [
    ("dubflow-gateway", "dubflow-triton", "grpc"),
    ("dubflow-worker", "dubflow-triton", "grpc"),
    ("dubflow-gateway", "dubflow-mlflow", "http"),
]
HELD = [
    ("dubflow-worker", "dubflow-mlflow", "http"),
    ("dubflow-triton", "dubflow-mlflow", "http"),
    ("dubflow-mlflow", "dubflow-triton", "grpc"),
    ("dubflow-triton", "dubflow-gateway", "http"),
    ("dubflow-telemetry", "dubflow-gateway", "http"),
    ("dubflow-nightly", "dubflow-mlflow", "http"),
]


@pytest.mark.parametrize(
    ("source", "target", "port", "let"), [*((*x, True) for x in LET), *((*x, False) for x in HELD)]
)
def test_pods_reach_whom_they_work_with(manifests: Manifests, source: str, target: str, port: str, let: bool) -> None:
    other = pod(manifests, target)
    assert may_connect(manifests, pod(manifests, source), other, other.ports[port]) is let


def test_steps_and_trainings_reach_what_they_need(manifests: Manifests) -> None:
    mlflow, triton = pod(manifests, "dubflow-mlflow"), pod(manifests, "dubflow-triton")
    for one in (STEP, TRAINER, pod(manifests, "dubflow-telemetry")):
        assert may_connect(manifests, one, mlflow, 5000)
        assert not may_connect(manifests, one, triton, triton.ports["grpc"])
    assert not may_connect(manifests, STRANGER, mlflow, 5000)
    assert not may_connect(manifests, pod(manifests, "dubflow-gateway"), triton, 8000), "Triton's HTTP is its pod's own"
    assert may_connect(manifests, TRAINER, TRAINER, 29400)
    assert may_connect(manifests, TRAINER, TRAINER, 45678), "NCCL chooses its ports"
    assert not may_connect(manifests, STEP, TRAINER, 29400)
    for port in (8887, 8888, 8080, 8333):
        assert may_connect(manifests, STEP, KFP, port)
    assert may_connect(manifests, pod(manifests, "dubflow-nightly"), KFP, 8888)
    assert may_connect(manifests, STEP, NODE, 6443), "Kubernetes' API"
    assert not may_connect(manifests, TRAINER, NODE, 6443)


def test_databases_and_storage_stand_where_the_overlay_says(rendered: dict[str, Manifests]) -> None:
    users = ("dubflow-gateway", "dubflow-worker", "dubflow-mlflow", "dubflow-backup")
    for name in ("prod", "gpu"):
        for user in users:
            assert may_connect(rendered[name], pod(rendered[name], user), DATABASE, 5432)
            assert may_connect(rendered[name], pod(rendered[name], user), OUTSIDE, 443)
        assert may_connect(rendered[name], STEP, DATABASE, 5432)
        assert may_connect(rendered[name], TRAINER, OUTSIDE, 443)
        assert not may_connect(rendered[name], pod(rendered[name], "dubflow-triton"), DATABASE, 5432)
    dev = rendered["dev"]
    postgres, storage = pod(dev, "dubflow-postgres"), pod(dev, "dubflow-storage")
    for source in (*(pod(dev, user) for user in users), STEP, pod(dev, "dubflow-mlflow-schema")):
        assert may_connect(dev, source, postgres, 5432)
    for source in (*(pod(dev, user) for user in users), STEP, TRAINER, pod(dev, "dubflow-bucket")):
        assert may_connect(dev, source, storage, 8333)
    for source in (TRAINER, pod(dev, "dubflow-triton"), pod(dev, "dubflow-bucket")):
        assert not may_connect(dev, source, postgres, 5432)
    assert may_connect(dev, pod(dev, "dubflow-telemetry"), postgres, 5432)
    assert not may_connect(dev, pod(dev, "dubflow-telemetry"), storage, 8333)
    assert not may_connect(dev, STRANGER, storage, 8333)
