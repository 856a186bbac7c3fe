"""Every rule has a manifest that breaks it, is refused for that alone, and passes once it is mended."""

from __future__ import annotations

import shutil
import tomllib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml

from dubflow.cli.main import app
from dubflow.errors import BadInput
from dubflow.platform.preflight.check import all_rules, check_manifests
from dubflow.platform.preflight.core_kinds import check_core
from dubflow.platform.preflight.custom_resources import check_custom, schemas_folder
from dubflow.platform.preflight.findings import Finding
from dubflow.platform.preflight.kustomize import render
from dubflow.platform.preflight.merging import merged
from dubflow.platform.preflight.metrics_known import KnownMetrics
from dubflow.platform.preflight.promtool import check_promtool, promtool
from dubflow.platform.preflight.references import metrics
from dubflow.platform.preflight.rendering import manifests_of
from dubflow.platform.preflight.resources import Manifests
from dubflow.platform.preflight.versions import FILE, Matrix, check_matrix, check_overlay, check_pins
from dubflow.platform.preflight.yaml_files import read

HERE = Path(__file__).parent
BROKEN = {path.stem: path for path in sorted((HERE / "broken").glob("*.yaml"))}
BY_MANIFEST = [name for name in BROKEN if name.startswith(("policy.", "reference."))]
BY_MANIFEST += ["schema.names", "schema.size", "schema.schedule"]
PROGRAM = typer.main.get_command(app)
COUNTED = KnownMetrics(frozenset({"dubflow_queue_jobs"}), "a test")


def mended(tmp_path: Path, asked: dict[str, Any]) -> Manifests:
    """The good cluster, with an entry's patches and additions."""
    shutil.copy(HERE / "good.yaml", tmp_path)
    resources = ["good.yaml"]
    if "add" in asked:
        text = asked["add"]
        for word, times in asked.get("repeat", {}).items():
            text = text.replace(word, "x" * times)
        (tmp_path / "added.yaml").write_text(text)
        resources.append("added.yaml")
    content = {"resources": resources, "patches": asked.get("patches", [])}
    (tmp_path / "kustomization.yaml").write_text(yaml.safe_dump(content))
    return manifests_of("prod", render(tmp_path), released=True)


def refused_by(findings: Iterable[Finding]) -> set[str]:
    return {one.rule for one in findings if one.severity == "refused"}


def everything(manifests: Manifests, repository: Path) -> list[Finding]:
    used = metrics.metric(metrics.used_in(manifests), metrics.recorded_in(manifests), COUNTED)
    return [*check_manifests(manifests, repository, PROGRAM), *used, *check_overlay(matrix(repository), manifests)]


def matrix(repository: Path, patch: dict[str, Any] | None = None) -> Matrix:
    return Matrix.model_validate(merged(read(repository / FILE)[0], patch or {}, core=False))


def test_every_rule_has_a_manifest_that_breaks_it() -> None:
    rules = {one.name for one in all_rules() if one.group != "image"}  # images have theirs beside their own rules
    assert set(BROKEN) == rules


def test_rules_say_what_and_why() -> None:
    rules = all_rules()
    assert len({one.name for one in rules}) == len(rules)
    assert all(one.asks.endswith(".") and one.why.endswith((".", "?")) for one in rules)


def test_the_good_cluster_keeps_every_rule(repository: Path, tmp_path: Path) -> None:
    manifests = mended(tmp_path, {})
    assert everything(manifests, repository) == []
    assert list(check_core(manifests.resources, matrix(repository).checked)) == []


@pytest.mark.parametrize("rule", BY_MANIFEST)
def test_it_is_refused_for_that_alone(rule: str, repository: Path, tmp_path: Path) -> None:
    found = everything(mended(tmp_path, read(BROKEN[rule])[0]), repository)
    assert refused_by(found) == {rule}
    assert all(one.message and one.hint for one in found)


BY_HAND = """
apiVersion: v1
kind: ServiceAccount
metadata: {name: by-hand, namespace: dubflow, labels: {app.kubernetes.io/name: %s}}
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: by-hand, namespace: dubflow}
spec: {podSelector: {matchLabels: {app.kubernetes.io/name: by-hand}}, policyTypes: [Egress]}
"""


