"""What lies in infra is what the source makes, no more and no less."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml
from jsonschema import Draft202012Validator

from dubflow.platform.monitoring.documents import PROMETHEUS_RULE, RULES, documents, prometheus_rule, there, write
from dubflow.platform.preflight.custom_resources import strict


def test_everything_generated_is_committed_and_nothing_else(repository: Path) -> None:
    made = documents()
    for path, text in made.items():
        assert (repository / path).read_text("utf-8") == text, f"{path}: run tools/monitoring.py"
    assert set(there(repository)) == set(made) - {PROMETHEUS_RULE}


def test_writing_changes_what_differs_and_removes_what_is_no_more(tmp_path: Path) -> None:
    made = documents()
    assert sorted(write(tmp_path)) == sorted(made)
    assert write(tmp_path) == []
    path = tmp_path / RULES / "serving.yaml"
    path.write_text("groups: []\n", "utf-8")
    old = tmp_path / RULES / "old.yaml"
    old.write_text("groups: []\n", "utf-8")
    assert write(tmp_path) == [f"{RULES}/serving.yaml", f"{RULES}/old.yaml"]
    assert path.read_text("utf-8") == made[f"{RULES}/serving.yaml"]
    assert not old.exists()


def test_the_operator_gets_the_same_groups_as_prometheus(repository: Path) -> None:
    groups = {
        group["name"]: group
        for path in (repository / RULES).glob("*.yaml")
        for group in yaml.safe_load(path.read_text("utf-8"))["groups"]
    }
    found = yaml.safe_load((repository / PROMETHEUS_RULE).read_text("utf-8"))["spec"]["groups"]
    assert {group["name"]: group for group in found} == groups
    assert len(found) == len(groups)


def test_the_resource_is_what_the_operator_takes(repository: Path) -> None:
    path = repository.parent / "shared" / "schemas" / "monitoring.coreos.com_v1_PrometheusRule.json"
    if not path.is_file():
        pytest.skip("the schemas of custom resources (../shared/schemas) are not on this machine")
    validator = Draft202012Validator(strict(json.loads(path.read_text("utf-8"))))
    rule = prometheus_rule()
    assert [error.message for error in validator.iter_errors(rule)] == []
    rule["spec"]["groups"][0]["rules"][0]["nonsense"] = 1
    assert [error.message for error in validator.iter_errors(rule)] != []
