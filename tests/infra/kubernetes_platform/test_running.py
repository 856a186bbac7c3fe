"""Commands of the manifests, run here as their pods would run them."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from cluster_rules import pods_named, values_of
from dubflow.cli import main as program
from dubflow.platform.preflight.resources import Manifests, PodSpec
from fake_kfp import FakeKfp, serving
from real_postgres import programs, running

SERVING, TRAINING = "dubflow", "dubflow-training"


def given(manifests: Manifests, pod: PodSpec) -> dict[str, str]:
    """The environment of a pod's first container, but for what secrets bring."""
    container = pod.containers[0]
    found: dict[str, str] = {}
    for source in container.get("envFrom", ()):
        if "configMapRef" in source:
            found |= values_of(manifests, source["configMapRef"]["name"], pod.namespace)
    return found | {one["name"]: one["value"] for one in container.get("env", ()) if "value" in one}


@pytest.mark.parametrize("overlay", ["gpu", "prod"])
def test_the_schedule_hands_over_the_pipeline_of_its_own_image(
    rendered: dict[str, Manifests],
    overlay: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    manifests = rendered[overlay]
    pod = pods_named(manifests, TRAINING, "dubflow-nightly")
    environment = given(manifests, pod)
    words = [str(word).replace("/workspace", str(tmp_path)) for word in pod.containers[0]["command"]]
    mounts = {one["mountPath"]: one["name"] for one in pod.containers[0]["volumeMounts"]}
    token_file = Path(environment["DUBFLOW_KFP_TOKEN_FILE"])
    volume = next(one for one in pod.spec["volumes"] if one["name"] == mounts[str(token_file.parent)])
    projected = volume["projected"]["sources"][0]["serviceAccountToken"]
    assert (projected["path"], projected["audience"]) == (token_file.name, "pipelines.kubeflow.org")
    (tmp_path / "token").write_text("the pod's own\n")
    with serving(FakeKfp(token="the pod's own")) as api:
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        monkeypatch.setenv("HOME", str(tmp_path))
        monkeypatch.setenv("DUBFLOW_KFP_HOST", api.url)
        monkeypatch.setenv("DUBFLOW_KFP_TOKEN_FILE", str(tmp_path / "token"))
        monkeypatch.setattr("sys.argv", words)
        assert program._run() == 0
        record = json.loads(capsys.readouterr().out)
        sent = api.runs[record["remote"]]
    assert sent["service_account"] == "dubflow-pipeline"
    assert sent["runtime_config"]["parameters"]["seed"] == record["arguments"]["seed"] == int(time.time()) // 86_400
    executors = sent["pipeline_spec"]["pipeline_spec"]["deploymentSpec"]["executors"]
    images = {one["container"]["image"] for one in executors.values()}
    assert images <= set(values_of(manifests, "dubflow-images", TRAINING).values())
    assert ("accelerator" in json.dumps(executors)) is (manifests.overlay == "gpu")


@pytest.mark.parametrize("overlay", ["dev", "prod"])
def test_the_backup_takes_what_gateway_and_mlflow_use(
    rendered: dict[str, Manifests],
    overlay: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    manifests = rendered[overlay]
    pod = pods_named(manifests, SERVING, "dubflow-backup")
    store = values_of(manifests, "dubflow-backup", SERVING)["BACKUP_STORE"]
    asked = {one["name"]: one["valueFrom"] for one in pod.containers[0]["env"] if "valueFrom" in one}
    databases = {
        "dubflow-gateway/DUBFLOW_GATEWAY_DATABASE": "gateway",
        "dubflow-gateway/DUBFLOW_REGISTRY_JOURNAL": "runs",
    }
    databases["dubflow-mlflow/MLFLOW_BACKEND_STORE_URI"] = "runs"
    for name, value in given(manifests, pod).items():
        monkeypatch.setenv(name, value)
    for name, source in asked.items():
        if "secretKeyRef" in source:
            key = f"{source['secretKeyRef']['name']}/{source['secretKeyRef']['key']}"
            if key in databases:
                monkeypatch.setenv(name, f"postgresql+psycopg://dubflow:secret@db.example/{databases[key]}")
        else:
            values = values_of(manifests, source["configMapKeyRef"]["name"], SERVING)
            if (found := values.get(source["configMapKeyRef"]["key"])) is not None:
                monkeypatch.setenv(name, found)
    words = [str(word).replace("$(BACKUP_STORE)", store) for word in pod.containers[0]["command"]]
    monkeypatch.setattr("sys.argv", [*words, "--dry-run"])
    assert program._run() == 0
    plan = json.loads(capsys.readouterr().out)
    assert plan["out"] == store
    assert [one.rpartition("/")[2] for one in plan["sources"][:2]] == ["runs", "gateway"]
    assert "secret" not in json.dumps(plan)
    files = values_of(manifests, "dubflow-gateway", SERVING)["DUBFLOW_GATEWAY_FILES"]
    kept = values_of(manifests, "dubflow-mlflow", SERVING)["MLFLOW_ARTIFACTS_DESTINATION"]
    assert plan["sources"][2].partition("?")[0] == kept
    assert plan["sources"][3] == files
    assert all(("endpoint_override=dubflow-storage" in one) is (overlay == "dev") for one in plan["sources"][2:])


@contextmanager
def mlflow_server(manifests: Manifests, database: str, folder: Path) -> Iterator[str]:
    """MLflow as its pod runs it, but for the port, one process instead of several, and a folder for its files."""
    environment = given(manifests, pods_named(manifests, SERVING, "dubflow-mlflow"))
    schema = pods_named(manifests, SERVING, "dubflow-mlflow-schema").containers[0]["command"]
    home = {**os.environ, **environment, "HOME": str(folder), "MLFLOW_BACKEND_STORE_URI": database}
    home["MLFLOW_ARTIFACTS_DESTINATION"] = str(folder / "files")
    named = Path(sys.executable).with_name("mlflow")
    upgrade = [str(word).replace("$(MLFLOW_BACKEND_STORE_URI)", database) for word in schema[1:]]
    for _ in range(2):  # a second upgrade finds nothing to do
        subprocess.run([named, *upgrade], env=home, check=True, capture_output=True, timeout=180)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    words = [str(word) for word in pods_named(manifests, SERVING, "dubflow-mlflow").containers[0]["command"]]
    for name, value in (("--port", str(port)), ("--workers", "1"), ("--host", "127.0.0.1")):
        words[words.index(name) + 1] = value
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen([named, *words[1:]], env=home, stdout=log, stderr=log, start_new_session=True)
        try:
            url = f"http://127.0.0.1:{port}"
            _wait(url, process, folder / "log")
            yield url
        finally:
            process.terminate()
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _wait(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    until = time.monotonic() + 180
    while True:
        assert process.poll() is None, log.read_text(errors="replace")[-2000:]
        try:
            if httpx.get(f"{url}/health", timeout=2).status_code == 200:
                return
        except httpx.HTTPError:
            pass
        assert time.monotonic() < until, log.read_text(errors="replace")[-2000:]
        time.sleep(0.5)


@pytest.mark.slow
@pytest.mark.skipif(programs() is None, reason="Postgres is not installed")
def test_mlflow_answers_to_its_names_alone_and_keeps_runs_in_postgres(
    rendered: dict[str, Manifests], tmp_path: Path
) -> None:
    import psycopg

    probes = pods_named(rendered["prod"], SERVING, "dubflow-mlflow").containers[0]
    with running() as database, mlflow_server(rendered["prod"], database, tmp_path) as url:
        for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
            path = probes[probe]["httpGet"]["path"]
            # The kubelet asks a pod by its address, which is none of the names.
            assert httpx.get(f"{url}{path}", headers={"Host": "10.1.2.3:5000"}, timeout=20).status_code == 200
        wanted = f"{url}/api/2.0/mlflow/experiments/create"
        name = {"Host": "dubflow-mlflow.dubflow.svc:5000"}
        assert httpx.post(wanted, json={"name": "a"}, headers=name, timeout=30).status_code == 200
        assert httpx.post(wanted, json={"name": "b"}, headers={"Host": "evil.example"}, timeout=30).status_code == 403
        from_page = {**name, "Origin": "https://evil.example"}
        assert httpx.post(wanted, json={"name": "c"}, headers=from_page, timeout=30).status_code == 403
        with psycopg.connect(database.replace("+psycopg", "")) as connection:
            rows: list[Any] = connection.execute("SELECT name, artifact_location FROM experiments").fetchall()
    kept = {one[0]: one[1] for one in rows}
    assert set(kept) == {"Default", "a"}
    assert kept["a"].startswith("mlflow-artifacts:"), "files go through the server"
