"""Serving's manifests name what the code has: routes, settings, ports, modules, metrics; and fit one another."""

from __future__ import annotations

import importlib
import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from dubflow.cli.main import app
from dubflow.config import load_preset
from dubflow.gateway.app import create_app
from dubflow.gateway.metric_table import BY_NAME
from dubflow.gateway.settings import GatewaySettings, load_settings
from dubflow.platform.inference_services import (
    CONTAINER,
    SERVED,
    SOURCE,
    DeploySettings,
    canary_entry,
    inference_service,
)
from dubflow.platform.preflight.resources import Manifests
from dubflow.serving import probe
from dubflow.serving.listening import Listening
from dubflow.serving.options import Tuning
from dubflow.serving.repository import UNREGISTERED

PREFIX = "DUBFLOW_GATEWAY_"
OURS = ("dubflow-gateway", "dubflow-worker")


def container(manifests: Manifests, name: str) -> dict[str, Any]:
    """The container of a Deployment, or of Triton's runtime."""
    if name == "dubflow-triton":
        found = manifests.find("ServingRuntime", name, "dubflow")
        assert found is not None
        (one,) = found.spec["containers"]
    else:
        found = manifests.find("Deployment", name, "dubflow")
        assert found is not None
        (one,) = found.spec["template"]["spec"]["containers"]
    return dict(one)


def environment(manifests: Manifests, name: str) -> dict[str, str]:
    """Values that a container finds; those of secrets are stood in for."""
    one = container(manifests, name)
    found: dict[str, str] = {}
    for source in one.get("envFrom", ()):
        config = manifests.find("ConfigMap", source["configMapRef"]["name"], "dubflow")
        assert config is not None
        found |= config.body["data"]
    for entry in one["env"]:
        found[entry["name"]] = entry.get(
            "value", "postgresql+psycopg://u@h/d" if "DATABASE" in entry["name"] else "k" * 32
        )
    return found


def settings(manifests: Manifests, name: str, monkeypatch: pytest.MonkeyPatch) -> GatewaySettings:
    """What the program would read."""
    for key, value in environment(manifests, name).items():
        if key.startswith(PREFIX):
            monkeypatch.setenv(key, value)
    return load_settings()


