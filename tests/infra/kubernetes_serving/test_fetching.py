"""The init container of Triton's pod, run by its manifest's words and environment, against a server that speaks S3."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

import real_s3
from dubflow.atomic import write_json
from dubflow.errors import ExitCode
from dubflow.platform.inference_services import PACKAGE_NOTE, SERVED, SOURCE, VERSION_NOTE, version_annotations
from dubflow.registry.package.signing import generate_key
from dubflow.serving.export import FILE, MODEL
from dubflow.storage import Objects
from registry.packages import packed
from serving.releasing import describe

pytestmark = pytest.mark.slow


def test_a_deployment_is_fetched_by_the_annotations_of_its_pod(
    repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("moto")
    path = repository / "infra" / "kubernetes" / "base" / "triton" / "dubber.yaml"
    (fetch,) = yaml.safe_load(path.read_text(encoding="utf-8"))["spec"]["predictor"]["initContainers"]
    key = generate_key(tmp_path / "release")
    package = packed(tmp_path / "package", tmp_path / "release", 1)
    folder = tmp_path / "export"
    shutil.copytree(package.folder, folder / MODEL)
    export = describe(folder / MODEL).model_copy(update={"version": 7})
    write_json(folder / FILE, export.model_dump(mode="json"))
    with real_s3.running() as s3:
        s3.bucket("dubflow")
        values = real_s3.KEYS | {"AWS_REGION": "us-east-1", "AWS_ENDPOINT_URL": f"http://{s3.endpoint}"}
        for name, value in values.items():
            monkeypatch.setenv(name, value)
        objects = Objects("s3://dubflow/exports/7")
        for file in folder.rglob("*"):
            if file.is_file():
                objects.put(file.relative_to(folder).as_posix(), file)

        def run(**annotations: str) -> subprocess.CompletedProcess[str]:
            environment = {"PATH": os.environ["PATH"]}
            for one in fetch["env"]:
                source = one.get("valueFrom", {})
                if "fieldRef" in source:  # an annotation that is not there is an empty variable
                    note = source["fieldRef"]["fieldPath"].removeprefix("metadata.annotations['").removesuffix("']")
                    environment[one["name"]] = annotations.get(note, "")
                else:
                    environment[one["name"]] = one.get("value") or values[one["name"]]
            words = [str(Path(sys.executable).parent / fetch["command"][0]), *fetch["command"][1:], *fetch["args"]]
            here = {SERVED: str(tmp_path / "served"), "/etc/dubflow/trusted/package.pem.pub": str(key)}
            for there, mine in here.items():
                words = [word.replace(there, mine) for word in words]
            return subprocess.run(
                [*words, "--json"],
                env=environment,
                cwd=tmp_path,
                capture_output=True,
                text=True,
                timeout=120,
                check=False,
            )

        notes = version_annotations(7, export.package, "s3://dubflow/exports/7")
        assert set(notes) == {SOURCE, VERSION_NOTE, PACKAGE_NOTE}
        done = run(**notes)
        assert done.returncode == 0, done.stderr
        assert json.loads(done.stdout)["package"] == export.package
        assert (tmp_path / "served" / MODEL / "package.json").is_file()
        wrong = run(**notes | {VERSION_NOTE: "8"})
        assert wrong.returncode == ExitCode.BAD_INPUT
        assert "serving.other_package" in wrong.stderr + wrong.stdout
        assert not (tmp_path / "served").exists(), "nothing is served that was not asked for"
        s3.client.put_object(Bucket="dubflow", Key=f"exports/7/{MODEL}/model.safetensors", Body=b"somebody's")
        assert run(**notes).returncode == ExitCode.BAD_INPUT
        starter = run()
        assert starter.returncode == 0, starter.stderr
        assert json.loads(starter.stdout)["source"] == "starter"
