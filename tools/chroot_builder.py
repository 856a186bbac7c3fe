"""A Dockerfile's steps, done in folders: RUN in a chroot, COPY from the checkout, the rest kept as settings.

Wants root, a mount namespace of its own (tools/image_install.py makes one), and a root folder for the base image.
"""

from __future__ import annotations

import fnmatch
import json
import shutil
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

from dubflow.platform.images.dockerfile import Dockerfile, Instruction, Stage, expanded

ROOT = Path(__file__).resolve().parents[1]
CHROOT = shutil.which("chroot") or "/usr/sbin/chroot"  # the PATH of an image, which is searched later, has no /usr/sbin


@dataclass
class Lent:
    """What a build is given from outside and what no image keeps: files, secrets, variables."""

    paths: dict[str, str] = field(default_factory=dict)
    secrets: dict[str, str] = field(default_factory=dict)
    environment: dict[str, str] = field(default_factory=dict)


@dataclass
class Built:
    """A stage that was built: its root folder and what the image's settings are."""

    root: Path
    environment: dict[str, str]
    workdir: str = "/"
    user: str = "0:0"
    entrypoint: list[str] = field(default_factory=list)
    command: list[str] = field(default_factory=list)
    healthcheck: list[str] = field(default_factory=list)


class Builder:
    """Builds the stages of one Dockerfile below a folder."""

    def __init__(self, file: Dockerfile, base: Path, folder: Path, lent: Lent, arguments: Mapping[str, str]) -> None:
        self._file, self._base, self._folder, self._lent = file, base, folder, lent
        self._arguments, self._done = dict(arguments), dict[str, Built]()
        self._ignored = [
            line for line in (ROOT / ".dockerignore").read_text("utf-8").splitlines() if line[:1] not in "#"
        ]

    def build(self, stage: Stage) -> Built:
        """A stage, and first those that it needs."""
        if stage.name in self._done:
            return self._done[stage.name]
        below = self._file.stage(stage.base)
        before = self.build(below) if below else None
        root = self._folder / (stage.name or "image")
        say(f"stage {stage.name}: from {'a copy of ' + below.name if below else 'the base folder'}")
        subprocess.run(["cp", "-a", "--reflink=auto", before.root if before else self._base, root], check=True)
        built = replace(before, root=root, environment=dict(before.environment)) if before else Built(root, {})
        self._done[stage.name] = built
        known: dict[str, str] = {}
        for one in stage.instructions[1:]:
            getattr(self, f"_{one.word.lower()}", self._passed)(one, built, known)
        return built

    def _passed(self, one: Instruction, built: Built, known: dict[str, str]) -> None:
        """LABEL, EXPOSE: nothing to be done here."""

    def _arg(self, one: Instruction, built: Built, known: dict[str, str]) -> None:
        for word in one.words:
            name, sign, default = word.partition("=")
            known[name] = self._arguments.get(name, expanded(default, known | built.environment) if sign else "")

    def _env(self, one: Instruction, built: Built, known: dict[str, str]) -> None:
        values = known | built.environment
        built.environment.update({name: expanded(value, values) for name, value in one.pairs.items()})

    def _workdir(self, one: Instruction, built: Built, known: dict[str, str]) -> None:
        built.workdir = str(Path(built.workdir) / one.text)
        inside(built.root, built.workdir).mkdir(parents=True, exist_ok=True)

    def _user(self, one: Instruction, built: Built, known: dict[str, str]) -> None:
        built.user = one.text

    def _entrypoint(self, one: Instruction, built: Built, known: dict[str, str]) -> None:
        built.entrypoint = one.words

    def _cmd(self, one: Instruction, built: Built, known: dict[str, str]) -> None:
        built.command = one.words

    def _healthcheck(self, one: Instruction, built: Built, known: dict[str, str]) -> None:
        built.healthcheck = json.loads(one.text.removeprefix("CMD")) if one.text != "NONE" else []

    def _copy(self, one: Instruction, built: Built, known: dict[str, str]) -> None:
        *sources, target = one.words
        stage = self._file.stage(one.flag("from") or "")
        root = self.build(stage).root if stage else ROOT
        for source in sources:
            path = root / source.lstrip("/")
            if stage is None and self._refused(source):
                raise SystemExit(f"line {one.line}: .dockerignore keeps {source} out of the build")
            where = inside(built.root, str(Path(built.workdir) / target))
            into = where / path.name if target.endswith("/") else where
            into.parent.mkdir(parents=True, exist_ok=True)
            ignore = shutil.ignore_patterns("__pycache__", "*.pyc") if stage is None else None
            if path.is_dir():
                shutil.copytree(path, into, symlinks=True, ignore=ignore, dirs_exist_ok=True)
            else:
                shutil.copy2(path, into)
        say(f"  COPY {one.text}")

    def _refused(self, source: str) -> bool:
        """Whether .dockerignore keeps a path out; the last line that speaks of it counts."""
        parts = Path(source).parts
        above = ["/".join(parts[: end + 1]) for end in range(len(parts))]
        out = False
        for line in self._ignored:
            pattern = line.lstrip("!").removeprefix("**/")
            if any(
                fnmatch.fnmatch(path, pattern) for path in (*above, parts[-1] if line.startswith("**/") else source)
            ):
                out = not line.startswith("!")
        return out

    def _run(self, one: Instruction, built: Built, known: dict[str, str]) -> None:
        started = time.monotonic()
        say(f"  RUN (line {one.line}) {one.text[:90]}{'…' if len(one.text) > 90 else ''}")
        with ExitStack() as stack:
            stack.enter_context(mounted(built.root, "proc", "/proc"))
            for source, target in self._lent.paths.items():
                stack.enter_context(bound(built.root, source, target))
            for flag, value in one.flags:
                mount = dict(each.partition("=")[::2] for each in value.split(","))
                if flag == "mount" and mount.get("type") == "secret" and mount["id"] in self._lent.secrets:
                    stack.enter_context(bound(built.root, self._lent.secrets[mount["id"]], mount["target"]))
            path = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/root"}
            environment = path | built.environment | known | self._lent.environment
            words = one.listed or ["/bin/sh", "-c", one.text]
            command = [CHROOT, str(built.root), "/usr/bin/env", "-C", built.workdir, *words]
            log = self._folder / "build.log"
            with log.open("ab") as out:
                done = subprocess.run(command, env=environment, stdout=out, stderr=subprocess.STDOUT, check=False)
        if done.returncode:
            tail = "\n".join(log.read_text("utf-8", "replace").splitlines()[-25:])
            raise SystemExit(f"line {one.line} ended with {done.returncode}:\n{tail}")
        say(f"    {time.monotonic() - started:.0f} s")


