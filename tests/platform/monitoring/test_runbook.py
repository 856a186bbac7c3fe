"""Who is woken finds an entry, and what it says to do can be done."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml
from typer.main import get_command

from dubflow.gateway.settings import GatewaySettings
from dubflow.platform.monitoring.boards import BOARDS
from dubflow.platform.monitoring.rules import RUNBOOK, UNKNOWN, alerts
from dubflow.platform.monitoring.slos import OLD_S, SLOS, SLOW, STALE_S

PARTS = ("**Means.**", "**Look.**", "**Do.**", "**Over when**")


@pytest.fixture(scope="module")
def page(repository: Path) -> str:
    return (repository / RUNBOOK).read_text("utf-8")


def entries(page: str) -> dict[str, str]:
    """Texts by alert."""
    parts = re.split(r"^### (\w+)\n", page, flags=re.MULTILINE)[1:]
    return {name: text.partition("\n## ")[0] for name, text in zip(parts[::2], parts[1::2], strict=True)}


def test_every_alert_has_an_entry_and_every_entry_an_alert(page: str) -> None:
    assert set(entries(page)) == {one.name for one in alerts()}
    headings = re.findall(r"^### (\w+)$", page, re.MULTILINE)
    assert len(headings) == len(set(headings))


def test_every_entry_says_what_it_means_where_to_look_what_to_do_and_when_it_is_over(page: str) -> None:
    for name, text in entries(page).items():
        assert [text.find(part) for part in PARTS] == sorted(text.find(part) for part in PARTS), name
        for part, following in zip(PARTS, (*PARTS[1:], None), strict=True):
            said = text.partition(part)[2]
            assert len(said.partition(following)[0] if following else said.partition("\n## ")[0]) > 12, (
                f"{name}: {part}"
            )
            assert text.count(part) == 1, f"{name}: {part}"


def test_alerts_that_it_points_to_exist(page: str) -> None:
    assert set(re.findall(r"\bDubflow[A-Z]\w+", page)) <= {one.name for one in alerts()}


def test_promises_are_told_as_they_are(page: str) -> None:
    for slo in SLOS:
        row = next(line for line in page.splitlines() if line.startswith(f"| `{slo.name}` |"))
        assert f"| {100 * slo.objective:g} % | `{UNKNOWN[slo.name]}` |" in row
    assert f"at most {float(SLOW):g} s of work" in page
    assert f"at most {OLD_S} s old" in page
    assert f"at most {STALE_S // 3600} hours old" in page


def test_verbs_settings_panels_and_codes_in_it_exist(page: str, repository: Path) -> None:
    from dubflow.cli.main import app

    root = get_command(app)
    for words in re.findall(r"`dubflow ([a-z ]+)", page):
        command = root
        for word in words.split():
            inner = getattr(command, "commands", None)
            if inner is None:
                break
            assert word in inner, f"dubflow {words}"
            command = inner[word]
    fields = {f"DUBFLOW_GATEWAY_{name.upper()}" for name in GatewaySettings.model_fields}
    assert set(re.findall(r"DUBFLOW_\w+", page)) <= fields
    titles = {panel.title for board in BOARDS.values() for panel in board.panels}
    quoted = set(re.findall(r'"([A-Z][^"]+)"', page))
    assert quoted - {"Targets"} <= titles
    codes = set(re.findall(r"`((?:gateway|serving)\.[a-z_]+)`", page))
    assert codes
    told = (repository / "docs" / "errors.md").read_text("utf-8")
    assert {code for code in codes if f"`{code}`" not in told} == set()


def test_objects_of_the_cluster_in_it_exist(page: str, repository: Path) -> None:
    paths = sorted((repository / "infra" / "kubernetes" / "base").rglob("*.yaml"))
    objects = [
        one
        for path in paths
        if path.name != "kustomization.yaml"
        for one in yaml.safe_load_all(path.read_text("utf-8"))
        if isinstance(one, dict)
    ]
    there = {(str(one.get("kind", "")).lower(), one["metadata"]["name"]) for one in objects if "metadata" in one}
    named = set(re.findall(r"\b(deployment|scaledobject)[/ ](dubflow-[\w-]+)", page))
    assert named
    assert named <= there
    spaces = {one["metadata"].get("namespace") for one in objects if "metadata" in one}
    assert set(re.findall(r"kubectl -n (dubflow[\w-]*)", page)) <= spaces
    kinds = {one for inside in re.findall(r"kubectl -n \S+ get ([a-z,]+)", page) for one in inside.split(",")}
    assert kinds - {"pods", "hpa", "endpoints", "trainjob"} <= {kind for kind, _ in there} | {"service"}
