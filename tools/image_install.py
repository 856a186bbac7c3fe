"""Run the steps of the project's Dockerfiles for real, in a root folder of Debian, without a container engine.

``python tools/image_install.py --base FOLDER [IMAGE …]`` (as root) takes a folder as ``debootstrap --variant=minbase``
makes it for the base image, reads each Dockerfile, and does what it says: RUN in a chroot, COPY from this checkout as
far as .dockerignore lets it, ENV, ARG, WORKDIR, USER. The result is then used as a cluster would use it: as the image's
user, with the root file system read-only, without a network, /tmp, /state and /workspace empty. What is run there stands
in infra/images/smoke.yaml. Prints a table; ``--out`` keeps it as JSON beside every image's list of parts.
"""

from __future__ import annotations

import argparse
import fcntl
import fnmatch
import json
import os
import shutil
import socket
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from dubflow.platform.images.dockerfile import Dockerfile, Instruction, Stage, expanded, read_dockerfile

ROOT = Path(__file__).resolve().parents[1]
IMAGES = ROOT / "infra" / "images"
SBOM = Path("opt/dubflow/share/sbom.cdx.json")
MOUNTS = ("/tmp", "/state", "/workspace", "/dev/shm")  # noqa: S108 - of the chroot
UNKNOWN = "sha256:" + "0" * 64
_PATIENCE_S = 300.0
_CHROOT = shutil.which("chroot") or "/usr/sbin/chroot"  # the image's PATH, which is searched later, has no /usr/sbin


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
        built = Built(root, dict(before.environment) if before else {}, before.workdir if before else "/")
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
        built.workdir = os.path.join(built.workdir, one.text)
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
            where = inside(built.root, os.path.join(built.workdir, target))
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
            command = [_CHROOT, str(built.root), "/usr/bin/env", "-C", built.workdir, *words]
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


class Used:
    """An image as a cluster runs it; a context manager."""

    def __init__(self, built: Built) -> None:
        self._built, self._stack, self._running = built, ExitStack(), list[subprocess.Popen[bytes]]()

    def __enter__(self) -> Used:
        root = self._built.root
        self._stack.callback(self._end)
        subprocess.run(["mount", "--bind", root, root], check=True)
        self._stack.callback(subprocess.run, ["umount", "-l", root], check=True)
        self._stack.enter_context(mounted(root, "proc", "/proc"))
        for folder in MOUNTS:
            self._stack.enter_context(mounted(root, "tmpfs", folder, "-o", "mode=1777"))
        subprocess.run(["mount", "-o", "remount,bind,ro", root], check=True)
        self._stack.callback(subprocess.run, ["mount", "-o", "remount,bind,rw", root], check=True)
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def start(self, words: list[str]) -> subprocess.Popen[bytes]:
        """A command of the image, as its user, without capabilities and without a network but loopback."""
        uid, _, gid = self._built.user.partition(":")
        command = ["unshare", "--net", "--", sys.executable, str(Path(__file__).resolve()), "--loopback"]
        command += [_CHROOT, f"--userspec={uid}:{gid or uid}", str(self._built.root)]
        command += ["/usr/bin/env", "-C", self._built.workdir, *words]
        if self._running:  # the later ones meet the first in its network
            command[:3] = ["nsenter", f"--net=/proc/{self._running[0].pid}/ns/net", "--"]
        environment = self._built.environment | {"OMP_NUM_THREADS": "1"}
        return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)

    def run(self, words: list[str]) -> tuple[int, str]:
        """One command to its end: its exit code and what it said."""
        process = self.start(words)
        try:
            out, _ = process.communicate(timeout=_PATIENCE_S)
        except subprocess.TimeoutExpired:
            process.kill()
            out = process.communicate()[0] + b"\ntook too long"
        return process.returncode, out.decode("utf-8", "replace")

    def beside(self, words: list[str]) -> None:
        """Begin what later commands ask."""
        self._running.append(self.start(words))

    def _end(self) -> None:
        for one in reversed(self._running):
            one.terminate()
            try:
                one.wait(30)
            except subprocess.TimeoutExpired:
                one.kill()
                one.wait()


