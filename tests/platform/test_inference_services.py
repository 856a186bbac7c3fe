"""InferenceServices: strictly by the resource's schema, locked down, and changed where one is there."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dubflow.errors import OurFault, WrongUse
from dubflow.platform.inference_services import DeploySettings, apply_service, inference_service
from dubflow.serving.export import Exported
from schemas import strict
from serving.releasing import heard

URI = "s3://models/dubber/3"


def exported(**changes: Any) -> Exported:
    facts: dict[str, Any] = {
        "version": 3, "package": "a" * 64, "kind": "diflow", "engine": "diflow-3", "world": "embedded",
        "languages": ("en",), "heard": heard("diflow-3"), "seconds": 1.0, "made": "2026-01-01T00:00:00+00:00",
    }  # fmt: skip
    return Exported.model_validate(facts | changes)


@pytest.fixture(scope="module")
def errors_of(repository: Path) -> Any:
    path = repository.parent / "shared" / "schemas" / "serving.kserve.io_v1beta1_InferenceService.json"
    if not path.is_file():
        pytest.skip("the schemas of custom resources (../shared/schemas) are not on this machine")
    jsonschema = pytest.importorskip("jsonschema")
    schema = strict(json.loads(path.read_text()))
    schema["properties"]["metadata"] = {"type": "object"}
    validator = jsonschema.Draft202012Validator(schema)
    return lambda manifest: [error.message for error in validator.iter_errors(manifest)]


@given(gpus=st.integers(0, 8), least=st.integers(0, 9), most=st.integers(1, 9))
def test_every_service_fits_the_schema(errors_of: Any, gpus: int, least: int, most: int) -> None:
    made = inference_service(exported(), "dubber", URI, DeploySettings(gpus=gpus, least=least, most=most))
    assert errors_of(made) == []
    predictor = made["spec"]["predictor"]
    assert predictor["minReplicas"] <= predictor["maxReplicas"]
    assert ("nvidia.com/gpu" in predictor["model"]["resources"]["limits"]) is (gpus > 0)


def test_the_schema_is_strict(errors_of: Any) -> None:
    made = inference_service(exported(), "dubber", URI)
    made["spec"]["predictor"]["model"]["storageUrl"] = URI
    assert errors_of(made)


def test_it_says_what_it_serves_and_may_do_nothing_more() -> None:
    made = inference_service(exported(), "dubber", URI)
    assert made["metadata"]["annotations"]["dubflow.dev/package"] == "a" * 64
    assert made["metadata"]["annotations"]["dubflow.dev/world"] == "embedded"
    predictor = made["spec"]["predictor"]
    assert predictor["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert predictor["securityContext"]["runAsNonRoot"]
    assert predictor["model"]["securityContext"]["allowPrivilegeEscalation"] is False
    mounts = {one["mountPath"]: one["name"] for one in predictor["model"]["volumeMounts"]}
    assert mounts["/dev/shm"] in {one["name"] for one in predictor["volumes"]}


def test_a_folder_of_this_machine_is_refused() -> None:
    with pytest.raises(WrongUse, match="bad_storage"):
        inference_service(exported(), "dubber", "/models/3")


class Cluster:
    """One namespace in memory."""

    def __init__(self) -> None:
        self.there: dict[str, Any] = {}
        self.refuses = 0

    def create_namespaced_custom_object(self, *words: Any) -> None:
        body = words[-1]
        if self.refuses:
            raise _Status(self.refuses)
        if body["metadata"]["name"] in self.there:
            raise _Status(409)
        self.there[body["metadata"]["name"]] = body

    def patch_namespaced_custom_object(self, *words: Any) -> None:
        self.there[words[-2]] = words[-1]


class _Status(Exception):
    def __init__(self, status: int) -> None:
        super().__init__(f"({status})")
        self.status = status


def test_a_service_is_made_once_and_then_changed() -> None:
    cluster = Cluster()
    assert apply_service(inference_service(exported(), "dubber", URI), cluster)
    assert not apply_service(inference_service(exported(version=4), "dubber", "s3://models/dubber/4"), cluster)
    assert cluster.there["dubber"]["spec"]["predictor"]["model"]["storageUri"] == "s3://models/dubber/4"
    cluster.refuses = 403
    with pytest.raises(OurFault, match="not_deployed"):
        apply_service(inference_service(exported(), "dubber", URI), cluster)
