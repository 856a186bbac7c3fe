"""What our own code asks of the cluster at run time, made here as it would be made there.

Steps of pipelines make TrainJobs and InferenceServices from settings that a ConfigMap gives them. Those are built with
the very values of the overlay and looked at like everything that is checked in.
"""

from __future__ import annotations

from contextlib import suppress
from typing import Any

from dubflow.platform.inference_services import DeploySettings, inference_service
from dubflow.platform.preflight.resources import Manifests, Resource, mapping
from dubflow.platform.preflight.settings_values import read_settings
from dubflow.platform.training_command import training_words
from dubflow.platform.trainjobs import TrainJobSettings, train_job
from dubflow.serving.export import Exported

ORIGIN = "dubflow"
_NODES = 2
"""A training on one node is a step of its pipeline, and no TrainJob."""


def made_by_code(manifests: Manifests) -> list[Resource]:
    """A TrainJob over several nodes and an InferenceService, by each ConfigMap that has their settings.

    What cannot be made of settings that are wrong is left out; the settings are told elsewhere.
    """
    made: list[Resource] = []
    serves = next(manifests.of("ServingRuntime", "ClusterServingRuntime"), None) is not None
    for one in manifests.of("ConfigMap"):
        told = {str(key): str(value) for key, value in mapping(one.body.get("data")).items()}
        with suppress(ValueError):
            if "DUBFLOW_TRAINJOB_RUNTIME" in told:
                body = train_job(_words(), nodes=_NODES, devices=1, settings=read_settings(TrainJobSettings, told))
                made.append(Resource(body, ORIGIN))
            if "DUBFLOW_DEPLOY_RUNTIME" in told and serves:
                settings = read_settings(DeploySettings, told)
                body = inference_service(_exported(), "preflight", "s3://models/preflight/1", settings)
                made.append(Resource(body, ORIGIN))
    return made


def with_made(manifests: Manifests) -> Manifests:
    """The overlay with what our code will add to it; what the overlay has under the same name stays."""
    there = {(one.kind, one.namespace, one.name) for one in manifests.resources}
    more = [one for one in made_by_code(manifests) if (one.kind, one.namespace, one.name) not in there]
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
