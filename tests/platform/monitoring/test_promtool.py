"""Prometheus' own tool reads every rule and query, and finds every alert to do what it says."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
import yaml

from dubflow.platform.monitoring.boards import BOARDS
from dubflow.platform.monitoring.documents import RULES, TESTS


def asked(promtool: Path, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([promtool, *arguments], capture_output=True, text=True, check=False, timeout=300)


def test_rules_are_rules(promtool: Path, repository: Path) -> None:
    done = asked(promtool, "check", "rules", *sorted((repository / RULES).glob("*.yaml")))
    assert done.returncode == 0, done.stdout + done.stderr


def test_queries_of_panels_are_queries(promtool: Path, tmp_path: Path) -> None:
    queries = [one.expr for board in BOARDS.values() for panel in board.panels for one in panel.queries]
    # A rule that records a query is read as the query would be.
    rules = [
        {"record": f"panel:{number}", "expr": expr.replace("$__rate_interval", "1m")}
        for number, expr in enumerate(queries)
    ]
    path = tmp_path / "panels.yaml"
    path.write_text(yaml.safe_dump({"groups": [{"name": "panels", "rules": rules}]}), "utf-8")
    done = asked(promtool, "check", "rules", path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"{len(queries)} rules found" in done.stdout


@pytest.mark.slow
@pytest.mark.parametrize(
    "name", sorted(path.stem for path in (Path(__file__).parents[3] / TESTS).glob("*.yaml")), ids=str
)
def test_alerts_fire_are_quiet_and_know_missing_data(promtool: Path, repository: Path, name: str) -> None:
    done = asked(promtool, "test", "rules", repository / TESTS / f"{name}.yaml")
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("sooner", "later", "told"),
    [
        ("> 0.97", "> 0.999", "DubflowGpuMemoryFull: fires"),
        ("> 0.97", "> 0.5", "DubflowGpuMemoryFull: all is well"),
        ("absent(DCGM_FI_DEV_GPU_UTIL)", "absent(up)", "DubflowGpuUnknown: cards are measured"),
        ("for: 1m", "for: 90m", "DubflowGpuError: fires"),
    ],
)
def test_a_rule_that_is_wrong_is_found_out(
    promtool: Path, repository: Path, tmp_path: Path, sooner: str, later: str, told: str
) -> None:
    for folder, name in ((RULES, "gpu"), (RULES, "cluster"), (TESTS, "gpu")):
        text = (repository / folder / f"{name}.yaml").read_text("utf-8")
        if folder == RULES and name == "gpu":
            assert sooner in text
            text = text.replace(sooner, later)
        place = tmp_path / Path(folder).name / f"{name}.yaml"
        place.parent.mkdir(exist_ok=True)
        place.write_text(text, "utf-8")
    done = asked(promtool, "test", "rules", tmp_path / "tests" / "gpu.yaml")
    assert done.returncode != 0
    assert told in done.stdout + done.stderr
