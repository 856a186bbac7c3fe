"""Files of ``infra/kubernetes`` that follow from others: compiled pipelines as resources, dashboards as a ConfigMap.

kustomize reads no file outside of the folder that it renders, so what lies elsewhere is copied; a test compares.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from dubflow import __version__
from dubflow.atomic import write_text
from dubflow.platform.manifests.images import images_of
from dubflow.platform.pipelines.cluster import ClusterSettings, cluster_documents
from dubflow.platform.pipelines.definitions import Definition, ir_folder, pipeline_names, read_pipeline

NAMESPACE = "dubflow-training"
_MANIFESTS = Path("infra/kubernetes")
IMAGES = _MANIFESTS / "components" / "images" / "kustomization.yaml"
PIPELINES = _MANIFESTS / "components" / "pipelines" / "pipelines.yaml"
DASHBOARDS, COPIES = Path("infra/monitoring/dashboards"), _MANIFESTS / "base" / "monitoring" / "dashboards"
_HEAD = """\
# Written by `python -m dubflow.platform.manifests write` from pipelines/ir and components/images; a test compares.
"""


@dataclass(frozen=True)
class Written:
    """One file, below the project's root: what it has to hold (None: it has to go), and whether it did already."""

    path: Path
    text: str | None
    changed: bool


def generated(root: Path) -> tuple[Written, ...]:
    """Every such file of the checkout ``root``."""
    return tuple(_compared(root, path, text) for path, text in _files(root))


def follow(compiled: Path, write: bool) -> tuple[Written, ...]:
    """Pipelines of the checkout whose compiled pipelines lie in that folder, as resources; nothing for another folder.

    With ``write`` they are put right, else only looked at.
    """
    root = Path(compiled).resolve().parents[1]
    if Path(compiled).resolve() != ir_folder().resolve() or not (root / IMAGES).is_file():
        return ()
    found = (_compared(root, PIPELINES, _pipelines(root)),)
    if write:
        put_right(root, found)
    return found


def put_right(root: Path, files: tuple[Written, ...]) -> None:
    """Write those that changed."""
    for one in files:
        if one.changed and one.text is None:
            (root / one.path).unlink()
        elif one.changed and one.text is not None:
            write_text(root / one.path, one.text)


def pipeline_resources(definition: Definition, images: Mapping[str, str]) -> tuple[dict[str, Any], dict[str, Any]]:
    """A pipeline and one version of it, for an installation of KFP that keeps them in Kubernetes.

    A version is never changed: its name holds a digest of what it does and with which images.
    """
    settings = ClusterSettings(  # all that the form follows from, so that nobody's environment is in it
        data_image=images["data"], serve_image=images["serve"], train_image=images["train"], gpus=True
    )
    documents = cluster_documents(definition.text, settings)
    content = json.dumps(documents, sort_keys=True).encode()
    version = f"{__version__}-{hashlib.sha256(content).hexdigest()[:8]}"
    pipeline = {
        "apiVersion": "pipelines.kubeflow.org/v2beta1",
        "kind": "Pipeline",
        "metadata": _metadata(definition.name),
        "spec": {"displayName": definition.name, "description": definition.description},
    }
    spec = {
        "pipelineName": definition.name,
        "displayName": f"{definition.name} {version}",
        "versionName": version,
        "description": definition.description,
        "pipelineSpec": documents[0],
    }
    if len(documents) > 1:
        spec["platformSpec"] = documents[1]
    made = {
        "apiVersion": "pipelines.kubeflow.org/v2beta1",
        "kind": "PipelineVersion",
        "metadata": _metadata(f"{definition.name}-{version}"),
        "spec": spec,
    }
    return pipeline, made


def _metadata(name: str) -> dict[str, Any]:
    labels = {"name": "dubflow-pipelines", "component": "pipelines", "part-of": "dubflow"}
    return {
        "name": name,
        "namespace": NAMESPACE,
        "labels": {f"app.kubernetes.io/{key}": value for key, value in labels.items()},
    }


def _files(root: Path) -> Iterator[tuple[Path, str | None]]:
    yield PIPELINES, _pipelines(root)
    sources = {path.name: path for path in sorted((root / DASHBOARDS).glob("*.json"))}
    for name, path in sources.items():
        yield COPIES / name, path.read_text(encoding="utf-8")
    for path in sorted((root / COPIES).glob("*.json")):
        if path.name not in sources:
            yield COPIES / path.name, None


def _pipelines(root: Path) -> str:
    images = images_of(root / IMAGES)
    resources = [one for name in pipeline_names() for one in pipeline_resources(read_pipeline(name), images)]
    return _HEAD + str(yaml.dump_all(resources, Dumper=_Whole, sort_keys=True, width=120))


class _Whole(getattr(yaml, "CSafeDumper", yaml.SafeDumper)):  # type: ignore[misc]
    """YAML without references to earlier places, which reviewers cannot read."""

    def ignore_aliases(self, data: Any) -> bool:
        """Whatever it is."""
        return True


def _compared(root: Path, path: Path, text: str | None) -> Written:
    file = root / path
    there = file.read_text(encoding="utf-8") if file.is_file() else None
    return Written(path, text, there != text)
