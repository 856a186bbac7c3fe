"""Resolve the dependencies again. Versions in the present locks are kept wherever they still fit."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
UV = Path(sys.executable).parent / "uv"
COMMON = ["--universal", "--python-version", "3.11", "--generate-hashes", "--no-header", "--no-annotate", "-q"]
LOCKS = (
    [
        "pyproject.toml",
        "--all-extras",
        "--no-emit-package",
        "torch",
        "--no-emit-package",
        "dubflow",
        "-o",
        "requirements.lock",
    ],
    # mediapipe is the last version that bundles its face models; its own pins (protobuf < 5) are out of date.
    ["requirements-nodeps.in", "--no-deps", "-o", "requirements-nodeps.lock"],
    ["requirements-tools.in", "--no-deps", "-o", "requirements-tools.lock"],
)

for words in LOCKS:
    print(f"resolving {words[-1]}", flush=True)
    subprocess.run([str(UV), "pip", "compile", *words, *COMMON], cwd=ROOT, check=True)