@pytest.mark.parametrize(("label", "rules"), [("by-hand", set()), ("by-hands", {"reference.selector"})])
def test_pods_that_a_person_starts_have_an_account(
    label: str, rules: set[str], repository: Path, tmp_path: Path
) -> None:
    assert refused_by(everything(mended(tmp_path, {"add": BY_HAND % label}), repository)) == rules


def test_a_field_that_kubernetes_does_not_know(repository: Path, tmp_path: Path) -> None:
    manifests = mended(tmp_path, read(BROKEN["schema.core"])[0])
    found = check_core(manifests.resources, matrix(repository).checked)
    assert refused_by(found) == {"schema.core"}
    assert {one.where for one in found} == {"Service dubflow/dubflow-gateway"}
    assert everything(manifests, repository) == []


def test_a_field_that_a_custom_resource_does_not_know(repository: Path, tmp_path: Path) -> None:
    folder = schemas_folder(repository)
    if folder is None:
        pytest.skip("no schemas of custom resources beside the project, and DUBFLOW_CRD_DIR is not set")
    (tmp_path / "good").mkdir()
    found = check_custom(mended(tmp_path / "good", {}).resources, folder)
    assert refused_by(found) == set()
    assert [one.where for one in found] == ["ExternalSecret in external-secrets.io/v1"]  # told, not passed over
    assert found[0].severity == "unchecked"
    (tmp_path / "broken").mkdir()
    manifests = mended(tmp_path / "broken", read(BROKEN["schema.custom"])[0])
    assert refused_by(check_custom(manifests.resources, folder)) == {"schema.custom"}


@pytest.mark.parametrize("rule", ["version.api", "version.pod_security"])
def test_what_the_matrix_does_not_serve(rule: str, repository: Path, tmp_path: Path) -> None:
    assert refused_by(everything(mended(tmp_path, read(BROKEN[rule])[0]), repository)) == {rule}


@pytest.mark.parametrize("rule", ["version.matrix", "version.combination", "version.kubernetes"])
def test_a_matrix_that_does_not_go_together(rule: str, repository: Path) -> None:
    assert list(check_matrix(matrix(repository))) == []
    broken = matrix(repository, read(BROKEN[rule])[0]["matrix"])
    found = refused_by(check_matrix(broken))
    assert rule in found
    assert found <= {rule, "version.kubernetes", "version.api"}


def test_pins_that_the_matrix_does_not_allow(repository: Path, tmp_path: Path) -> None:
    known, path = matrix(repository), tmp_path / "pyproject.toml"
    text = (repository / "pyproject.toml").read_text()
    assert list(check_pins(known, repository / "pyproject.toml")) == []
    for old, new in read(BROKEN["version.pins"])[0]["pyproject"].items():
        assert old in text
        text = text.replace(old, new)
    path.write_text(text)
    assert tomllib.loads(text)
    assert refused_by(check_pins(known, path)) == {"version.pins"}


def test_what_does_not_render(tmp_path: Path) -> None:
    shutil.copy(BROKEN["render.kustomization"], tmp_path / "kustomization.yaml")
    with pytest.raises(BadInput, match=r"missing\.yaml"):
        render(tmp_path)


@pytest.mark.skipif(promtool() is None, reason="promtool is not installed; see DUBFLOW_PROMTOOL")
def test_rules_that_promtool_refuses(tmp_path: Path) -> None:
    good = "groups: [{name: a, rules: [{alert: Down, expr: up == 0}]}]"
    broken = {rule: BROKEN[rule].read_text() for rule in ("promtool.rules", "promtool.tests")}
    passing = broken["promtool.tests"].replace("exp_alerts: [{exp_labels: {}}]", "exp_alerts: []")
    cases = {
        "good": (good, passing, set()),
        "rules": (broken["promtool.rules"], "rule_files: []\ntests: []", {"promtool.rules"}),
        "tests": (good, broken["promtool.tests"], {"promtool.tests"}),
    }
    for name, (rules, tests, wanted) in cases.items():
        for part, text in (("rules", rules), ("tests", tests)):
            (tmp_path / name / part).mkdir(parents=True)
            (tmp_path / name / part / f"{part}.yaml").write_text(text)
        found = list(check_promtool(tmp_path / name))
        assert refused_by(found) == wanted, name
        assert all(str(tmp_path) not in one.message for one in found)


def test_without_promtool_rules_are_unchecked(
    repository: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("DUBFLOW_PROMTOOL", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert [one.severity for one in check_promtool(repository / "infra" / "monitoring")] == ["unchecked"]
