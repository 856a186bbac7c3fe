"""Both renderers give the same resources, and what the built-in one cannot do it says."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml

from dubflow.errors import BadInput
from dubflow.platform.preflight.generators import content_hash
from dubflow.platform.preflight.image_names import reimaged, split_image
from dubflow.platform.preflight.kustomize import render
from dubflow.platform.preflight.rendering import by_kubectl, overlays, render_overlay
from dubflow.platform.preflight.yaml_files import parsed

HERE = Path(__file__).parent / "kustomizations"
KUBECTL = shutil.which("kubectl")
NEEDS_KUBECTL = pytest.mark.skipif(KUBECTL is None, reason="kubectl is not installed")


def by_name(bodies: list[dict[str, Any]]) -> dict[tuple[str, str, str], dict[str, Any]]:
    found = {(one["kind"], one["metadata"].get("namespace", ""), one["metadata"]["name"]): one for one in bodies}
    assert len(found) == len(bodies)
    return found


@NEEDS_KUBECTL
@pytest.mark.parametrize("folder", ["base", "overlay"])
def test_the_built_in_renderer_gives_what_kubectl_gives(folder: str) -> None:
    assert by_name(render(HERE / folder)) == by_name(by_kubectl(HERE / folder, str(KUBECTL)))


@NEEDS_KUBECTL
@pytest.mark.parametrize(
    "overlay", ["prod", pytest.param("dev", marks=pytest.mark.slow), pytest.param("gpu", marks=pytest.mark.slow)]
)
def test_our_overlays_render_alike(overlay: str, repository: Path) -> None:
    folder = repository / "infra" / "kubernetes" / "overlays" / overlay
    assert by_name(render(folder)) == by_name(by_kubectl(folder, str(KUBECTL)))


def test_the_hash_in_a_name_is_kustomizes() -> None:
    # Printed by `kubectl kustomize` for a generated ConfigMap `lists` with these two values.
    body = {"kind": "ConfigMap", "metadata": {"name": "lists"}, "data": {"A": "1", "B": "2"}}
    assert content_hash(body) == "66h9cbh964"


def test_whoever_reads_a_generated_map_follows_its_name() -> None:
    found = by_name(render(HERE / "overlay"))
    pod = found["Deployment", "dubflow", "web"]["spec"]["template"]["spec"]
    named = next(one for one in pod["containers"] if one["name"] == "main")["env"]
    mode = next(one for one in named if one["name"] == "MODE")["valueFrom"]["configMapKeyRef"]["name"]
    assert mode.startswith("settings-")
    assert found["ConfigMap", "dubflow", mode]["data"]["MODE"] == "other"


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ({"helmCharts": []}, "helmCharts"),
        ({"resources": ["https://example.org/base"]}, "elsewhere"),
        ({"resources": ["../../outside.yaml"]}, "leads out"),
        ({"resources": ["a.yaml", "a.yaml"]}, "twice"),
        ({"resources": ["."]}, "contains itself"),
        ({"resources": ["a.yaml"], "labels": [{"pairs": {"a": "b"}, "includeSelectors": True}]}, "selectors"),
        ({"resources": ["a.yaml"], "patches": [{"patch": "[{op: remove, path: /data}]"}]}, "no target"),
        ({"resources": ["a.yaml"], "configMapGenerator": [{"name": "b", "behavior": "merge"}]}, "nothing to merge"),
        ({"resources": ["a.yaml"], "configMapGenerator": [{"name": "b", "literals": ["x"]}]}, "key=value"),
    ],
)
def test_what_it_cannot_render_is_refused_by_name(tmp_path: Path, content: dict[str, Any], said: str) -> None:
    (tmp_path / "a.yaml").write_text("{apiVersion: v1, kind: ConfigMap, metadata: {name: a}, data: {a: b}}")
    (tmp_path / "kustomization.yaml").write_text(yaml.safe_dump(content))
    with pytest.raises(BadInput, match=said) as caught:
        render(tmp_path)
    assert caught.value.code == "platform.bad_kustomization"


def test_a_patch_that_finds_nothing_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("{apiVersion: v1, kind: ConfigMap, metadata: {name: a}}")
    patch = "{apiVersion: v1, kind: ConfigMap, metadata: {name: b}, data: {a: b}}"
    (tmp_path / "kustomization.yaml").write_text(
        yaml.safe_dump({"resources": ["a.yaml"], "patches": [{"patch": patch}]})
    )
    with pytest.raises(BadInput, match="finds no ConfigMap"):
        render(tmp_path)


def test_a_key_that_stands_twice_is_refused_with_its_line() -> None:
    with pytest.raises(BadInput, match="line 3: 'a' stands twice"):
        parsed("b: 1\na: 1\na: 2\n", "x.yaml")


@pytest.mark.parametrize(
    ("image", "parts"),
    [
        ("dubflow/data", ("dubflow/data", "", "")),
        ("dubflow/data:1", ("dubflow/data", "1", "")),
        ("example.org:5000/data", ("example.org:5000/data", "", "")),
        ("example.org:5000/data:1@sha256:aa", ("example.org:5000/data", "1", "sha256:aa")),
    ],
)
def test_parts_of_an_image(image: str, parts: tuple[str, str, str]) -> None:
    assert split_image(image) == parts


def test_a_new_tag_drops_the_digest_and_a_digest_the_tag() -> None:
    assert reimaged("a:1@sha256:aa", {"name": "a", "newTag": "2"}) == "a:2"
    assert reimaged("a:1", {"name": "a", "digest": "sha256:bb"}) == "a@sha256:bb"
    assert reimaged("a:1", {"name": "b", "newTag": "2"}) == "a:1"


def test_a_releases_images_reach_every_place(repository: Path, tmp_path: Path) -> None:
    kubernetes, digest = repository / "infra" / "kubernetes", "sha256:" + "1" * 64
    assert overlays(kubernetes) == ["dev", "gpu", "prod"]
    release = tmp_path / "images.yaml"
    names = [f"dubflow/{name}-python" for name in ("data", "train", "serve", "gateway")]
    release.write_text(yaml.safe_dump({"images": [{"name": name, "digest": digest} for name in names]}))
    rendered = render_overlay(kubernetes, "prod", "built-in", release)
    texts = [yaml.safe_dump(dict(one.body)) for one in rendered.manifests.resources if one.kind != "PipelineVersion"]
    assert any(f"dubflow/data-python@{digest}" in text for text in texts)
    assert not any(
        f"dubflow/{name}-python:0" in text for text in texts for name in ("data", "train", "serve", "gateway")
    )
    release.write_text("images: [oops]")
    with pytest.raises(BadInput, match="bad_images"):
        render_overlay(kubernetes, "prod", "built-in", release)
