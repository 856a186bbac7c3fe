"""``python -m dubflow.platform.images.sbom --out FILE``: what this environment is made of, in CycloneDX's JSON.

Python's packages come from the metadata of what is really installed, Debian's from dpkg's own records. Equal
environments give equal files: no time of day goes in, and the serial number follows from the content. The format:
CycloneDX 1.6 (ECMA-424); its schema is held in tests. Needs nothing but dubflow's own dependencies.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import re
import sys
import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any
from urllib.parse import quote

DPKG = Path("/var/lib/dpkg/status")
OS_RELEASE = Path("/etc/os-release")
ROOT = "dubflow"
_SCHEMA = "http://cyclonedx.org/schema/bom-1.6.schema.json"


def bill_of_materials(name: str, version: str, dpkg: Path = DPKG, os_release: Path = OS_RELEASE) -> dict[str, Any]:
    """The document for this interpreter's packages and, where dpkg keeps records, the system's.

    Args:
        name, version: of the image.
    """
    python = _installed()
    components = [_library(one) for one in python]
    dependencies = _dependencies(python)
    system = _debian(dpkg, _distribution(os_release))
    image = {"type": "container", "bom-ref": f"image:{name}@{version}", "name": name, "version": version}
    top = sorted(one["bom-ref"] for one in components if one["name"] == ROOT) + [one["bom-ref"] for one in system]
    content = {
        "metadata": {"component": image, "properties": [{"name": "dubflow:python", "value": sys.version.split()[0]}]},
        "components": [*components, *system],
        "dependencies": [{"ref": image["bom-ref"], "dependsOn": top}, *dependencies],
    }
    digest = hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
    return {
        "$schema": _SCHEMA,
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "serialNumber": f"urn:uuid:{uuid.uuid5(uuid.NAMESPACE_URL, digest)}",
        "version": 1,
        **content,
    }


@dataclass(frozen=True)
class _Package:
    """An installed package; its metadata is read once, which takes most of the time."""

    name: str
    version: str
    facts: Any

    @property
    def purl(self) -> str:
        return f"pkg:pypi/{self.name}@{quote(self.version, safe='')}"


def _installed() -> list[_Package]:
    """By name; of two of one name the first on the path counts, as for imports."""
    found: dict[str, _Package] = {}
    for one in metadata.distributions():
        facts: Any = one.metadata
        if facts.get("Name"):
            name = canonical(facts["Name"])
            found.setdefault(name, _Package(name, facts["Version"], facts))
    return [found[name] for name in sorted(found)]


def canonical(name: str) -> str:
    """A package's name as purls write it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def _library(one: _Package) -> dict[str, Any]:
    found: dict[str, Any] = {
        "type": "application" if one.name == ROOT else "library",
        "bom-ref": one.purl,
        "name": one.name,
        "version": one.version,
        "purl": one.purl,
    }
    if licences := _licences(one.facts):
        found["licenses"] = licences
    return found


def _licences(facts: Any) -> list[dict[str, Any]]:
    """The package's own words: an SPDX expression where it gives one, else names."""
    if expression := facts.get("License-Expression"):
        return [{"expression": expression}]
    classified = [
        one.rpartition(" :: ")[2] for one in facts.get_all("Classifier") or [] if one.startswith("License ::")
    ]
    said = (facts.get("License") or "").strip().partition("\n")[0][:120]
    names = classified or ([said] if said and said != "UNKNOWN" else [])
    return [{"license": {"name": name}} for name in sorted(set(names))]


def _dependencies(installed: Sequence[_Package]) -> list[dict[str, Any]]:
    """Which of them asks for which, as far as it is installed; dubflow's extras are asked for where they are there."""
    from packaging.requirements import Requirement

    known = {one.name: one.purl for one in installed}
    found = []
    for one in installed:
        asked = set()
        for requirement in map(Requirement, one.facts.get_all("Requires-Dist") or []):
            marker = requirement.marker
            if one.name == ROOT or marker is None or marker.evaluate({"extra": ""}):
                asked.add(known.get(canonical(requirement.name), one.purl))
        found.append({"ref": one.purl, "dependsOn": sorted(asked - {one.purl})})
    return found


def _debian(status: Path, distribution: str) -> list[dict[str, Any]]:
    if not status.is_file():
        return []
    found = []
    for block in status.read_text(encoding="utf-8").split("\n\n"):
        facts = dict(re.findall(r"^(Package|Version|Architecture|Status): (.*)$", block, re.M))
        if facts.get("Status") == "install ok installed":
            name, version = facts["Package"], facts["Version"]
            purl = f"pkg:deb/debian/{quote(name, safe='')}@{quote(version, safe='')}?arch={facts['Architecture']}"
            purl += f"&distro={distribution}" if distribution else ""
            found.append({"type": "library", "bom-ref": purl, "name": name, "version": version, "purl": purl})
    return sorted(found, key=lambda one: one["bom-ref"])


def _distribution(os_release: Path) -> str:
    if not os_release.is_file():
        return ""
    facts = dict(re.findall(r'^(ID|VERSION_ID)="?([^"\n]*)"?$', os_release.read_text(encoding="utf-8"), re.M))
    return "-".join(filter(None, (facts.get("ID"), facts.get("VERSION_ID"))))


def names(document: dict[str, Any], kinds: Iterable[str] = ("pypi",)) -> set[str]:
    """Names of a document's parts of these kinds of purl (``pypi``, ``deb``)."""
    begin = tuple(f"pkg:{kind}/" for kind in kinds)
    return {one["name"] for one in document["components"] if one["purl"].startswith(begin)}


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the document; 0."""
    parser = argparse.ArgumentParser(prog="python -m dubflow.platform.images.sbom", description=__doc__.split("\n")[0])
    parser.add_argument("--out", type=Path, required=True, help="file to write")
    parser.add_argument("--name", default=ROOT, help="of the image")
    parser.add_argument("--version", default=None, help="of the image; dubflow's own without")
    given = parser.parse_args(arguments)
    document = bill_of_materials(given.name, given.version or metadata.version(ROOT))
    from dubflow.atomic import write_json

    write_json(given.out, document)
    sys.stdout.write(f"{given.out}: {len(document['components'])} parts\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
