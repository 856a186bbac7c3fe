"""What is asked of the steps that install: nothing that nobody has looked at, and the same each time."""

from __future__ import annotations

import re

from dubflow.platform.images.checks import (
    Check,
    Found,
    apt_packages,
    every_command,
    is_apt_install,
    rule,
    runs,
    shell,
)  # fmt: skip
from dubflow.platform.images.dockerfile import Dockerfile
from dubflow.platform.images.shell import commands, pipes


@rule(
    "no_fetching",
    "No step fetches a file or a repository by itself.",
    "What it gets has no hash that anybody checks.",
    "Bring it through a lock with hashes, or through Debian's signed packages.",
)
def _fetch(file: Dockerfile) -> Found:
    for one, words in every_command(file):
        if words[0] in ("curl", "wget") or words[:2] in (["git", "clone"], ["git", "fetch"]):
            yield one.line, f"`{words[0]}` fetches"


@rule(
    "hashes",
    "Every Python package comes from a lock with hashes, also what building asks for.",
    "A name and a version alone can be replaced on an index.",
    "Install with --require-hashes -r LOCK; the project itself with --no-deps and --build-constraints.",
)
def _hashes(file: Dockerfile) -> Found:
    for one, words in every_command(file):
        if not _installs(words):
            continue
        itself = "." in words and "--no-deps" in words
        if not itself and not {"--require-hashes"} & set(words):
            yield one.line, "packages are installed without --require-hashes"
        elif itself and not {"--build-constraints", "--build-constraint", "--no-build-isolation"} & set(words):
            yield one.line, "what building asks for has no hashes: --build-constraints is missing"
        named = [word for word in words if re.match(r"[A-Za-z0-9._-]+==", word)]
        if named:
            yield one.line, f"{named[0]} is named on the command line, outside a lock"


@rule(
    "pipefail",
    "A step with a pipe fails where any part of it fails.",
    "The shell looks at the last part alone, so that half a step passes.",
    'Write SHELL ["/bin/bash", "-o", "pipefail", "-c"] above it, or do without the pipe.',
)
def _pipefail(file: Dockerfile) -> Found:
    for stage in file.stages:
        lineage = file.lineage(stage)
        for one in stage.of("RUN"):
            above = [shell for at in lineage for shell in at.of("SHELL") if at is not stage or shell.line < one.line]
            safe = bool(above) and "pipefail" in above[-1].text
            if one.listed is None and pipes(shell(one)) and not safe and "pipefail" not in shell(one):
                yield one.line, "a pipe without pipefail"


@rule(
    "apt",
    "apt-get installs only what is named, after an update in the same step, and leaves no lists.",
    "Recommended packages come unasked, old lists name packages that are gone, and lists weigh.",
    "apt-get update && apt-get install -y --no-install-recommends NAME=VERSION … && rm -rf /var/lib/apt/lists/*",
)
def _apt(file: Dockerfile) -> Found:
    for one in runs(list(file.stages)):
        said = commands(shell(one))
        for words in said:
            if words[0] == "apt" or (words[0] == "apt-get" and {"upgrade", "dist-upgrade"} & set(words)):
                yield one.line, f"`{' '.join(words[:2])}`"
        if not any(is_apt_install(words) for words in said):
            continue
        for words in said:
            if is_apt_install(words) and "--no-install-recommends" not in words:
                yield one.line, "--no-install-recommends is missing"
        if ["apt-get", "update"] not in [words[:2] for words in said]:
            yield one.line, "apt-get update is not in the same step"
        if not any(words[0] == "rm" and any("/var/lib/apt/lists" in word for word in words) for words in said):
            yield one.line, "the lists in /var/lib/apt/lists stay"


@rule(
    "apt_versions",
    "Debian's packages have versions.",
    "Otherwise two builds of one commit differ.",
    "Write NAME=VERSION; `apt-cache policy NAME` tells it.",
)
def _apt_versions(file: Dockerfile) -> Found:
    for one in runs(list(file.stages)):
        for package in apt_packages(one):
            if "=" not in package and "$" not in package:
                yield one.line, f"{package} has no version"


def _installs(words: list[str]) -> bool:
    program = words[0].rpartition("/")[2]
    by_module = program.startswith("python") and words[1:3] == ["-m", "pip"]
    return (program in ("pip", "pip3", "uv") or by_module) and bool({"install", "sync"} & set(words[1:6]))


INSTALL_CHECKS: tuple[Check, ...] = (_fetch, _hashes, _pipefail, _apt, _apt_versions)
