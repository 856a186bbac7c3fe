"""``dubflow metrics``, as typed."""

from __future__ import annotations

from pathlib import Path

from dubflow.platform.telemetry import TABLE
from dubflow.tracking import FolderLog
from verbs import Answer


def test_a_workspace_is_printed_written_and_refused(tmp_path: Path, answer: Answer) -> None:
    FolderLog(tmp_path / "work" / "dubber" / "logs").metrics({"train/loss": 9.0}, 100)
    out = tmp_path / "dubflow.prom"
    document = answer("metrics", tmp_path / "work", "--out", out)
    names = {one["name"] for one in document["samples"]}
    assert "dubflow_training_step" in names
    assert names <= {one.name for one in TABLE}
    assert 'dubflow_training_step{run="dubber"} 100.0' in out.read_text()
    assert answer("metrics", tmp_path / "none", exit_code=2)["error"]["code"] == "cli.wrong_use"
