"""Write ``docs/licences.md``: every locked dependency, its licence, and which part of dubflow asks for it."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from importlib import metadata
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[1]
TABLE = ROOT / "docs" / "licences.md"
LOCKS = ("requirements.lock", "requirements-nodeps.lock", "requirements-tools.lock")

# What the packages' metadata leaves out or hides, read in their licence files.
BY_HAND = {
    "espeakng-loader": "MIT (loader); carries espeak-ng, GPL-3.0-or-later",
    "pyworld": "MIT",
    "praatio": "MIT",
    "huey": "MIT",
    "skops": "MIT",
    "waitress": "ZPL-2.1",
    "grandalf": "GPL-2.0-only OR EPL-1.0",
    "pygit2": "GPL-2.0-only with linking exception",
    "av": "BSD-3-Clause; its wheel carries FFmpeg built with x264 and x265, GPL-2.0-or-later",
    "pywin32": "PSF-2.0 (Windows only)",
    "prettytable": "BSD-3-Clause",
    "wcwidth": "MIT",
    "pip-licenses": "MIT",
    "setuptools": "MIT",
    "uv": "Apache-2.0 OR MIT",
    "httpx2-jsfetch": "BSD-3-Clause",
    "sigstore-models": "MIT",
}
INTRODUCTION = """# Licences of the dependencies

dubflow is Apache-2.0. This table is written by `make pages` from the locks and the packages' own metadata; a test
holds it against the locks. What matters most:

- **espeak-ng is GPL-3.0-or-later.** It comes only with the extra `speech`, is spoken to in a process of its own, and
  stands behind the Protocols `Phonemizer` and `Synthesizer` in `dubflow.speech`, so that another engine can take its
  place. phonemizer (GPL as well) is not used. What a synthesiser says is not a derivative of the synthesiser.
- **The PyAV wheel carries an FFmpeg with x264 and x265 (GPL).** Who redistributes an image with that wheel follows the
  GPL for it, or builds PyAV against an LGPL FFmpeg (and names another encoder).
- soxr is LGPL-2.1-or-later and used as the shared library its wheel brings.
- **dvc** (extra `data`) brings copyleft packages (pygit2, grandalf); a service that only serves does not install it.

| package | version | licence | asked for by |
|---|---|---|---|
"""


def locked() -> dict[str, str]:
    """Canonical name to version, over all locks, and torch, which pip installs by itself."""
    found = {"torch": "2.13.0"}
    for lock in LOCKS:
        for name, version in re.findall(r"^([A-Za-z0-9_.-]+)==([^ ;\\]+)", (ROOT / lock).read_text("utf-8"), re.M):
            found[canonicalize_name(name)] = version
    return found


def declared_licences() -> dict[str, str]:
    """Canonical name to what the installed package says of itself."""
    command = [str(Path(sys.executable).parent / "pip-licenses"), "--format=json", "--from=mixed", "--with-system"]
    listing = json.loads(subprocess.run(command, capture_output=True, check=True, text=True).stdout)
    return {canonicalize_name(entry["Name"]): entry["License"].splitlines()[0] for entry in listing}


def askers() -> dict[str, set[str]]:
    """Canonical name to the extras of dubflow (or ``base``) whose closure it is in."""
    found: dict[str, set[str]] = {}
    extras = metadata.metadata("dubflow").get_all("Provides-Extra") or []
    for part in ("base", *extras):
        queue = [("dubflow", part if part != "base" else "")]
        seen = set()
        while queue:
            name, extra = queue.pop()
            if (name, extra) in seen:
                continue
            seen.add((name, extra))
            try:
                requirements = metadata.requires(name) or []
            except metadata.PackageNotFoundError:
                continue
            for text in requirements:
                requirement = Requirement(text)
                wanted_by_base = requirement.marker is None or requirement.marker.evaluate({"extra": ""})
                wanted = requirement.marker is None or requirement.marker.evaluate({"extra": extra})
                if not wanted or (name == "dubflow" and part != "base" and wanted_by_base):
                    continue
                target = canonicalize_name(requirement.name)
                if target != "dubflow":
                    found.setdefault(target, set()).add(part)
                queue += [(target, one) for one in (requirement.extras or {""})]
                if requirement.extras:
                    queue.append((target, ""))
    found.setdefault("mediapipe", set()).add("faces")
    found.setdefault("uv", set()).add("tools")
    return found


def table() -> str:
    """The whole page."""
    declared, asked = declared_licences(), askers()
    lines = []
    for name, version in sorted(locked().items()):
        licence = BY_HAND.get(name) or declared.get(name, "")
        if not licence or licence == "UNKNOWN":
            raise SystemExit(f"{name} {version} does not state its licence: read it and add it to BY_HAND")
        parts = asked.get(name, set())
        by = "base" if "base" in parts else ", ".join(sorted(parts)) or "other platforms"
        lines.append(f"| {name} | {version} | {licence} | {by} |")
    return INTRODUCTION + "\n".join(lines) + "\n"


if __name__ == "__main__":
    TABLE.write_text(table(), encoding="utf-8")
    print(f"wrote {TABLE.relative_to(ROOT)}")