def inside(root: Path, path: str) -> Path:
    """A path of the chroot, seen from outside."""
    return root / path.lstrip("/")


@contextmanager
def mounted(root: Path, kind: str, target: str, *options: str) -> Iterator[None]:
    """A file system for the length of a ``with`` block; the mount namespace is ours alone."""
    where = inside(root, target)
    made = not where.exists()
    where.mkdir(parents=True, exist_ok=True)
    subprocess.run(["mount", "-t", kind, *options, kind, where], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", where], check=True)
        if made:
            where.rmdir()


@contextmanager
def bound(root: Path, source: str, target: str) -> Iterator[None]:
    """A file or folder of this machine, read-only; what had to be made for it goes again."""
    where = inside(root, target)
    made = [one for one in (where, *where.parents) if not one.exists()]
    where.parent.mkdir(parents=True, exist_ok=True)
    if Path(source).is_dir():
        where.mkdir(exist_ok=True)
    elif not where.exists():
        where.touch()
    subprocess.run(["mount", "--bind", "-o", "ro", source, where], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", where], check=True)
        for one in made:
            if one.is_dir():
                if not any(one.iterdir()):
                    one.rmdir()
            else:
                one.unlink()


def say(text: str) -> None:
    """A line, at once."""
    print(text, flush=True)
