"""Names that the code speaks of stand in the manifests, and those of the manifests in the code."""

from __future__ import annotations

import importlib
import re
import sys
from pathlib import Path, PurePosixPath
from typing import Any

import pytest

from cluster_rules import keys_of, pods_named, values_of
from dubflow.platform.inference_services import DeploySettings
from dubflow.platform.pipelines.cluster import ClusterSettings
from dubflow.platform.preflight.resources import Manifests
from dubflow.platform.training_command import training_words
from dubflow.platform.trainjobs import TrainJobSettings, train_job
from dubflow.registry.journal import JournalSettings
from dubflow.registry.tracking_store import TrackingSettings

sys.path.insert(0, str(Path(__file__).parents[3]))  # components/ stands beside the package
place = importlib.import_module("components.place")

TRAINING = "dubflow-training"
WORDS = training_words("dubber", data="/d", codec="/c", out="/o", nodes=2, devices=1)


@pytest.fixture
def step(manifests: Manifests, monkeypatch: pytest.MonkeyPatch) -> Manifests:
    """The environment that a step of a pipeline has in this overlay."""
    for name, value in values_of(manifests, place.SETTINGS, TRAINING).items():
        monkeypatch.setenv(name, value)
    return manifests


@pytest.mark.slow
def test_a_step_gets_every_setting_that_the_cluster_gives_and_each_is_one(manifests: Manifests) -> None:
    given = set(values_of(manifests, place.SETTINGS, TRAINING))
    assert given <= set(place.OF_SETTINGS), "a key that no step takes"
    fields = {
        "DUBFLOW_TRAINJOB_": set(TrainJobSettings.model_fields),
        "DUBFLOW_DEPLOY_": set(DeploySettings.model_fields),
        "DUBFLOW_REGISTRY_": set(JournalSettings.model_fields),
        "DUBFLOW_MLFLOW_": set(TrackingSettings.model_fields),
    }
    for name in (*place.OF_SETTINGS, *place.OF_SERVICES.values()):
        for prefix, known in fields.items():
            if name.startswith(prefix):
                assert name.removeprefix(prefix).lower() in known, name


def test_a_training_on_several_nodes_finds_all_that_it_names(step: Manifests) -> None:
    settings = TrainJobSettings()
    job = train_job(WORDS, nodes=2, devices=1, settings=settings)
    space = job["metadata"]["namespace"]
    assert step.find("Namespace", space) is not None
    queue = job["metadata"]["labels"]["kueue.x-k8s.io/queue-name"]
    local = step.find("LocalQueue", queue, space)
    assert local is not None
    cluster = step.find("ClusterQueue", local.spec["clusterQueue"])
    assert cluster is not None
    covered = cluster.spec["resourceGroups"][0]["coveredResources"]
    assert set(job["spec"]["trainer"]["resourcesPerNode"]["requests"]) <= set(covered), "it would never be let in"
    for flavor in cluster.spec["resourceGroups"][0]["flavors"]:
        assert step.find("ResourceFlavor", flavor["name"]) is not None
        assert [one["name"] for one in flavor["resources"]] == covered, "Kueue wants the same order"
    reference = job["spec"]["runtimeRef"]
    runtime = step.find(reference["kind"], reference["name"])
    assert runtime is not None
    assert runtime.api_group == reference["apiGroup"]
    patched = job["spec"]["runtimePatches"][0]["trainingRuntimeSpec"]["template"]["spec"]["replicatedJobs"][0]
    parts = {one["name"]: one for one in runtime.spec["template"]["spec"]["replicatedJobs"]}
    pod = parts[patched["name"]]["template"]["spec"]["template"]["spec"]
    of_patch = patched["template"]["spec"]["template"]["spec"]
    assert {one["name"] for one in of_patch["containers"]} <= {one["name"] for one in pod["containers"]}
    assert not {one["name"] for one in of_patch["volumes"]} & {one["name"] for one in pod["volumes"]}
    claim = of_patch["volumes"][0]["persistentVolumeClaim"]["claimName"]
    assert step.find("PersistentVolumeClaim", claim, space) is not None
    assert settings.image == "", "the runtime's image is the one that a release names by digest"
    for one in job["spec"]["trainer"]["env"]:
        if "valueFrom" in one:
            asked = one["valueFrom"]["secretKeyRef"]
            assert asked["key"] in keys_of(step, asked["name"], space)


