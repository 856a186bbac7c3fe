"""What is asked of every Dockerfile of the project, a function a rule.

A function yields the line and what is wrong there. ``tests/platform/images/broken`` has a Dockerfile that breaks each rule.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from dubflow.platform.images.dockerfile import Dockerfile, Instruction, Stage
from dubflow.platform.images.shell import commands, pipes
from dubflow.platform.preflight.findings import Rule

Found = Iterator[tuple[int, str]]
_DIGEST = re.compile(r"@sha256:[0-9a-f]{64}$")
_VARIABLE = re.compile(r"^\$\{?(\w+)\}?$")
_SECRET = re.compile(r"secret|token|passw|credential|private|api_?key|access_?key|(^|_)key($|_)", re.I)
_SECRET_VALUE = re.compile(r"://[^/@\s]+:[^/@\s]+@|AKIA[0-9A-Z]{16}|-----BEGIN|gh[pousr]_\w{20}")
_HOST = re.compile(r"(?:^|[\s=\"'])(?:https?://)?((?:[a-z0-9-]+\.)+[a-z]{2,}|localhost)(?::\d+)?/", re.I)
_COMPILERS = re.compile(r"^(build-essential|gcc|g\+\+|clang|make|cmake|git)(-[\d.]+)?$|-dev$|-venv$")
LABELS = ("title", "description", "licenses", "version", "revision", "base.name")
WRITABLE = ("HOME", "TMPDIR", "XDG_CACHE_HOME", "MPLCONFIGDIR", "NUMBA_CACHE_DIR", "HF_HOME")
SBOM = "/opt/dubflow/share/sbom.cdx.json"
"""Where every image keeps the list of its parts."""


@dataclass(frozen=True)
class Check:
    """A rule, how it is looked for, and what to do where it is broken."""

    rule: Rule
    look: Callable[[Dockerfile], Found]
    hint: str


CHECKS: list[Check] = []


def _rule(name: str, asks: str, why: str, hint: str) -> Callable[[Callable[[Dockerfile], Found]], None]:
    def keep(look: Callable[[Dockerfile], Found]) -> None:
        CHECKS.append(Check(Rule(f"image.{name}", asks, why), look, hint))

    return keep


@_rule(
    "base_by_digest",
    "The base comes as a build argument, and a build whose argument has no digest fails.",
    "A tag means something else tomorrow, and two builds of one commit would differ.",
    "Write ARG BASE without a value, FROM ${BASE}, and a first RUN that refuses a BASE without @sha256:.",
)
def _base(file: Dockerfile) -> Found:
    given = {name: one for one in file.arguments for name in _argument_names(one)}
    names = {stage.name for stage in file.stages}
    for stage in file.stages:
        line = stage.instructions[0].line
        if stage.base in names | {"scratch"}:
            continue
        found = _VARIABLE.match(stage.base)
        if found is None:
            if not _DIGEST.search(stage.base):
                yield line, f"FROM names {stage.base} itself, without a digest"
            continue
        argument = given.get(found[1])
        default = argument.pairs.get(found[1], "") if argument else ""
        if argument is None:
            yield line, f"{found[1]} is no ARG above the first FROM"
        elif default and not _DIGEST.search(default):
            yield argument.line, f"{found[1]} has a default without a digest"
        elif not default and not any("@sha256:" in one.text and found[1] in one.text for one in stage.of("RUN")):
            yield line, f"no RUN of this stage refuses a {found[1]} without a digest"


@_rule(
    "no_latest",
    "No image is named by the tag latest, or by none.",
    "What is built then depends on the day.",
    "Name images by digest, or earlier stages by name.",
)
def _latest(file: Dockerfile) -> Found:
    names = {stage.name for stage in file.stages} | {"scratch"}
    for one in file.instructions:
        images = [one.flag("from") or "" for _ in [one] if one.word == "COPY"]
        images += [one.words[0]] if one.word == "FROM" else []
        images += list(one.pairs.values()) if one.word == "ARG" and "image" in one.text.lower() else []
        for image in images:
            last = image.rpartition("/")[2]
            if image and image not in names and "$" not in image and (":latest" in last or not re.search("[:@]", last)):
                yield one.line, f"{image} is whatever is newest"


@_rule(
    "multi_stage",
    "What builds is in a stage of its own; the image has no compiler.",
    "A compiler in a running image helps whoever breaks in, and weighs.",
    "Install compilers and headers in the stage `build` and copy the environment from it.",
)
def _stages(file: Dockerfile) -> Found:
    if len(file.stages) < 2:
        yield file.stages[0].instructions[0].line, "there is one stage"
    for one in _runs(file.lineage(file.stages[-1])):
        for package in _apt_packages(one):
            if _COMPILERS.search(package.partition("=")[0]):
                yield one.line, f"{package} is in the image"


@_rule(
    "non_root",
    "The image runs as a user with a number above 0.",
    "Kubernetes can tell that a user is not root only by its number.",
    "End the last stage with USER 10001:10001.",
)
def _user(file: Dockerfile) -> Found:
    users = [one for stage in file.lineage(file.stages[-1]) for one in stage.of("USER")]
    if not users:
        yield file.stages[-1].instructions[-1].line, "there is no USER"
    elif not re.fullmatch(r"[1-9]\d*(:[1-9]\d*)?", users[-1].text):
        yield users[-1].line, f"USER {users[-1].text} is no number above 0"


@_rule(
    "no_add",
    "Files come by COPY.",
    "ADD fetches addresses without a digest and unpacks archives unasked.",
    "Use COPY; what comes from elsewhere comes through a lock with hashes.",
)
def _add(file: Dockerfile) -> Found:
    for one in file.instructions:
        if one.word == "ADD":
            yield one.line, f"ADD {one.text}"


@_rule(
    "no_fetching",
    "No step fetches a file or a repository by itself.",
    "What it gets has no hash that anybody checks.",
    "Bring it through a lock with hashes, or through Debian's signed packages.",
)
def _fetch(file: Dockerfile) -> Found:
    for one, words in _commands(file):
        if words[0] in ("curl", "wget") or words[:2] in (["git", "clone"], ["git", "fetch"]):
            yield one.line, f"`{words[0]}` fetches"


@_rule(
    "no_secrets",
    "ENV, ARG and LABEL hold no secret.",
    "They stay in the image's history, readable by whoever pulls it.",
    "Give it to the step that needs it: RUN --mount=type=secret,id=…",
)
def _secrets(file: Dockerfile) -> Found:
    for one in file.instructions:
        if one.word in ("ENV", "ARG", "LABEL"):
            for name in _argument_names(one):
                if _SECRET.search(name):
                    yield one.line, f"{one.word} {name} has a secret's name"
        if one.word != "COPY" and _SECRET_VALUE.search(f"{one.text}\n{one.body}"):
            yield one.line, "a value looks like a secret"


@_rule(
    "no_hosts",
    "No registry's or index's host is named.",
    "Who builds elsewhere builds from a mirror of theirs.",
    "Give the host as a build argument, or in the secret that configures pip and uv.",
)
def _hosts(file: Dockerfile) -> Found:
    for one in file.instructions:
        texts = [one.text, one.body, one.flag("from") or ""] if one.word != "LABEL" else []
        if found := next((match for text in texts if (match := _HOST.search(text))), None):
            if found[1] not in ("localhost", "127.0.0.1"):
                yield one.line, f"{found[1]} is named"


@_rule(
    "hashes",
    "Every Python package comes from a lock with hashes, also what building asks for.",
    "A name and a version alone can be replaced on an index.",
    "Install with --require-hashes -r LOCK; the project itself with --no-deps and --build-constraints.",
)
def _hashes(file: Dockerfile) -> Found:
    for one, words in _commands(file):
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


@_rule(
    "pipefail",
    "A step with a pipe fails where any part of it fails.",
    "The shell looks at the last part alone, so that half a step passes.",
    'Write SHELL ["/bin/bash", "-o", "pipefail", "-c"] above it, or do without the pipe.',
)
def _pipefail(file: Dockerfile) -> Found:
    for stage in file.stages:
        lineage = file.lineage(stage)
        for one in stage.of("RUN"):
            above = [
                shell for at in lineage for shell in at.of("SHELL") if at is not stage or shell.line < one.line
            ]
            safe = bool(above) and "pipefail" in above[-1].text
            if one.listed is None and pipes(_shell(one)) and not safe and "pipefail" not in _shell(one):
                yield one.line, "a pipe without pipefail"


@_rule(
    "apt",
    "apt-get installs only what is named, after an update in the same step, and leaves no lists.",
    "Recommended packages come unasked, old lists name packages that are gone, and lists weigh.",
    "apt-get update && apt-get install -y --no-install-recommends NAME=VERSION … && rm -rf /var/lib/apt/lists/*",
)
def _apt(file: Dockerfile) -> Found:
    for one in _runs(list(file.stages)):
        said = commands(_shell(one))
        for words in said:
            if words[0] == "apt" or (words[0] == "apt-get" and {"upgrade", "dist-upgrade"} & set(words)):
                yield one.line, f"`{' '.join(words[:2])}`"
        if not any(_is_apt_install(words) for words in said):
            continue
        for words in said:
            if _is_apt_install(words) and "--no-install-recommends" not in words:
                yield one.line, "--no-install-recommends is missing"
        if ["apt-get", "update"] not in [words[:2] for words in said]:
            yield one.line, "apt-get update is not in the same step"
        if not any(words[0] == "rm" and any("/var/lib/apt/lists" in word for word in words) for words in said):
            yield one.line, "the lists in /var/lib/apt/lists stay"


@_rule(
    "apt_versions",
    "Debian's packages have versions.",
    "Otherwise two builds of one commit differ.",
    "Write NAME=VERSION; `apt-cache policy NAME` tells it.",
)
def _apt_versions(file: Dockerfile) -> Found:
    for one in _runs(list(file.stages)):
        for package in _apt_packages(one):
            if "=" not in package and "$" not in package:
                yield one.line, f"{package} has no version"


@_rule(
    "copy_named",
    "COPY names what it takes.",
    "COPY . takes whatever lies in the folder: caches, keys, data.",
    "Name files and folders; .dockerignore refuses the rest once more.",
)
def _copy(file: Dockerfile) -> Found:
    for one in file.instructions:
        if one.word == "COPY":
            for source in one.words[:-1]:
                if source.strip("/") in ("", ".", "..", "*") or source.startswith(("*", "../")):
                    yield one.line, f"COPY {source}"


@_rule(
    "labels",
    "The image says what it is, in OCI's labels.",
    "Who finds it running has to know which commit and which base it is from.",
    f"LABEL org.opencontainers.image.… for {', '.join(LABELS)}.",
)
def _labels(file: Dockerfile) -> Found:
    have = {name for stage in file.lineage(file.stages[-1]) for one in stage.of("LABEL") for name in one.pairs}
    if missing := [name for name in LABELS if f"org.opencontainers.image.{name}" not in have]:
        yield file.stages[-1].instructions[0].line, f"labels are missing: {', '.join(missing)}"


@_rule(
    "read_only_root",
    "What writes at run time writes below /tmp: home, caches and temporary files are set to it.",
    "The root file system is read-only; a library that writes to its user's home fails at the first request.",
    f"ENV {' '.join(WRITABLE)} below /tmp, PYTHONDONTWRITEBYTECODE=1.",
)
def _read_only(file: Dockerfile) -> Found:
    have: dict[str, str] = {}
    for stage in file.lineage(file.stages[-1]):
        for one in stage.of("ENV"):
            have |= one.pairs
    last = file.stages[-1].instructions[0].line
    for name in WRITABLE:
        if not (have.get(name, "") + "/").startswith("/tmp/"):  # noqa: S108 - of a container of its own
            yield last, f"{name} is not below /tmp"
    if not have.get("PYTHONDONTWRITEBYTECODE"):
        yield last, "PYTHONDONTWRITEBYTECODE is not set"
    for volume in file.stages[-1].of("VOLUME"):
        yield volume.line, "VOLUME makes an anonymous volume; mounts are the cluster's to give"


@_rule(
    "exec_form",
    "What runs is given as a list of words, and how to look after it is said.",
    "A shell in between swallows the signal that ends the container; who cannot be asked cannot be watched.",
    'Write ENTRYPOINT ["…"], and HEALTHCHECK with CMD ["…"], or HEALTHCHECK NONE for what answers nobody.',
)
def _exec(file: Dockerfile) -> Found:
    stages = file.lineage(file.stages[-1])
    for one in (found for stage in stages for found in stage.of("ENTRYPOINT", "CMD")):
        if one.listed is None:
            yield one.line, f"{one.word} is a shell's line"
    checks = [one for stage in stages for one in stage.of("HEALTHCHECK")]
    for one in checks:
        command = one.text.removeprefix("CMD").strip()
        if one.text != "NONE" and not command.startswith("["):
            yield one.line, "HEALTHCHECK is a shell's line"
    last = file.stages[-1].instructions[-1].line
    if not checks:
        yield last, "there is no HEALTHCHECK"
    if not any(True for stage in stages for _ in stage.of("ENTRYPOINT")):
        yield last, "there is no ENTRYPOINT"


@_rule(
    "sbom",
    "The image carries the list of its parts.",
    "When a library is found to be broken, one has to know where it runs.",
    f"RUN python -m dubflow.platform.images.sbom --out {SBOM}, in the last stage.",
)
def _sbom(file: Dockerfile) -> Found:
    said = [words for one in file.stages[-1].of("RUN") for words in commands(_shell(one))]
    if not any("dubflow.platform.images.sbom" in words and SBOM in words for words in said):
        yield file.stages[-1].instructions[0].line, f"nothing writes {SBOM}"


def _runs(stages: list[Stage]) -> Iterator[Instruction]:
    return (one for stage in stages for one in stage.of("RUN"))


def _shell(one: Instruction) -> str:
    if one.listed is not None:
        return " ".join(one.listed)
    return f"{one.text}\n{one.body}" if one.body else one.text


def _commands(file: Dockerfile) -> Iterator[tuple[Instruction, list[str]]]:
    return ((one, words) for one in _runs(list(file.stages)) for words in commands(_shell(one)))


def _argument_names(one: Instruction) -> list[str]:
    return [word.partition("=")[0] for word in one.words] if one.word == "ARG" else list(one.pairs)


def _is_apt_install(words: list[str]) -> bool:
    return words[0] == "apt-get" and "install" in words


def _apt_packages(one: Instruction) -> list[str]:
    found = [words for words in commands(_shell(one)) if _is_apt_install(words)]
    return [word for words in found for word in words[words.index("install") + 1 :] if not word.startswith("-")]


def _installs(words: list[str]) -> bool:
    program = words[0].rpartition("/")[2]
    by_module = program.startswith("python") and words[1:3] == ["-m", "pip"]
    return (program in ("pip", "pip3", "uv") or by_module) and bool({"install", "sync"} & set(words[1:6]))
