"""What our own code asks of the cluster at run time, made here as it would be made there.

Steps of pipelines make TrainJobs and InferenceServices from settings that a ConfigMap gives them. Those are built with
the very values of the overlay and looked at like everything that is checked in.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, TypeVar

from pydantic import ValidationError
from pydantic_settings import BaseSettings

from dubflow.platform.inference_services import DeploySettings, inference_service
from dubflow.platform.preflight.findings import Finding, Rule, refused
from dubflow.platform.preflight.resources import Manifests, Resource, mapping
from dubflow.platform.training_command import training_words
from dubflow.platform.trainjobs import TrainJobSettings, train_job
from dubflow.serving.export import Exported

SETTINGS_VALID = Rule(
    "reference.settings_valid",
    "Settings that a ConfigMap gives to pipelines are ones that our code accepts.",
    "Every training or deployment fails at its first step.",
)
ORIGIN = "dubflow"
_NODES = 2
"""A training on one node is a step of its pipeline, and no TrainJob."""
_Settings = TypeVar("_Settings", bound=BaseSettings)


def made_by_code(manifests: Manifests) -> tuple[list[Resource], list[Finding]]:
    """A TrainJob over several nodes and an InferenceService, by each ConfigMap that has their settings."""
    made: list[Resource] = []
    found: list[Finding] = []
    for one in manifests.of("ConfigMap"):
        keys = {str(key) for key in mapping(one.body.get("data"))}
        try:
            if "DUBFLOW_TRAINJOB_RUNTIME" in keys:
                body = train_job(_words(), nodes=_NODES, devices=1, settings=_settings(TrainJobSettings, one))
                made.append(Resource(body, ORIGIN))
            if "DUBFLOW_DEPLOY_RUNTIME" in keys and next(manifests.of("ServingRuntime", "ClusterServingRuntime"), None):
                body = inference_service(
                    _exported(), "preflight", "s3://models/preflight/1", _settings(DeploySettings, one)
                )
                made.append(Resource(body, ORIGIN))
        except ValidationError as error:
            wrong = "; ".join(f"{'.'.join(map(str, each['loc']))}: {each['msg']}" for each in error.errors())
            found.append(refused(SETTINGS_VALID, one.where, f"{wrong}.", "Correct the value."))
    return made, found


def settings_valid(manifests: Manifests) -> Iterator[Finding]:
    """See :data:`SETTINGS_VALID`."""
    yield from made_by_code(manifests)[1]


def with_made(manifests: Manifests) -> Manifests:
    """The overlay with what our code will add to it; what the overlay has under the same name stays."""
    there = {(one.kind, one.namespace, one.name) for one in manifests.resources}
    more = [one for one in made_by_code(manifests)[0] if (one.kind, one.namespace, one.name) not in there]
    return Manifests(manifests.overlay, (*manifests.resources, *more), manifests.released)


def _exported() -> Exported:
    """A version, as far as its manifest speaks of it."""
    facts: dict[str, Any] = {
        "version": 1,
        "package": "0" * 64,
        "kind": "diflow",
        "engine": "diflow",
        "world": "embedded",
    }
    return Exported.model_construct(**facts)


def _words() -> list[str]:
    data, codec, out = (f"/workspace/{name}" for name in ("data", "codec", "out"))
    return training_words("tts", data=data, codec=codec, out=out, nodes=_NODES, devices=1)


def _settings(kind: type[_Settings], config: Resource) -> _Settings:
    prefix = str(kind.model_config.get("env_prefix"))
    data = {str(key): value for key, value in mapping(config.body.get("data")).items()}
    given = {name: data[f"{prefix}{name.upper()}"] for name in kind.model_fields if f"{prefix}{name.upper()}" in data}
    # Under a prefix that nobody uses: what this person's environment says is no part of the overlay.
    return kind(_env_prefix="DUBFLOW_PREFLIGHT_NOBODY_", **given)
