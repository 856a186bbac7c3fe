"""promtool, where this machine has it."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def promtool() -> Path:
    """The program; Debian's package `prometheus` brings it."""
    found = os.environ.get("DUBFLOW_PROMTOOL") or shutil.which("promtool")
    if found is None:
        pytest.skip("promtool is neither on PATH nor named by DUBFLOW_PROMTOOL")
    return Path(found)
