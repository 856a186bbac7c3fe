"""Which libraries the processes of the server's models start with: each takes seconds of every load and reload."""

from __future__ import annotations

import subprocess
import sys

_PROGRAM = """
import sys, types
utils = types.ModuleType("triton_python_backend_utils")  # Triton's own, which stands only in its processes
utils.TRITONSERVER_RESPONSE_COMPLETE_FINAL = 1
sys.modules[utils.__name__] = utils
from dubflow.serving.models import diflow_codec, diflow_frontend, front
print(*sorted({"torch", "mediapipe", "transformers", "lightning", "mlflow", "matplotlib"} & sys.modules.keys()))
"""


def test_only_the_denoiser_waits_for_torch() -> None:
    found = subprocess.run([sys.executable, "-c", _PROGRAM], capture_output=True, text=True, check=True, timeout=120)
    assert found.stdout.split() == []