def smoke(built: Built, steps: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Run the steps of ``smoke.yaml``; ``$ENTRYPOINT``, ``$HEALTHCHECK`` and ``$CMD`` are the image's own."""
    own = {"$ENTRYPOINT": built.entrypoint, "$HEALTHCHECK": built.healthcheck, "$CMD": built.command}
    told = []
    with Used(built) as image:
        for step in steps:
            if "component" in step:
                shown, words = [str(step["component"])], component_words(step)
            else:
                shown, words = step["run"], [part for word in step["run"] for part in own.get(word, [word])]
            started = time.monotonic()
            if step.get("beside"):
                image.beside(words)
                continue
            code, said = image.run(words)
            while code and time.monotonic() - started < step.get("within_s", 0):
                time.sleep(1)
                code, said = image.run(words)
            wrong = code != step.get("code", 0) or step.get("says", "") not in said
            told.append({"run": shown, "seconds": round(time.monotonic() - started, 1), "fine": not wrong})
            say(f"  {'FAILED' if wrong else 'fine'} ({time.monotonic() - started:.0f} s): {' '.join(shown)[:100]}")
            if wrong:
                print(said[-4000:], flush=True)
    return told


def component_words(step: dict[str, Any]) -> list[str]:
    """The command that KFP gives a pod for a step of a compiled pipeline, with values in the place of its inputs."""
    asked = step["component"]
    ir = ROOT / "pipelines" / "ir" / f"{asked['pipeline']}.yaml"
    found = next(iter(yaml.safe_load_all(ir.read_text("utf-8"))))
    container = found["deploymentSpec"]["executors"][asked["executor"]]["container"]
    artifact = {
        "name": asked["output"],
        "uri": f"/workspace/out/{asked['output']}",
        "type": {"schemaTitle": "system.Dataset", "schemaVersion": "0.0.1"},
        "metadata": {},
    }
    given = {
        "inputs": {"parameterValues": step["input"]},
        "outputs": {
            "artifacts": {asked["output"]: {"artifacts": [artifact]}},
            "outputFile": "/workspace/out/said.json",
        },
    }
    return [*container["command"], *[json.dumps(given) if one == "{{$}}" else one for one in container["args"]]]


def loopback() -> None:
    """Bring up ``lo`` of a fresh network namespace."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as door:
        fcntl.ioctl(door, 0x8914, struct.pack("16sH14x", b"lo", 0x1 | 0x40))  # SIOCSIFFLAGS: up, running


def size(root: Path) -> int:
    """Bytes of the files below a folder."""
    said = subprocess.run(["du", "-s", "-B1", "-x", root], check=True, capture_output=True, text=True).stdout
    return int(said.split()[0])


def say(text: str) -> None:
    print(text, flush=True)


def main() -> int:
    if sys.argv[1:2] == ["--loopback"]:
        loopback()
        os.execvp(sys.argv[2], sys.argv[2:])
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("images", nargs="*", metavar="IMAGE", help="data, train, serve, gateway; all without")
    parser.add_argument("--base", type=Path, required=True, help="root folder of the base image")
    parser.add_argument("--out", type=Path, required=True, help="folder for results.json and the lists of parts")
    parser.add_argument("--scratch", type=Path, help="folder to build in (some GB); a temporary one without")
    parser.add_argument(
        "--lend", action="append", default=[], metavar="HERE:THERE", help="seen by RUN steps, read-only"
    )
    parser.add_argument("--env", action="append", default=[], metavar="NAME=VALUE", help="set for RUN steps alone")
    parser.add_argument("--secret", action="append", default=[], metavar="ID=FILE", help="as of docker build")
    given = parser.parse_args()
    if os.geteuid():
        raise SystemExit("chroot and mount want root")
    if os.environ.get("DUBFLOW_OWN_MOUNTS") != "yes":  # whatever ends this process, its mounts go with it
        os.environ["DUBFLOW_OWN_MOUNTS"] = "yes"
        os.execvp("unshare", ["unshare", "--mount", "--propagation", "private", sys.executable, *sys.argv])
    lent = Lent(
        {"/etc/resolv.conf": "/etc/resolv.conf"} | dict(one.rsplit(":", 1) for one in given.lend),
        dict(one.split("=", 1) for one in given.secret),
        dict(one.split("=", 1) for one in given.env),
    )
    chosen = given.images or sorted(path.parent.name for path in IMAGES.glob("*/Dockerfile"))
    steps = yaml.safe_load((IMAGES / "smoke.yaml").read_text("utf-8"))
    given.out.mkdir(parents=True, exist_ok=True)
    results = {}
    for name in chosen:
        say(f"image {name}")
        started = time.monotonic()
        with tempfile.TemporaryDirectory(prefix=f"dubflow-{name}-", dir=given.scratch) as folder:
            file = read_dockerfile(IMAGES / name / "Dockerfile")
            builder = Builder(file, given.base, Path(folder), lent, {"BASE": f"debian@{UNKNOWN}", "REVISION": "here"})
            built = builder.build(file.stages[-1])
            took = time.monotonic() - started
            document = json.loads((built.root / SBOM).read_text("utf-8"))
            (given.out / f"{name}.cdx.json").write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
            kinds = [one["purl"].split(":")[1].split("/")[0] for one in document["components"]]
            results[name] = {
                "seconds": round(took),
                "image_bytes": size(built.root),
                "environment_bytes": size(built.root / "opt/dubflow"),
                "python_packages": kinds.count("pypi"),
                "debian_packages": kinds.count("deb"),
                "smoke": smoke(built, steps[name]),
            }
        (given.out / "results.json").write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    say(table(results))
    return int(not all(one["fine"] for result in results.values() for one in result["smoke"]))


def table(results: dict[str, dict[str, Any]]) -> str:
    """As docs/images.md shows it."""
    lines = [
        "| image | root folder | of it /opt/dubflow | Python packages | Debian packages | built in | smoke |",
        "|---|---|---|---|---|---|---|",
    ]
    for name, one in results.items():
        fine = sum(step["fine"] for step in one["smoke"])
        lines.append(
            f"| {name} | {one['image_bytes'] / 1e6:.0f} MB | {one['environment_bytes'] / 1e6:.0f} MB | "
            f"{one['python_packages']} | {one['debian_packages']} | {one['seconds']} s | {fine} of {len(one['smoke'])} |"
        )
    return "\n".join(lines)


if __name__ == "__main__":
    raise SystemExit(main())
