"""Run the steps of the project's Dockerfiles for real, in a root folder of Debian, without a container engine.

``python tools/image_install.py --base FOLDER [IMAGE …]`` (as root) takes a folder as ``debootstrap --variant=minbase``
makes it for the base image, reads each Dockerfile, and does what it says: RUN in a chroot, COPY from this checkout as
far as .dockerignore lets it, ENV, ARG, WORKDIR, USER. The result is then used as a cluster would use it: as the image's
user, its root read-only, without a network, /tmp, /state and /workspace empty.
What is run there: infra/images/smoke.yaml. Prints a table; ``--out`` keeps it as JSON, and every image's list of parts.
"""

from __future__ import annotations

import argparse
import fcntl
import json
import os
import socket
import struct
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from typing import IO, Any

import yaml
from chroot_builder import CHROOT, ROOT, Builder, Built, Lent, mounted, say

from dubflow.platform.images.dockerfile import read_dockerfile

IMAGES = ROOT / "infra" / "images"
SBOM = Path("opt/dubflow/share/sbom.cdx.json")
MOUNTS = ("/tmp", "/state", "/workspace", "/dev/shm")  # noqa: S108 - of the chroot
UNKNOWN = "sha256:" + "0" * 64
_PATIENCE_S = 300.0


class Used:
    """An image as a cluster runs it; a context manager."""

    def __init__(self, built: Built) -> None:
        self._built, self._stack = built, ExitStack()
        self._network: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Used:
        root = self._built.root
        subprocess.run(["mount", "--bind", root, root], check=True)
        self._stack.callback(subprocess.run, ["umount", "-l", root], check=True)
        self._stack.enter_context(mounted(root, "proc", "/proc"))
        for folder in MOUNTS:
            self._stack.enter_context(mounted(root, "tmpfs", folder, "-o", "mode=1777"))
        subprocess.run(["mount", "-o", "remount,bind,ro", root], check=True)
        self._stack.callback(subprocess.run, ["mount", "-o", "remount,bind,rw", root], check=True)
        # One process holds the network that every step enters: none but loopback.
        hold = [sys.executable, str(Path(__file__).resolve()), "--loopback", "sleep", "infinity"]
        self._network = subprocess.Popen(["unshare", "--net", "--", *hold], stdout=subprocess.PIPE)
        self._stack.callback(ended, self._network)
        assert self._network.stdout is not None
        self._network.stdout.readline()  # it is up
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def start(self, words: list[str], out: int | IO[bytes]) -> subprocess.Popen[bytes]:
        """A command of the image, as its user, which has no capabilities."""
        assert self._network is not None
        uid, _, gid = self._built.user.partition(":")
        command = ["nsenter", f"--net=/proc/{self._network.pid}/ns/net", "--", CHROOT, f"--userspec={uid}:{gid or uid}"]
        command += [str(self._built.root), "/usr/bin/env", "-C", self._built.workdir, *words]
        environment = self._built.environment | {"OMP_NUM_THREADS": "1"}
        return subprocess.Popen(command, env=environment, stdout=out, stderr=subprocess.STDOUT)

    def run(self, words: list[str]) -> tuple[int, str]:
        """One command to its end: its exit code and what it said."""
        process = self.start(words, subprocess.PIPE)
        try:
            out, _ = process.communicate(timeout=_PATIENCE_S)
        except subprocess.TimeoutExpired:
            process.kill()
            out = process.communicate()[0] + b"\ntook too long"
        return process.returncode, out.decode("utf-8", "replace")

    def beside(self, words: list[str]) -> IO[bytes]:
        """Begin what later commands ask; where its words go."""
        said = self._stack.enter_context(tempfile.TemporaryFile())  # noqa: SIM115 - that is what closes it
        self._stack.callback(ended, self.start(words, said))
        return said


def ended(process: subprocess.Popen[bytes]) -> None:
    """End a process of ours, if need be by force."""
    process.terminate()
    try:
        process.wait(30)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def smoke(built: Built, steps: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Run the steps of ``smoke.yaml``; ``$ENTRYPOINT``, ``$HEALTHCHECK`` and ``$CMD`` are the image's own."""
    own = {"$ENTRYPOINT": built.entrypoint, "$HEALTHCHECK": built.healthcheck, "$CMD": built.command}
    told, beside = [], []
    with Used(built) as image:
        for step in steps:
            if "component" in step:
                shown, words = [str(step["component"])], component_words(step)
            else:
                shown, words = step["run"], [part for word in step["run"] for part in own.get(word, [word])]
            started = time.monotonic()
            if step.get("beside"):
                beside.append(image.beside(words))
                continue
            code, said = image.run(words)
            while code and time.monotonic() - started < step.get("within_s", 0):
                time.sleep(1)
                code, said = image.run(words)
            wrong = code != step.get("code", 0) or step.get("says", "") not in said
            told.append({"run": shown, "seconds": round(time.monotonic() - started, 1), "fine": not wrong})
            say(f"  {'FAILED' if wrong else 'fine'} ({time.monotonic() - started:.0f} s): {' '.join(shown)[:100]}")
            if wrong:
                for other in beside:
                    other.seek(0)
                    said += "\n-- beside it:\n" + other.read().decode("utf-8", "replace")[-3000:]
                say(said[-6000:])
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


def main() -> int:
    if sys.argv[1:2] == ["--loopback"]:
        loopback()
        say("up")
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
            f"{one['python_packages']} | {one['debian_packages']} | {one['seconds']} s | "
            f"{fine} of {len(one['smoke'])} |"
        )
    return "\n".join(lines)


if __name__ == "__main__":
    raise SystemExit(main())
