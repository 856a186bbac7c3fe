"""Every Dockerfile below a folder, and the locks that it installs from, held to the rules."""

from __future__ import annotations

import re
from pathlib import Path

from dubflow.errors import BadInput
from dubflow.platform.images.dockerfile import Dockerfile, read_dockerfile
from dubflow.platform.images.rules import CHECKS
from dubflow.platform.preflight.findings import Finding, Rule, in_order, refused

READABLE = Rule(
    "image.readable",
    "A Dockerfile is made of instructions that are known, and there is one below infra/images at least.",
    "What cannot be read cannot be checked, and a check of nothing passes.",
)
LOCKS = Rule(
    "image.locks",
    "Every lock that a Dockerfile copies is there, and each of its packages has a version and hashes.",
    "A build would stop half-way, or install what nobody has looked at.",
)
RULES: tuple[Rule, ...] = (READABLE, LOCKS, *(check.rule for check in CHECKS))
"""Every rule for images."""
_LOCKED = re.compile(r"[\w.-]+==\S+ .*\\$")  # the hashes follow on lines of their own
BROUGHT = ("torch.lock",)
"""Locks that whoever builds brings: which build of torch it is is theirs to say."""


def check_images(folder: Path) -> list[Finding]:
    """What is wrong with the images.

    Args:
        folder: ``infra/images`` of a checkout: ``*/Dockerfile``, whose build context is the checkout.
    """
    files = sorted(folder.glob("*/Dockerfile"))
    if not files:
        return [refused(READABLE, str(folder), "There is no Dockerfile here.", "Name the folder infra/images.")]
    root = folder.resolve().parent.parent
    return list(in_order(one for path in files for one in check_dockerfile(path, root)))


def check_dockerfile(path: Path, context: Path) -> list[Finding]:
    """What is wrong with one file, whose COPY takes from ``context``."""
    where = path.resolve().relative_to(context).as_posix() if path.resolve().is_relative_to(context) else str(path)
    try:
        file = read_dockerfile(path)
    except BadInput as error:
        return [refused(READABLE, where, error.headline, error.hint, error.details.get("line"))]
    found = [
        refused(check.rule, where, _sentence(message), check.hint, line)
        for check in CHECKS
        for line, message in check.look(file)
    ]
    return [*found, *_locks(file, where, context)]


def _locks(file: Dockerfile, where: str, context: Path) -> list[Finding]:
    found = []
    for one in file.instructions:
        if one.word != "COPY" or one.flag("from") is not None:
            continue
        for source in one.words[:-1]:
            path = context / source
            if path.suffix != ".lock" or path.name in BROUGHT:
                continue
            if not path.is_file():
                hint = "Write it: python tools/image_locks.py"
                found.append(refused(LOCKS, where, f"{source} is not there.", hint, one.line))
                continue
            for number, line in enumerate(path.read_text("utf-8").splitlines(), 1):
                if re.match(r"[A-Za-z0-9]", line) and not _LOCKED.match(line):
                    message = _sentence(f"{line[:60]} has no version or no hash")
                    found.append(refused(LOCKS, source, message, "Lock it again.", number))
    return found


def _sentence(text: str) -> str:
    return f"{text[0].upper()}{text[1:]}."
