"""Triton's pod, run by the words of its manifest on a root file system that nobody can write to."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from dubflow.platform.preflight.rendering import render_overlay
from dubflow.serving.environment import why_not
from dubflow.serving.launcher import free_ports

SCRIPT = Path(__file__).parent / "read_only_pod.sh"
READY = """
for _ in $(seq 240); do
  if {ready} 2>/tmp/why; then echo READY; break; fi
  sleep 0.5
done
cat /tmp/why
{alive} && echo ALIVE
if touch /written 2>/dev/null; then echo WRITABLE; fi
"""


def namespaces() -> bool:
    """Whether this machine lets us make a root of our own."""
    if os.geteuid() != 0 or not all(map(shutil.which, ("unshare", "setpriv", "chroot"))):
        return False
    words = ["unshare", "--mount", "--propagation", "private", "mount", "-t", "tmpfs", "none", "/mnt"]
    return subprocess.run(words, capture_output=True).returncode == 0


pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(bool(why_not()), reason=f"Triton cannot run here: {why_not()}"),
    pytest.mark.skipif(not namespaces(), reason="a read-only root wants root's rights and namespaces of mounts"),
]


def exported(container: dict[str, Any], **own: str) -> str:
    """The container's environment as lines of a shell."""
    found = {one["name"]: one["value"] for one in container["env"] if "value" in one} | own
    return "\n".join(f"export {name}={shlex.quote(value)}" for name, value in found.items())


def test_the_starter_is_fetched_served_and_ready_by_the_manifests_own_words(repository: Path, tmp_path: Path) -> None:
    manifests = render_overlay(repository / "infra" / "kubernetes", "prod", "built-in").manifests
    runtime = manifests.find("ServingRuntime", "dubflow-triton", "dubflow")
    service = manifests.find("InferenceService", "dubber", "dubflow")
    config = manifests.find("ConfigMap", "dubflow-triton", "dubflow")
    assert runtime is not None
    assert service is not None
    assert config is not None
    (triton,) = runtime.spec["containers"]
    (fetch,) = service.spec["predictor"]["initContainers"]
    grpc, metrics = free_ports(2)
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    ours = {"PATH": path, "PYTHONDONTWRITEBYTECODE": "1", "DUBFLOW_TRITON_KEY": "k" * 24}
    ports = {"DUBFLOW_TRITON_GRPC_PORT": str(grpc), "DUBFLOW_TRITON_METRICS_PORT": str(metrics)}
    probes = {name: shlex.join(triton[f"{name}Probe"]["exec"]["command"]) for name in ("readiness", "liveness")}
    script = tmp_path / "pod.sh"
    script.write_text(
        "\n".join(
            [
                "set -u",
                exported(triton, **ours, **ports, DUBFLOW_TRITON_HOST="127.0.0.1"),
                "cd /state",
                "mkdir -p /etc/dubflow/preset /etc/dubflow/trusted",
                f"cat > /etc/dubflow/preset/serving.yaml <<'END'\n{config.body['data']['serving.yaml']}\nEND",
                "touch /etc/dubflow/trusted/package.pem.pub",
                shlex.join([*fetch["command"], *fetch["args"]]) + " || exit 9",
                shlex.join([*triton["command"], *triton["args"]]) + " > /tmp/up.log 2>&1 &",
                "pod=$!",
                READY.format(ready=probes["readiness"], alive=probes["liveness"]),
                "kill $pod; wait $pod; echo ENDED $?; cat /tmp/up.log",
            ]
        )
    )
    room = tmp_path / "room"
    room.mkdir()
    folders = [one["mountPath"] for one in triton["volumeMounts"] if one["mountPath"] != "/dev/shm"]
    roots = sorted({"/etc/dubflow" if one.startswith("/etc/dubflow") else one for one in folders})
    hidden = [one for one in roots if any(Path(our).is_relative_to(one) for our in (sys.prefix, repository))]
    if hidden:
        pytest.skip(f"this environment lies in {hidden[0]}, which the pod has for itself")
    words = ["unshare", "--mount", "--propagation", "private", "bash", str(SCRIPT), str(room), str(script), *roots]
    told = subprocess.run(words, capture_output=True, text=True, timeout=300, check=False)
    said = told.stdout + told.stderr
    assert [line for line in told.stdout.splitlines() if line.isupper() or line.startswith("ENDED")] == [
        "READY", "ALIVE", "ENDED 0",
    ], said  # fmt: skip
