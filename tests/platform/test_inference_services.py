"""InferenceServices: strictly by the resource's schema, locked down, and changed where one is there."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dubflow.errors import OurFault, WrongUse
from dubflow.platform.inference_services import (
    PACKAGE_NOTE,
    SOURCE,
    VERSION_NOTE,
    DeploySettings,
    apply_service,
    canary_entry,
    inference_service,
    source_of,
    version_annotations,
    with_version,
)
from dubflow.platform.preflight.custom_resources import strict
from dubflow.serving.export import Exported
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


@given(least=st.integers(0, 9), version=st.integers(0, 10**6))
def test_every_service_fits_the_schema(errors_of: Any, least: int, version: int) -> None:
    made = inference_service(exported(version=version), "dubber", URI, DeploySettings(least=least))
    assert errors_of(made) == []
    assert made["spec"]["predictor"]["minReplicas"] == least
    assert errors_of(inference_service(None, "dubber", "")) == []


def test_the_schema_is_strict(errors_of: Any) -> None:
    made = inference_service(exported(), "dubber", URI)
    made["spec"]["predictor"]["model"]["storageUrl"] = URI
    assert errors_of(made)


def test_it_says_what_it_serves_and_may_do_nothing_more() -> None:
    made = inference_service(exported(), "dubber", URI)
    assert made["metadata"]["annotations"]["dubflow.dev/package"] == "a" * 64
    assert made["metadata"]["annotations"]["dubflow.dev/world"] == "embedded"
    predictor = made["spec"]["predictor"]
    assert predictor["annotations"] == {SOURCE: URI, VERSION_NOTE: "3", PACKAGE_NOTE: "a" * 64}
    assert "storageUri" not in predictor["model"], "KServe's own initializer checks no signature"
    (fetch,) = predictor["initContainers"]
    for one in (predictor, fetch):
        assert one["securityContext"]["runAsNonRoot"]
        assert one["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert fetch["securityContext"]["allowPrivilegeEscalation"] is False
    assert any(word.startswith("--trusted-key=") for word in fetch["args"])


def test_the_starter_has_no_annotations_that_a_deployment_would_have_to_take_back() -> None:
    assert "annotations" not in inference_service(None, "dubber", "")["spec"]["predictor"]


@pytest.mark.parametrize("source", ["/models/3", "file:///models/3", "minio://mlpipeline/3", ""])
def test_what_no_pod_can_read_is_refused(source: str) -> None:
    with pytest.raises(WrongUse, match="bad_storage"):
        inference_service(exported(), "dubber", source)


@given(least=st.integers(1, 40), percent=st.integers(0, 100))
def test_a_canary_fits_the_schema_and_gets_at_least_its_share_of_pods(errors_of: Any, least: int, percent: int) -> None:
    made = inference_service(exported(), "dubber", URI, DeploySettings(least=least))
    before = copy.deepcopy(made)
    entry = canary_entry(made["spec"]["predictor"], 4, "b" * 64, "s3://models/dubber/4", percent)
    assert made == before, "the version in use is not touched"
    made["spec"]["canary"] = [entry]
    assert errors_of(made) == []
    predictor = entry["predictor"]
    assert (predictor["name"], entry["trafficPercent"]) == ("v4", percent)
    assert source_of(predictor) == "s3://models/dubber/4"
    pods = predictor["minReplicas"]
    assert pods >= 1
    assert 100 * pods >= percent * (least + pods) or percent == 100
    assert 100 * (pods - 1) < percent * (least + pods - 1) or pods == 1 or percent == 100, "and no more"


def test_going_back_to_the_starter_leaves_nothing_of_a_version() -> None:
    predictor = inference_service(exported(), "dubber", URI)["spec"]["predictor"]
    predictor["annotations"]["somebody/else"] = "stays"
    assert with_version(predictor, 0, None, "")["annotations"] == {"somebody/else": "stays"}


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
    changed = cluster.there["dubber"]
    assert changed["spec"] == {
        "predictor": {"annotations": version_annotations(4, "a" * 64, "s3://models/dubber/4")}
    }, "sizes and pods are the overlay's"
    assert changed["metadata"]["annotations"]["dubflow.dev/version"] == "4"
    cluster.refuses = 403
    with pytest.raises(OurFault, match="not_deployed"):
        apply_service(inference_service(exported(), "dubber", URI), cluster)
