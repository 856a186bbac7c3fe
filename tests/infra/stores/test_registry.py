"""The registry with runs and history in Postgres and packages in S3: through MLflow's server, and without it."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from dubflow.registry.journal import Journal
from dubflow.registry.tracking_store import store_of
from dubflow.serving.launcher import free_ports
from real_s3 import S3
from registry.children import grown, processes
from registry.packages import MODEL, card, packed, verdict_of, written
from verbs import Answer

pytestmark = pytest.mark.slow
WITHIN_S = 240.0


@contextmanager
def mlflow_server(database: str, artifacts: str, s3: S3, log: Path) -> Iterator[str]:
    """MLflow's own server in a process; its address."""
    (port,) = free_ports(1)
    command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
    command += ["--backend-store-uri", database, "--artifacts-destination", artifacts, "--serve-artifacts"]
    environment = os.environ | s3.environment | {"MLFLOW_DISABLE_TELEMETRY": "true", "OMP_NUM_THREADS": "1"}
    with log.open("wb") as out:
        process = subprocess.Popen(command, env=environment, stdout=out, stderr=out, cwd=log.parent)
    try:
        address, began = f"http://127.0.0.1:{port}", time.monotonic()
        while True:
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < began + WITHIN_S, log.read_text()
            try:
                if httpx.get(f"{address}/health", timeout=5, trust_env=False).status_code == httpx.codes.OK:
                    break
            except httpx.HTTPError:
                pass
            time.sleep(0.2)
        yield address
    finally:
        process.terminate()
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


@pytest.fixture(params=["server", "stores"])
def registry(
    request: pytest.FixtureRequest,
    postgres: Callable[[str], str],
    s3: S3,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[str]:
    """Of two kinds: MLflow's server in front of both stores, or both stores by themselves; its bucket."""
    for name in ("DUBFLOW_TRUSTED_KEYS", "DUBFLOW_LICENCES", "DUBFLOW_VERDICT_KEYS", "DUBFLOW_REGISTRY_JOURNAL"):
        monkeypatch.delenv(name, raising=False)
    for name, value in s3.environment.items():
        monkeypatch.setenv(name, value)
    database, bucket = postgres(f"mlflow-{request.param}"), s3.bucket(f"packages-{request.param}")
    monkeypatch.setenv("DUBFLOW_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("DUBFLOW_MLFLOW_TIMEOUT_S", "60")
    if request.param == "stores":
        monkeypatch.setenv("DUBFLOW_MLFLOW_URI", database)
        monkeypatch.setenv("DUBFLOW_MLFLOW_ARTIFACTS", f"s3://{bucket}/mlflow")
        yield bucket
        return
    with mlflow_server(database, f"s3://{bucket}/mlflow", s3, tmp_path / "mlflow.log") as address:
        monkeypatch.setenv("DUBFLOW_MLFLOW_URI", address)
        monkeypatch.setenv("DUBFLOW_REGISTRY_JOURNAL", database)
        # The keys of the bucket are the server's business; a client has none.
        for name in s3.environment:
            monkeypatch.delenv(name)
        yield bucket


def test_from_packages_to_champion_and_back(registry: str, s3: S3, answer: Answer, tmp_path: Path) -> None:
    answer("models", "key", tmp_path / "key")
    answer("models", "key", tmp_path / "stranger")
    trusted = ("--trusted-key", tmp_path / "key.pub")
    packages = [packed(tmp_path / str(seed), tmp_path / "key", seed) for seed in (1, 2)]
    for package in packages:
        answer("models", "register", package.folder, *trusted, "--by", "pipeline")
    first = written(verdict_of(card(packages[0], 0.3, 1), None), tmp_path / "first.json")
    better = written(verdict_of(card(packages[1], 0.1, 2), card(packages[0], 0.3, 1)), tmp_path / "better.json")
    assert answer("models", "promote", MODEL, "1", "--verdict", first, *trusted)["champion"] == 1
    assert answer("models", "promote", MODEL, "--verdict", better, *trusted)["champion"] == 2
    fetched = answer("models", "fetch", MODEL, "--out", tmp_path / "second", *trusted)
    assert fetched["digest"] == packages[1].digest

    assert answer("models", "rollback", MODEL, "--by", "bob", "--reason", "complaints")["champion"] == 1
    entries = answer("models", "history", MODEL)["entries"]
    assert [one["action"] for one in entries] == ["register", "register", "promote", "promote", "rollback"]
    found = {one["version"]: one["aliases"] for one in answer("models", "list", MODEL)["versions"]}
    assert found[1] == ["champion"]

    # The champion comes back from the bucket byte for byte, and only with the key that is trusted.
    fetched = answer("models", "fetch", MODEL, "--out", tmp_path / "first", *trusted)
    assert fetched["digest"] == packages[0].digest
    for path in packages[0].folder.rglob("*"):
        if path.is_file():
            assert (tmp_path / "first" / path.relative_to(packages[0].folder)).read_bytes() == path.read_bytes()
    strange = ("--trusted-key", tmp_path / "stranger.pub")
    answer("models", "fetch", MODEL, "--out", tmp_path / "no", *strange, exit_code=3)

    # A byte that changes in the bucket is seen, and nothing is left behind.
    weights = packages[0].folder / "model.safetensors"
    (key,) = [
        one
        for one in s3.keys(registry)
        if one.endswith("model.safetensors") and s3.body(registry, one) == weights.read_bytes()
    ]
    s3.client.put_object(Bucket=registry, Key=key, Body=weights.read_bytes()[:-1] + b"\0")
    refused = answer("models", "fetch", MODEL, "--out", tmp_path / "no", *trusted, exit_code=3)
    assert refused["error"]["code"].startswith("registry.")
    assert not (tmp_path / "no").exists()


def test_two_processes_write_one_history(postgres: Callable[[str], str]) -> None:
    """40 entries by two writers: every one is there, each number once, each following the one before."""
    uri, context = postgres("history"), processes()
    barrier, wins = context.Barrier(2), context.Queue()
    children = [context.Process(target=grown, args=(uri, 20, who, barrier, wins)) for who in ("ann", "bob")]
    for child in children:
        child.start()
    lost = dict(wins.get(timeout=120) for _ in children)
    for child in children:
        child.join(60)
        assert child.exitcode == 0
    assert lost.keys() == {"ann", "bob"}
    kept = Journal(store_of(uri, Path("run")))
    assert [entry.number for entry in kept.entries("m")] == list(range(1, 41))
    assert kept.state("m").number == 40  # the chain of digests holds