@pytest.mark.parametrize("name", OURS)
def test_every_setting_is_a_field_and_all_of_them_are_accepted(
    manifests: Manifests, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = {key.removeprefix(PREFIX).lower() for key in environment(manifests, name) if key.startswith(PREFIX)}
    assert given <= set(GatewaySettings.model_fields)
    found = settings(manifests, name, monkeypatch)
    # What a pod of its own must not leave to a default: each would be another one in every pod, or none at all.
    assert None not in (
        found.database,
        found.files,
        found.triton,
        found.triton_key,
        found.webhook_secret,
        found.scratch,
    )
    signs, promotes = (found.signing_key, found.signing_chain), (found.package_keys, found.verdict_keys, found.registry)
    if name == "dubflow-worker":
        assert None not in signs
        assert not any(promotes), "it promotes nothing, and sees no registry"
    else:
        assert all(promotes)
        assert signs == (None, None), "it signs nothing"
    assert found.host == "0.0.0.0"
    assert found.model == "dubber"


@pytest.mark.parametrize("name", OURS)
def test_folders_and_files_of_the_settings_are_mounted(
    manifests: Manifests, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = settings(manifests, name, monkeypatch)
    mounts = {one["mountPath"]: one.get("readOnly", False) for one in container(manifests, name)["volumeMounts"]}

    def mount_of(path: Path) -> str:
        return next(str(one) for one in (path, *path.parents) if str(one) in mounts)

    assert mounts[mount_of(found.state)] is False
    assert mounts[mount_of(found.scratch_root)] is False
    assert mounts["/tmp"] is False
    for path in (*found.package_keys, *found.verdict_keys):
        assert mounts[mount_of(path)] is True
    if name == "dubflow-worker":  # who signs; the gateway has no business with the key
        assert found.signing_key is not None
        assert mounts[mount_of(found.signing_key)] is True
    else:
        assert not any("signing" in one for one in mounts)


def test_a_clip_has_one_path_for_worker_and_triton(manifests: Manifests, monkeypatch: pytest.MonkeyPatch) -> None:
    scratch = settings(manifests, "dubflow-worker", monkeypatch).scratch_root
    runtime = manifests.find("ServingRuntime", "dubflow-triton", "dubflow")
    worker = manifests.find("Deployment", "dubflow-worker", "dubflow")
    assert runtime is not None
    assert worker is not None
    claims = []
    for spec, one in (
        (runtime.spec, container(manifests, "dubflow-triton")),
        (worker.spec["template"]["spec"], container(manifests, "dubflow-worker")),
    ):
        mount = next(m for m in one["volumeMounts"] if str(scratch).startswith(m["mountPath"] + "/"))
        volume = next(v for v in spec["volumes"] if v["name"] == mount["name"])
        claims.append((mount["mountPath"], volume["persistentVolumeClaim"]["claimName"]))
    assert claims[0] == claims[1]
    claim = manifests.find("PersistentVolumeClaim", claims[0][1], "dubflow")
    assert claim is not None
    assert claim.spec["accessModes"] == ["ReadWriteOnce" if manifests.overlay == "dev" else "ReadWriteMany"]


def test_probes_ask_routes_that_the_gateway_has(manifests: Manifests, tmp_path: Path) -> None:
    gateway = create_app(GatewaySettings(state=tmp_path))
    routes = {getattr(route, "path", "") for route in gateway.routes} | set(gateway.openapi()["paths"])
    one = container(manifests, "dubflow-gateway")
    asked = {name: one[name]["httpGet"]["path"] for name in ("startupProbe", "readinessProbe", "livenessProbe")}
    assert set(asked.values()) <= routes
    assert asked["readinessProbe"] == "/readyz"
    assert asked["livenessProbe"] == "/healthz", "a database that is away must not end every gateway"
    route = manifests.find("HTTPRoute", "dubflow-gateway", "dubflow")
    assert route is not None
    open_to_all = [match["path"] for rule in route.spec["rules"] for match in rule["matches"]]
    for path in open_to_all:
        taken = [r for r in routes if r == path["value"] or r.startswith(path["value"] + "/")]
        assert taken, f"{path['value']} is no route"
    assert not any(one["value"] in ("/metrics", "/readyz", "/") for one in open_to_all)


def test_the_probe_knows_what_the_repository_does() -> None:
    assert probe._UNREGISTERED == UNREGISTERED


def commands() -> dict[tuple[str, ...], Any]:
    """Every verb of the command line, with its options."""
    import typer.main

    found: dict[tuple[str, ...], Any] = {}

    def walk(command: Any, words: tuple[str, ...]) -> None:
        for name, one in getattr(command, "commands", {}).items():
            walk(one, (*words, name))
        if not hasattr(command, "commands"):
            found[words] = command

    walk(typer.main.get_command(app), ())
    return found


def test_command_lines_are_those_of_programs_that_are_there(manifests: Manifests) -> None:
    triton = container(manifests, "dubflow-triton")
    service = manifests.find("InferenceService", "dubber", "dubflow")
    assert service is not None
    (fetch,) = service.spec["predictor"]["initContainers"]
    known = commands()
    for one, verb in ((triton, ("serve", "up")), (fetch, ("serve", "fetch"))):
        words = [*one["command"], *one["args"]]
        assert words[0] == "dubflow"
        assert tuple(words[1:3]) == verb
        context = known[verb].make_context("dubflow", list(words[3:]), resilient_parsing=False)
        assert context.params
    served = next(word.partition("=")[2] for word in triton["args"] if word.startswith("--model="))
    brought = next(word.partition("=")[2] for word in fetch["args"] if word.startswith("--out="))
    assert served == brought == SERVED
    for name, module in (("dubflow-gateway", "dubflow.gateway"), ("dubflow-worker", "dubflow.gateway.worker")):
        words = container(manifests, name)["command"]
        assert words[:3] == ["python", "-m", module]
        assert importlib.util.find_spec(module) is not None
    for probing, more in (("startupProbe", []), ("readinessProbe", []), ("livenessProbe", ["--alive"])):
        words = triton[probing]["exec"]["command"]
        assert words == ["python", "-m", "dubflow.serving.probe", "--state", "/state", *more]
    assert "--state=/state" in triton["args"]


def test_triton_listens_where_everybody_looks(manifests: Manifests, monkeypatch: pytest.MonkeyPatch) -> None:
    one = container(manifests, "dubflow-triton")
    ports = {port["name"]: port["containerPort"] for port in one["ports"]}
    for entry in one["env"]:
        if entry["name"].startswith("DUBFLOW_TRITON_"):
            monkeypatch.setenv(entry["name"], entry.get("value", "k" * 32))
    listening = Listening()
    assert listening.ports == (0, ports["grpc"], ports["metrics"])
    assert listening.host == "0.0.0.0"
    (key,) = (entry for entry in one["env"] if entry["name"] == "DUBFLOW_TRITON_KEY")
    worker = {entry["name"]: entry for entry in container(manifests, "dubflow-worker")["env"]}
    assert worker["DUBFLOW_GATEWAY_TRITON_KEY"]["valueFrom"] == key["valueFrom"], "one key for both"
    address = settings(manifests, "dubflow-worker", monkeypatch).triton
    assert address is not None
    name, _, rest = address.partition(".")
    service = manifests.find("Service", name, "dubflow")
    assert service is not None
    assert service.spec["clusterIP"] == "None", "its name stands for every pod"
    assert rest == f"dubflow.svc:{next(p['port'] for p in service.spec['ports'] if p['name'] == 'grpc')}"
    assert one["ports"][0]["name"] == "grpc", "KServe's Service leads to the first"


def test_the_preset_of_triton_is_one(manifests: Manifests, tmp_path: Path) -> None:
    config = manifests.find("ConfigMap", "dubflow-triton", "dubflow")
    assert config is not None
    path = tmp_path / "serving.yaml"
    path.write_text(config.body["data"]["serving.yaml"])
    tuning = load_preset(str(path), "serving", Tuning)
    one = container(manifests, "dubflow-triton")
    gpus = int(one["resources"]["limits"].get("nvidia.com/gpu", 0))
    assert gpus == int(one["resources"]["requests"].get("nvidia.com/gpu", 0)) == len(tuning.triton.gpus)
    assert (tuning.triton.device == "gpu") is (gpus > 0)
    service = manifests.find("InferenceService", "dubber", "dubflow")
    runtime = manifests.find("ServingRuntime", "dubflow-triton", "dubflow")
    assert service is not None
    assert runtime is not None
    if gpus:
        assert runtime.spec["nodeSelector"] == {"nvidia.com/gpu.present": "true"}
        assert {"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"} in runtime.spec["tolerations"]
    grace = service.spec["predictor"]["terminationGracePeriodSeconds"]
    assert grace > tuning.triton.stop_s + one["lifecycle"]["preStop"]["sleep"]["seconds"]
    started = one["startupProbe"]["periodSeconds"] * one["startupProbe"]["failureThreshold"]
    assert started > tuning.triton.load_s, "a model that loads slowly is not ended for it"
    memory = next(v["emptyDir"] for v in runtime.spec["volumes"] if v["name"] == "shared-memory")
    assert memory["medium"] == "Memory"
    mounts = {m["name"]: m["mountPath"] for m in one["volumeMounts"]}
    assert mounts["shared-memory"] == "/dev/shm"


def test_a_worker_that_ends_has_time_to_hand_its_job_back(manifests: Manifests) -> None:
    worker = manifests.find("Deployment", "dubflow-worker", "dubflow")
    assert worker is not None
    words = container(manifests, "dubflow-worker")["command"]
    drain = float(words[words.index("--drain") + 1])
    assert worker.spec["template"]["spec"]["terminationGracePeriodSeconds"] >= drain + 15


def test_workers_are_scaled_by_metrics_that_the_gateway_has(manifests: Manifests) -> None:
    (scaler,) = manifests.of("ScaledObject")
    (trigger,) = scaler.spec["triggers"]
    query = trigger["metadata"]["query"]
    names = re.findall(r"\b(dubflow_\w+)", query)
    assert names
    for name in names:
        assert BY_NAME[name].place == "scrape"
    for label in re.findall(r"(\w+)=\"", query):
        assert any(label in BY_NAME[name].labels for name in names)
    assert trigger["metadata"]["ignoreNullValues"] == "false", "nobody knows is not none"
    assert scaler.spec["minReplicaCount"] <= scaler.spec["fallback"]["replicas"] <= scaler.spec["maxReplicaCount"]
    target = manifests.find("Deployment", scaler.spec["scaleTargetRef"]["name"], "dubflow")
    assert target is not None
    assert "replicas" not in target.spec
    assert trigger["metricType"] == "AverageValue", "the only kind that has a fallback"


def test_the_service_that_is_checked_in_is_the_one_that_is_built(kubernetes: Path) -> None:
    there = yaml.safe_load((kubernetes / "base" / "triton" / "dubber.yaml").read_text(encoding="utf-8"))
    assert there == inference_service(None, "dubber", "")
    assert there["spec"]["predictor"]["model"]["name"] == CONTAINER
    assert DeploySettings().runtime == "dubflow-triton"


def test_what_a_deployment_writes_no_overlay_takes_back(manifests: Manifests) -> None:
    """A map's entries that an overlay never named stay when it is applied again; lists and scalars would not."""
    service = manifests.find("InferenceService", "dubber", "dubflow")
    assert service is not None
    assert not {SOURCE, "dubflow.dev/version"} & set(service.spec["predictor"].get("annotations", {}))
    assert "canary" not in service.spec
    entry = canary_entry(service.spec["predictor"], 7, "a" * 64, "s3://dubflow/exports/7", 10)
    differing = {name for name, value in entry["predictor"].items() if value != service.spec["predictor"].get(name)}
    assert differing - {"minReplicas"} == {"annotations", "name"}


def test_pods_are_what_pod_security_restricted_asks(manifests: Manifests) -> None:
    mine = {"dubflow-gateway", "dubflow-worker", "dubflow-triton"}
    pods = [one for one in manifests.pods if one.labels.get("app.kubernetes.io/name") in mine]
    assert {one.labels["app.kubernetes.io/name"] for one in pods} == mine
    for pod in pods:
        assert pod.spec["automountServiceAccountToken"] is False
        assert pod.spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        for one in pod.every_container:
            context = one["securityContext"]
            assert context["readOnlyRootFilesystem"] is True
            assert context["allowPrivilegeEscalation"] is False
            assert context["capabilities"] == {"drop": ["ALL"]}
            assert one["resources"]["limits"]["memory"]
            assert not json.dumps(one.get("env", [])).count("password")
