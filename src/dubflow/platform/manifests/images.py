"""The release's images, by digest, for everything that runs in a cluster.

A release file is YAML in the form of a kustomization's ``images``::

    images:
    - {name: dubflow/data-python, newName: registry.example/team/data, digest: sha256:…}

From it comes ``components/images``, which every overlay takes in.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from dubflow.errors import BadInput

NAMES = ("data", "gateway", "serve", "train")
_STEPS = ("data", "serve", "train")
_DIGEST = re.compile(r"^sha256:[0-9a-f]{64}$")
_HEAD = """\
# The release's images. As checked in they are this version's tags, which a registry could change under us; a release
# writes this file anew with digests: python -m dubflow.platform.manifests images FILE (docs/operations.md).
"""


def neutral(name: str) -> str:
    """The image's name in manifests and in pipelines."""
    return f"dubflow/{name}-python"


def read_release(path: Path) -> tuple[dict[str, str], ...]:
    """The entries of a release file, one an image.

    Raises:
        BadInput: ``platform.bad_release`` where an image is missing, unknown, twice there or has no digest.
    """
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise _bad(path, f"it cannot be read: {error}") from error
    entries = content.get("images") if isinstance(content, dict) else None
    if not isinstance(entries, list) or not all(isinstance(one, dict) for one in entries):
        raise _bad(path, "it has no list `images`")
    found = sorted(str(one.get("name")) for one in entries)
    wanted = sorted(map(neutral, NAMES))
    if found != wanted:
        raise _bad(path, f"it names {', '.join(found) or 'nothing'}; wanted are {', '.join(wanted)}, each once")
    for one in entries:
        if set(one) - {"name", "newName", "digest"} or not _DIGEST.match(str(one.get("digest"))):
            raise _bad(path, f"{one['name']} is not given by name, newName and a digest sha256:…")
    return tuple({str(key): str(value) for key, value in one.items()} for one in entries)


def reference(entry: Mapping[str, str]) -> str:
    """An entry of ``images`` as one reference."""
    name = entry.get("newName", entry["name"])
    return f"{name}@{entry['digest']}" if "digest" in entry else f"{name}:{entry['newTag']}"


def component(entries: Sequence[Mapping[str, str]]) -> str:
    """The text of ``components/images/kustomization.yaml``: images of pods, and those that settings name."""
    by_name = {one["name"]: one for one in entries}
    steps = {f"DUBFLOW_KFP_{name.upper()}_IMAGE": reference(by_name[neutral(name)]) for name in _STEPS}
    fetching = {"DUBFLOW_DEPLOY_IMAGE": reference(by_name[neutral("serve")])}
    content: dict[str, Any] = {
        "apiVersion": "kustomize.config.k8s.io/v1alpha1",
        "kind": "Component",
        "images": [dict(by_name[neutral(name)]) for name in NAMES],
        "patches": [_settings("dubflow-images", steps), _settings("dubflow-pipelines", fetching)],
    }
    return _HEAD + yaml.dump(content, Dumper=_Dumper, sort_keys=False, width=1000)


def _settings(name: str, values: Mapping[str, str]) -> dict[str, Any]:
    body = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": name, "namespace": "dubflow-training"},
        "data": dict(values),
    }
    return {"patch": _Block(yaml.safe_dump(body, sort_keys=False))}


def images_of(path: Path) -> dict[str, str]:
    """The reference of each image, by its short name, as a written component has them."""
    entries = yaml.safe_load(path.read_text(encoding="utf-8"))["images"]
    by_name = {one["name"]: reference(one) for one in entries}
    return {name: by_name[neutral(name)] for name in NAMES}


class _Block(str):
    """Text that is written as a block."""


class _Dumper(yaml.SafeDumper):
    """YAML with blocks."""


def _block(dumper: yaml.SafeDumper, value: _Block) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:str", str(value), style="|")


_Dumper.add_representer(_Block, _block)


def _bad(path: Path, why: str) -> BadInput:
    return BadInput("platform.bad_release", f"{path.name} is no release's images: {why}.", "See docs/operations.md.")
