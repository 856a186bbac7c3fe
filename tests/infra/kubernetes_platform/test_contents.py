"""What is written by a program: images, copies of other files, made-up secrets, the bucket; and sums that must fit."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml

from cluster_rules import values_of
from dubflow import __version__
from dubflow.dubbing.provenance.certificates import open_signer
from dubflow.errors import BadInput, OurFault
from dubflow.platform.manifests.__main__ import main
from dubflow.platform.manifests.bucket import make_bucket
from dubflow.platform.manifests.generated import IMAGES, generated, pipeline_resources, put_right
from dubflow.platform.manifests.images import NAMES, component, images_of, neutral, read_release
from dubflow.platform.manifests.secrets import VAULT, made_up, wanted
from dubflow.platform.manifests.secrets import manifests as secret_manifests
from dubflow.platform.pipelines.definitions import pipeline_names, read_pipeline
from dubflow.platform.preflight.rendering import render_overlay
from dubflow.platform.preflight.resources import Manifests, PodSpec
from dubflow.registry.package.signing import fingerprint

DIGESTS = {name: f"sha256:{number:064x}" for number, name in enumerate(NAMES, 1)}


def release(path: Path, **changes: Any) -> Path:
    """A release file; ``changes`` replace an image's entry, or leave it out with None."""
    entries = {
        name: {"name": neutral(name), "newName": f"registry.example/team/{name}", "digest": DIGESTS[name]}
        for name in NAMES
    }
    entries |= changes
    path.write_text(yaml.safe_dump({"images": [one for one in entries.values() if one is not None]}))
    return path


@pytest.mark.slow
def test_a_release_puts_its_digests_wherever_an_image_is_named(repository: Path, tmp_path: Path) -> None:
    root = tmp_path / "checkout"
    for folder in ("infra/kubernetes", "infra/monitoring/dashboards"):
        shutil.copytree(repository / folder, root / folder)
    (root / IMAGES).write_text(component(read_release(release(tmp_path / "release.yaml"))))
    put_right(root, generated(root))
    assert not any(one.changed for one in generated(root))
    found = render_overlay(root / "infra" / "kubernetes", "prod").manifests
    text = json.dumps([one.body for one in found.resources])
    ours = set(re.findall(r'"((?:dubflow|registry\.example)/[^"]*)"', text))
    assert {one for one in ours if "@sha256:" in one} == {
        f"registry.example/team/{name}@{digest}" for name, digest in DIGESTS.items() if f"team/{name}@" in text
    }
    assert not [one for one in ours if one.startswith("dubflow/")], "an image by its tag is left"
    steps = values_of(found, "dubflow-images", "dubflow-training")
    deployed = values_of(found, "dubflow-pipelines", "dubflow-training")
    assert deployed["DUBFLOW_DEPLOY_IMAGE"] == f"registry.example/team/serve@{DIGESTS['serve']}"
    assert steps["DUBFLOW_KFP_TRAIN_IMAGE"] == f"registry.example/team/train@{DIGESTS['train']}"


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"serve": None}, "wanted are"),
        ({"data": {"name": neutral("data"), "newTag": "0.1.0"}}, "digest"),
        ({"data": {"name": neutral("data"), "digest": "sha256:abc"}}, "digest"),
        ({"data": {"name": "dubflow/date-python", "digest": DIGESTS["data"]}}, "date-python"),
        ({"more": {"name": neutral("data"), "digest": DIGESTS["data"]}}, "each once"),
    ],
)
def test_a_release_without_every_digest_is_refused(tmp_path: Path, changes: dict[str, Any], why: str) -> None:
    with pytest.raises(BadInput, match=why):
        read_release(release(tmp_path / "release.yaml", **changes))
    with pytest.raises(BadInput, match="cannot be read"):
        read_release(tmp_path / "nowhere.yaml")


def test_copies_are_those_of_today(repository: Path) -> None:
    changed = [str(one.path) for one in generated(repository) if one.changed]
    assert changed == [], "run: python -m dubflow.platform.manifests write"


def test_checked_in_images_are_this_versions(repository: Path) -> None:
    assert images_of(repository / IMAGES) == {name: f"{neutral(name)}:{__version__}" for name in NAMES}


def test_a_changed_image_or_pipeline_is_another_version_of_it() -> None:
    images = {name: f"{neutral(name)}@{digest}" for name, digest in DIGESTS.items()}
    seen = set()
    for name in pipeline_names():
        pipeline, version = pipeline_resources(read_pipeline(name), images)
        assert version["spec"]["pipelineName"] == pipeline["metadata"]["name"] == name
        assert version["metadata"]["name"].startswith(f"{name}-{__version__}-")
        executors = version["spec"]["pipelineSpec"]["deploymentSpec"]["executors"]
        assert {one["container"]["image"] for one in executors.values() if "container" in one} <= set(images.values())
        assert len(json.dumps(version)) < 250_000, "client-side apply keeps a copy in an annotation"
        seen.add(version["metadata"]["name"])
    other = {**images, "data": f"{neutral('data')}@{DIGESTS['train']}"}
    assert pipeline_resources(read_pipeline("nightly"), other)[1]["metadata"]["name"] not in seen
    again = pipeline_resources(read_pipeline("nightly"), images)[1]["metadata"]["name"]
    assert again in seen