def test_secrets_of_steps_are_made_and_hold_what_steps_take(manifests: Manifests) -> None:
    assert keys_of(manifests, place.SERVICES, TRAINING) == set(place.OF_SERVICES)
    assert keys_of(manifests, place.STORAGE, TRAINING) == set(place.OF_STORAGE)
    files = values_of(manifests, place.SETTINGS, TRAINING)
    at = {place.SIGNING_AT: keys_of(manifests, place.SIGNING, TRAINING)}
    at[place.TRUSTED_AT] = keys_of(manifests, place.TRUSTED, TRAINING)
    named: dict[str, set[str]] = {folder: set() for folder in at}
    for name in ("PACKAGE_KEY", "VERDICT_KEY", "TRUSTED_KEYS", "VERDICT_KEYS"):
        path = PurePosixPath(files[f"DUBFLOW_{name}"])
        named[str(path.parent)].add(path.name)
    assert named == at, "each file is mounted, and each that is mounted is named"
    assert manifests.find("PersistentVolumeClaim", place.CLAIM, TRAINING) is not None


def test_accounts_of_the_code_exist_and_no_account_is_idle(manifests: Manifests) -> None:
    accounts = {(one.namespace, one.name) for one in manifests.of("ServiceAccount")}
    deploy = DeploySettings()
    wanted = {
        (ClusterSettings().namespace, ClusterSettings().service_account),
        (deploy.namespace, deploy.service_account),
    }
    assert wanted <= accounts
    used = {(pod.namespace or TRAINING, str(pod.spec.get("serviceAccountName"))) for pod in manifests.pods}
    bound = {
        (str(one.get("namespace")), str(one["name"]))
        for binding in manifests.of("RoleBinding")
        for one in binding.body["subjects"]
    }
    assert accounts <= used | bound | wanted, "an account that nothing runs as is a door for nobody"


def test_every_queue_runtime_and_priority_is_used(rendered: dict[str, Manifests]) -> None:
    for manifests in rendered.values():
        settings = values_of(manifests, place.SETTINGS, TRAINING)
        assert [one.name for one in manifests.of("LocalQueue")] == [settings["DUBFLOW_TRAINJOB_QUEUE"]]
        runtimes = [one.name for one in manifests.of("ClusterTrainingRuntime")]
        assert settings["DUBFLOW_TRAINJOB_RUNTIME"] == TrainJobSettings().runtime
        assert sorted(runtimes) == [TrainJobSettings().runtime, f"{TrainJobSettings().runtime}-single"]
        flavors = {
            one["name"] for each in manifests.of("ClusterQueue") for one in each.spec["resourceGroups"][0]["flavors"]
        }
        assert {one.name for one in manifests.of("ResourceFlavor")} == flavors
        used = {pod.spec.get("priorityClassName") for pod in manifests.pods} - {None}
        assert used == {one.name for one in manifests.of("PriorityClass")}


def test_a_cluster_without_gpus_never_promises_one(rendered: dict[str, Manifests]) -> None:
    def promised(manifests: Manifests) -> dict[str, Any]:
        queue = manifests.find("ClusterQueue", TRAINING)
        assert queue is not None
        resources = queue.spec["resourceGroups"][0]["flavors"][0]["resources"]
        gpus = next(one["nominalQuota"] for one in resources if one["name"] == "nvidia.com/gpu")
        quota = manifests.find("ResourceQuota", TRAINING, TRAINING)
        assert quota is not None
        runtime = manifests.find("ServingRuntime", "dubflow-triton", "dubflow")
        assert runtime is not None
        (container,) = runtime.spec["containers"]
        return {
            "queue": int(gpus),
            "quota": int(quota.spec["hard"]["requests.nvidia.com/gpu"]),
            "steps": values_of(manifests, "dubflow-schedule", TRAINING)["DUBFLOW_KFP_GPUS"],
            "served": int(container["resources"]["limits"].get("nvidia.com/gpu", 0)),
        }

    for name in ("dev", "prod"):
        assert promised(rendered[name]) == {"queue": 0, "quota": 0, "steps": "false", "served": 0}
    with_gpus = promised(rendered["gpu"])
    assert with_gpus["steps"] == "true"
    assert with_gpus["served"] > 0
    assert 0 < with_gpus["queue"] < with_gpus["quota"], "trainings on one node run outside of the queue"


def test_backups_can_be_made_of_the_trial_database(rendered: dict[str, Manifests], repository: Path) -> None:
    server = pods_named(rendered["dev"], "dubflow", "dubflow-postgres").containers[0]["image"]
    found = re.search(r"postgresql-client-(\d+)=", (repository / "infra/images/data/Dockerfile").read_text())
    assert found is not None
    assert int(server.partition(":")[2].partition(".")[0]) <= int(found[1]), "pg_dump refuses newer servers"
