"""The list of an image's parts is CycloneDX, tells what is installed, and is the same each time."""

from __future__ import annotations

import json
from importlib import metadata
from importlib.resources import files
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from referencing import Registry, Resource

from dubflow.platform.images import sbom

DPKG = """\
Package: libgl1
Status: install ok installed
Architecture: amd64
Version: 1.6.0-1

Package: gone
Status: deinstall ok config-files
Architecture: amd64
Version: 1

Package: libstdc++6
Status: install ok installed
Architecture: amd64
Version: 12.2.0-14+deb12u1
"""


@pytest.fixture(scope="module")
def document(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    folder = tmp_path_factory.mktemp("debian")
    (folder / "status").write_text(DPKG, encoding="utf-8")
    (folder / "os-release").write_text('ID=debian\nVERSION_ID="12"\nNAME="Debian"\n', encoding="utf-8")
    return sbom.bill_of_materials("dubflow-test", "1.2", folder / "status", folder / "os-release")


def test_it_is_cyclonedx(document: dict[str, Any]) -> None:
    """Held to the schema of the standard, as the library of its makers carries it."""
    room = files("cyclonedx.schema") / "_res"
    names = [f"{name}.SNAPSHOT.schema.json" for name in ("bom-1.6", "spdx", "jsf-0.82")]
    schemas = [json.loads((room / name).read_text(encoding="utf-8")) for name in names]
    registry = Registry().with_resources((schema["$id"], Resource.from_contents(schema)) for schema in schemas)
    checker = jsonschema.Draft7Validator(schemas[0], registry=registry)
    content = {name: value for name, value in document.items() if name != "$schema"}
    assert [error.message for error in checker.iter_errors(content)] == []
    broken = content | {"components": [{"type": "library"}]}
    assert not checker.is_valid(broken)


def test_it_names_what_is_installed_and_nothing_else(document: dict[str, Any]) -> None:
    found = {one["name"]: one for one in document["components"]}
    installed = {sbom.canonical(one.metadata["Name"]) for one in metadata.distributions()}
    assert sbom.names(document) == installed
    assert found["numpy"]["version"] == metadata.version("numpy")
    assert sbom.names(document, ["deb"]) == {"libgl1", "libstdc++6"}
    assert (
        found["libstdc++6"]["purl"] == "pkg:deb/debian/libstdc%2B%2B6@12.2.0-14%2Bdeb12u1?arch=amd64&distro=debian-12"
    )
    references = [one["bom-ref"] for one in document["components"]]
    assert len(references) == len(set(references))
    assert {one for each in document["dependencies"] for one in each["dependsOn"]} <= set(references)
    asked = {one["ref"]: one["dependsOn"] for one in document["dependencies"]}
    assert found["numpy"]["bom-ref"] in asked[found["dubflow"]["bom-ref"]]


def test_the_same_environment_gives_the_same_bytes(document: dict[str, Any], tmp_path: Path) -> None:
    for name in ("a", "b"):
        assert sbom.main(["--out", str(tmp_path / name), "--name", "x", "--version", "1"]) == 0
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
    assert json.loads((tmp_path / "a").read_text(encoding="utf-8"))["serialNumber"] != document["serialNumber"]
