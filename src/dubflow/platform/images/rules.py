"""What is asked of every Dockerfile of the project, a function a rule.

A function yields the line and what is wrong there. ``tests/infra/images/broken`` has a Dockerfile for each rule.
"""

from __future__ import annotations

import re

from dubflow.platform.images.checks import Check, Found, apt_packages, argument_names, rule, runs, shell
from dubflow.platform.images.dockerfile import Dockerfile
from dubflow.platform.images.install_rules import INSTALL_CHECKS
from dubflow.platform.images.shell import commands

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


@rule(
    "base_by_digest",
    "The base comes as a build argument, and a build whose argument has no digest fails.",
    "A tag means something else tomorrow, and two builds of one commit would differ.",
    "Write ARG BASE without a value, FROM ${BASE}, and a first RUN that refuses a BASE without @sha256:.",
)
def _base(file: Dockerfile) -> Found:
    given = {name: one for one in file.arguments for name in argument_names(one)}
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


@rule(
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


@rule(
    "multi_stage",
    "What builds is in a stage of its own; the image has no compiler.",
    "A compiler in a running image helps whoever breaks in, and weighs.",
    "Install compilers and headers in the stage `build` and copy the environment from it.",
)
def _stages(file: Dockerfile) -> Found:
    if len(file.stages) < 2:
        yield file.stages[0].instructions[0].line, "there is one stage"
    for one in runs(file.lineage(file.stages[-1])):
        for package in apt_packages(one):
            if _COMPILERS.search(package.partition("=")[0]):
                yield one.line, f"{package} is in the image"


@rule(
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


@rule(
    "no_add",
    "Files come by COPY.",
    "ADD fetches addresses without a digest and unpacks archives unasked.",
    "Use COPY; what comes from elsewhere comes through a lock with hashes.",
)
def _add(file: Dockerfile) -> Found:
    for one in file.instructions:
        if one.word == "ADD":
            yield one.line, f"ADD {one.text}"


@rule(
    "no_secrets",
    "ENV, ARG and LABEL hold no secret.",
    "They stay in the image's history, readable by whoever pulls it.",
    "Give it to the step that needs it: RUN --mount=type=secret,id=…",
)
def _secrets(file: Dockerfile) -> Found:
    for one in file.instructions:
        if one.word in ("ENV", "ARG", "LABEL"):
            for name in argument_names(one):
                if _SECRET.search(name):
                    yield one.line, f"{one.word} {name} has a secret's name"
        if one.word != "COPY" and _SECRET_VALUE.search(f"{one.text}\n{one.body}"):
            yield one.line, "a value looks like a secret"


@rule(
    "no_hosts",
    "No registry's or index's host is named.",
    "Who builds elsewhere builds from a mirror of theirs.",
    "Give the host as a build argument, or in the secret that configures pip and uv.",
)
def _hosts(file: Dockerfile) -> Found:
    for one in file.instructions:
        texts = [one.text, one.body, one.flag("from") or ""] if one.word != "LABEL" else []
        found = next((match for text in texts if (match := _HOST.search(text))), None)
        if found is not None and found[1] != "localhost":
            yield one.line, f"{found[1]} is named"


@rule(
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


@rule(
    "labels",
    "The image says what it is, in OCI's labels.",
    "Who finds it running has to know which commit and which base it is from.",
    f"LABEL org.opencontainers.image.… for {', '.join(LABELS)}.",
)
def _labels(file: Dockerfile) -> Found:
    have = {name for stage in file.lineage(file.stages[-1]) for one in stage.of("LABEL") for name in one.pairs}
    if missing := [name for name in LABELS if f"org.opencontainers.image.{name}" not in have]:
        yield file.stages[-1].instructions[0].line, f"labels are missing: {', '.join(missing)}"


@rule(
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


@rule(
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


@rule(
    "sbom",
    "The image carries the list of its parts.",
    "When a library is found to be broken, one has to know where it runs.",
    f"RUN python -m dubflow.platform.images.sbom --out {SBOM}, in the last stage.",
)
def _sbom(file: Dockerfile) -> Found:
    said = [words for one in file.stages[-1].of("RUN") for words in commands(shell(one))]
    if not any("dubflow.platform.images.sbom" in words and SBOM in words for words in said):
        yield file.stages[-1].instructions[0].line, f"nothing writes {SBOM}"


CHECKS: tuple[Check, ...] = (
    _base,
    _latest,
    _stages,
    _user,
    _add,
    _secrets,
    _hosts,
    _copy,
    _labels,
    _read_only,
    _exec,
    _sbom,
    *INSTALL_CHECKS,
)
"""All of them."""