def test_made_up_secrets_are_all_that_is_asked_for_and_fit_together(
    rendered: dict[str, Manifests], tmp_path: Path
) -> None:
    asked = wanted(one.body for one in rendered["dev"].resources)
    role = rendered["dev"].find("Role", "dubflow-secrets", VAULT)
    assert role is not None
    assert role.body["rules"][0]["resourceNames"] == sorted(asked), "the store reads these and no others"
    made = {one["metadata"]["name"]: one["stringData"] for one in secret_manifests(made_up(), asked)}
    assert {name: set(values) for name, values in made.items()} == asked
    (tmp_path / "package.pem.pub").write_text(made["dubflow-trusted-keys"]["package.pem.pub"])
    assert _public(made["dubflow-signing"]["package.pem"]) == made["dubflow-trusted-keys"]["package.pem.pub"]
    assert _public(made["dubflow-signing"]["verdict.pem"]) == made["dubflow-trusted-keys"]["verdict.pem.pub"]
    assert len(fingerprint(tmp_path / "package.pem.pub")) == 64
    key, chain = tmp_path / "key.pem", tmp_path / "chain.pem"
    key.write_text(made["dubflow-provenance"]["key.pem"])
    key.chmod(0o600)
    chain.write_text(made["dubflow-provenance"]["chain.pem"])
    assert open_signer(tmp_path / "none", key, chain).key == key
    password = made["dubflow-postgres"]["password"]
    for address in (
        made["dubflow-mlflow"]["MLFLOW_BACKEND_STORE_URI"],
        made["dubflow-gateway"]["DUBFLOW_GATEWAY_DATABASE"],
        made["dubflow-services"]["registry_journal"],
    ):
        assert f"dubflow:{password}@dubflow-postgres.dubflow.svc:5432/" in address
    identity = json.loads(made["dubflow-storage-identities"]["s3.json"])["identities"][0]["credentials"][0]
    assert identity["accessKey"] == made["dubflow-storage"]["AWS_ACCESS_KEY_ID"]
    assert identity["secretKey"] == made["dubflow-mlflow"]["AWS_SECRET_ACCESS_KEY"]
    assert made_up()["dubflow-postgres"]["password"] != password
    with pytest.raises(BadInput, match="dubflow-new/token"):
        secret_manifests(made_up(), {**asked, "dubflow-new": {"token"}})


def _public(private: str) -> str:
    from cryptography.hazmat.primitives import serialization

    key = serialization.load_pem_private_key(private.encode(), None).public_key()
    form = serialization.PublicFormat.SubjectPublicKeyInfo
    return key.public_bytes(serialization.Encoding.PEM, form).decode()


def test_secrets_are_printed_as_kubectl_takes_them(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["secrets"]) == 0
    documents = list(yaml.safe_load_all(capsys.readouterr().out))
    assert {one["kind"] for one in documents} == {"Secret"}
    assert {one["metadata"]["namespace"] for one in documents} == {VAULT}
    assert main(["images", "/nowhere/release.yaml"]) == 3
    assert "platform.bad_release" in capsys.readouterr().err


@pytest.mark.slow
def test_a_bucket_is_made_once(monkeypatch: pytest.MonkeyPatch) -> None:
    moto = pytest.importorskip("moto")
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "x")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    with moto.mock_aws():
        assert make_bucket("dubflow") is True
        assert make_bucket("dubflow") is False


def test_a_storage_that_does_not_answer_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "x")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    with pytest.raises(OurFault, match="no_bucket"):
        make_bucket("dubflow")


_UNITS = {"m": 1e-3, "": 1.0, "Mi": 2.0**20, "Gi": 2.0**30, "Ti": 2.0**40}


def amount(quantity: object) -> float:
    """A quantity as Kubernetes writes it, as a number."""
    found = re.fullmatch(r"([0-9.]+)(m|Mi|Gi|Ti|)", str(quantity))
    assert found is not None, quantity
    return float(found[1]) * _UNITS[found[2]]


def most(manifests: Manifests, pod: PodSpec) -> int:
    """How many pods of a workload there are at most: what its scaler makes, else twice the usual, in a change."""
    for scaler in manifests.of("ScaledObject"):
        if scaler.namespace == pod.namespace and scaler.spec["scaleTargetRef"]["name"] == pod.owner.name:
            return int(scaler.spec["maxReplicaCount"]) + 1
    return 2 * pod.replicas


def test_the_quota_has_room_for_all_that_may_run_at_once(manifests: Manifests) -> None:
    for quota in manifests.of("ResourceQuota"):
        hard = quota.spec["hard"]
        pods = [one for one in manifests.pods_in(quota.namespace) if one.lives == "always"]
        for kind, key in (("requests", "cpu"), ("requests", "memory"), ("limits", "memory")):
            needed = sum(
                amount(container["resources"][kind][key]) * most(manifests, one)
                for one in pods
                for container in one.containers
            )
            if needed:
                assert needed <= amount(hard[f"{kind}.{key}"]), f"{quota.where}: {kind}.{key}"
        assert sum(most(manifests, one) for one in pods) <= int(hard["pods"])
        limit = manifests.find("LimitRange", quota.name, quota.namespace)
        assert limit is not None
        highest = limit.spec["limits"][0].get("max", {}).get("memory")
        for one in manifests.pods_in(quota.namespace):
            for container in one.every_container:
                if highest is not None:
                    assert amount(container["resources"]["limits"]["memory"]) <= amount(highest), one.where


def test_a_queue_never_lets_in_more_than_the_quota_takes(manifests: Manifests) -> None:
    queue, quota = (
        manifests.find("ClusterQueue", "dubflow-training"),
        manifests.find("ResourceQuota", "dubflow-training"),
    )
    assert queue is not None
    assert quota is not None
    for flavor in queue.spec["resourceGroups"][0]["flavors"]:
        for one in flavor["resources"]:
            assert amount(one["nominalQuota"]) <= amount(quota.spec["hard"][f"requests.{one['name']}"])
