"""Nothing that we import reports home, or leaves what it would report."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path


def test_training_libraries_leave_no_reports(tmp_path: Path) -> None:
    environment = {name: value for name, value in os.environ.items() if name != "ORT_DISABLE_TELEMETRY"}
    words = "import dubflow, onnxruntime, os; assert os.environ['ORT_DISABLE_TELEMETRY'] == '1'"
    subprocess.run([sys.executable, "-c", words], check=True, env=environment | {"HOME": str(tmp_path)})
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []
