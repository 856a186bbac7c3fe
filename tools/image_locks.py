"""Write ``infra/images/locks``: for each image the part of the lock that its extras ask for, same versions and hashes.

``python tools/image_locks.py`` needs no network: requirements.lock says what, the installed packages say who asks for
whom. ``--build`` resolves what building asks for (``build.lock``) and ``--torch FILE`` what torch is made of where this
machine takes it from: its CPU and CUDA builds share one version number, so that file is not part of the project, and
the images ask for it. ``--index URL`` names where else torch is to be looked for.
"""

from __future__ import annotations

import argparse
import hashlib
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from typing import Any

import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[1]
IMAGES = ROOT / "infra" / "images"
LOCKS = IMAGES / "locks"
SOURCES = ("requirements.lock", "requirements-nodeps.lock")
TORCH = "torch==2.13.0"

WITHOUT_PINS = (("opencv-python-headless", "mediapipe"), ("speechmos", "resemblyzer"))
"""A package of an extra, and what comes beside it without its own pins (requirements-nodeps.lock)."""
MACHINES = tuple(
    {
        "python_version": version,
        "python_full_version": f"{version}.9",
        "implementation_name": "cpython",
        "platform_python_implementation": "CPython",
        "platform_machine": machine,
        "platform_system": "Linux",
        "sys_platform": "linux",
        "os_name": "posix",
    }
    for version in ("3.11", "3.12")
    for machine in ("x86_64", "aarch64")
)
HEADER = "# Written by tools/image_locks.py from requirements.lock; extras: {extras}.\n"


def blocks(text: str) -> dict[str, str]:
    """Canonical name to the lines of a lock that are about it."""
    found = {}
    for block in re.split(r"^(?=[A-Za-z0-9])", text, flags=re.M):
        if name := re.match(r"[A-Za-z0-9._-]+(?===)", block):
            found[canonicalize_name(name[0])] = block
    return found


def locked() -> dict[str, str]:
    """Everything that the project's locks hold."""
    return {name: block for source in SOURCES for name, block in blocks((ROOT / source).read_text("utf-8")).items()}


def requirements(name: str, extra: str) -> Iterator[Requirement]:
    """What an installed package asks for, with one of its extras or none (""), on any machine that images are for."""
    for text in metadata.requires(name) or []:
        requirement = Requirement(text)
        marker = requirement.marker
        if marker is None or any(marker.evaluate({**machine, "extra": extra}) for machine in MACHINES):
            yield requirement


def closure(extras: list[str]) -> set[str]:
    """Canonical names of everything that dubflow with these extras asks for."""
    waiting, seen = [("dubflow", extra) for extra in ("", *extras)], set()
    while waiting:
        name, extra = waiting.pop()
        if (name, extra) in seen:
            continue
        seen.add((name, extra))
        try:
            asked = list(requirements(name, extra))
        except metadata.PackageNotFoundError:  # for another machine than this one
            asked = []
        for requirement in asked:
            waiting += [(canonicalize_name(requirement.name), one) for one in ("", *requirement.extras)]
    names = {name for name, _ in seen} - {"dubflow", "torch"}
    return names | {brought for sign, brought in WITHOUT_PINS if sign in names}


def image_lock(image: dict[str, Any]) -> str:
    """The lock of an image of ``extras.yaml``.

    Raises:
        SystemExit: an image gets what it must be without, or asks for what the project's lock does not hold.
    """
    have, names = locked(), closure(image["extras"])
    if wrong := names & set(image.get("without", [])):
        raise SystemExit(f"{image['extras']} bring {sorted(wrong)}, which this image is to be without")
    if missing := sorted(names - set(have)):
        raise SystemExit(f"requirements.lock does not hold {missing}: run `make lock`")
    return HEADER.format(extras=", ".join(image["extras"])) + "".join(have[name] for name in sorted(names))


def images() -> dict[str, dict[str, Any]]:
    """The images of ``extras.yaml`` by name."""
    found: dict[str, dict[str, Any]] = yaml.safe_load((IMAGES / "extras.yaml").read_text("utf-8"))
    return found


def torch_lock(index: str | None) -> str:
    """torch and what comes with that build of it and is in no lock of ours, with hashes."""
    with tempfile.TemporaryDirectory() as folder:
        wheels = Path(folder) / "wheels"
        where = ["--index-url", index] if index else []
        fetch = [sys.executable, "-m", "pip", "download", "-q", "--no-cache-dir", "-d", str(wheels), *where, TORCH]
        pins = Path(folder) / "pins.txt"
        pins.write_text("".join(f"{block.split(' ')[0]}\n" for block in locked().values()), encoding="utf-8")
        subprocess.run([*fetch, "-c", str(pins)], check=True)
        lines, known = [], locked()
        for wheel in sorted(wheels.iterdir()):
            name, version = wheel.name.split("-")[:2]
            if canonicalize_name(name) not in known:
                lines.append(f"{canonicalize_name(name)}=={version} \\\n    --hash=sha256:{_sha256(wheel)}\n")
    return "".join(lines)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="write nothing; 1 where a lock is out of date")
    parser.add_argument("--build", action="store_true", help="resolve build.in again (asks the package index)")
    parser.add_argument("--torch", type=Path, metavar="FILE", help="write torch's lock here (downloads it)")
    parser.add_argument("--index", help="where torch is looked for, instead of the usual index")
    given = parser.parse_args()
    if given.torch:
        given.torch.write_text(torch_lock(given.index), encoding="utf-8")
        print(f"wrote {given.torch}")
        return 0
    if given.build:
        uv = Path(sys.executable).parent / "uv"
        words = ["pip", "compile", LOCKS / "build.in", "-o", LOCKS / "build.lock"]
        options = ["--python-version", "3.11", "--generate-hashes", "--no-header", "--no-annotate", "-q", "--no-config"]
        subprocess.run([str(uv), *map(str, words), *options], check=True)
        print("wrote build.lock")
        return 0
    stale = []
    for name, image in images().items():
        path, text = LOCKS / f"{name}.lock", image_lock(image)
        if not path.is_file() or path.read_text("utf-8") != text:
            stale.append(path.name)
            if not given.check:
                path.write_text(text, encoding="utf-8")
        print(f"{path.name}: {len(blocks(text))} packages")
    if stale:
        print(f"{'out of date' if given.check else 'wrote'}: {', '.join(stale)}")
    return int(given.check and bool(stale))


if __name__ == "__main__":
    raise SystemExit(main())
