"""The whole pass over this checkout: every overlay is fine, and what nobody looked at is told."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml

from dubflow.cli import main as program
from dubflow.cli.main import app
from dubflow.errors import BadInput, WrongUse
from dubflow.platform.preflight import check as checking
from dubflow.platform.preflight.check import Report, preflight
from dubflow.platform.preflight.custom_resources import read_schemas, schemas_folder, strict
from dubflow.platform.preflight.findings import Finding, counts, in_order
from dubflow.platform.preflight.made_by_code import with_made
from dubflow.platform.preflight.page import PAGE, with_rules
from dubflow.platform.preflight.promtool import promtool
from dubflow.platform.preflight.rendering import render_overlay
from dubflow.platform.preflight.resources import Manifests

OVERLAYS = ("dev", "gpu", "prod")
PROGRAM = typer.main.get_command(app)


@pytest.fixture(scope="module")
def report(repository: Path, tmp_path_factory: pytest.TempPathFactory) -> Report:
    """Of all overlays by the built-in renderer; without promtool, whose tests take longer than all of this."""
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("DUBFLOW_PROMTOOL", raising=False)
        patch.setenv("PATH", str(tmp_path_factory.mktemp("nothing")))
        return preflight(repository, program=PROGRAM)


def test_every_overlay_is_fine(report: Report) -> None:
    wrong = [(one.finding.rule, one.finding.where, one.finding.message) for one in report.told
             if one.finding.severity == "refused"]  # fmt: skip
    assert wrong == []
    warned = {(one.finding.rule, one.overlays) for one in report.told if one.finding.severity == "warning"}
    assert warned == {
        ("policy.quota_fits", ("dev", "prod"))
    }  # trainings on several nodes need GPUs, which only gpu has
    assert report.fine
    assert set(report.resources) == set(OVERLAYS)
    assert min(report.resources.values()) > 50
    assert report.rendered_by == "the built-in renderer"


_UNCHECKED = {"schema.custom", "policy.image_digest", "promtool.rules", "reference.route"}
"""Whose findings here say what cannot be known in a checkout."""


def test_what_nobody_looked_at_is_told(report: Report, repository: Path) -> None:
    told = {one.finding.rule for one in report.told if one.finding.severity == "unchecked"}
    assert told <= _UNCHECKED
    assert {"policy.image_digest", "promtool.rules"} <= told
    if schemas_folder(repository) is not None:
        kinds = [one.finding.where for one in report.told if one.finding.rule == "schema.custom"]
        assert all("external-secrets.io" in kind for kind in kinds)  # everything else has its schema


def test_what_code_makes_is_among_what_is_checked(repository: Path) -> None:
    made = with_made(render_overlay(repository / "infra" / "kubernetes", "gpu", "built-in").manifests)
    pods = {pod.owner.kind: pod for pod in made.pods if pod.owner.origin}
    assert set(pods) == {"TrainJob", "InferenceService"}
    container = pods["TrainJob"].containers[0]
    assert "torch.distributed.run" in container["command"]
    assert container["securityContext"]["readOnlyRootFilesystem"] is True  # the runtime's, under the job's own
    assert {"persistentVolumeClaim", "name"} <= {key for one in pods["TrainJob"].spec["volumes"] for key in one}
    assert pods["InferenceService"].containers[0]["image"]


LEAVES = {
    "CronJob", "Deployment", "HTTPRoute", "InferenceService", "Job", "NetworkPolicy", "Pipeline", "PipelineVersion",
    "PodDisruptionBudget", "PrometheusRule", "ScaledObject", "ServiceMonitor", "StatefulSet", "TrainJob",
    "ClusterTrainingRuntime", "ConfigMap", "ClusterSecretStore",
}  # fmt: skip
"""Kinds of which something may be missing that nothing else names."""


@pytest.mark.slow
def test_whatever_others_need_is_missed(repository: Path) -> None:
    whole = render_overlay(repository / "infra" / "kubernetes", "prod", "built-in").manifests
    unnoticed = []
    for index, one in enumerate(whole.resources):
        rest = Manifests("prod", (*whole.resources[:index], *whole.resources[index + 1 :]))
        found = checking.check_manifests(rest, repository, PROGRAM)
        if not any(each.severity in ("refused", "warning") for each in found):
            unnoticed.append(one)
    assert {one.kind for one in unnoticed} <= LEAVES
    names = {one.where for one in unnoticed}
    for needed in ("NetworkPolicy dubflow/dns", "NetworkPolicy dubflow/triton-in", "NetworkPolicy dubflow/to-mlflow",
                   "PodDisruptionBudget dubflow/dubflow-gateway", "ConfigMap dubflow/dubflow-gateway",
                   "ServiceMonitor dubflow/dubflow-triton", "ClusterTrainingRuntime dubflow-torch"):  # fmt: skip
        assert any(one.where == needed for one in whole.resources), needed
        assert needed not in names


def test_a_releases_digests_leave_nothing_unpinned(repository: Path, tmp_path: Path) -> None:
    names = [f"dubflow/{name}-python" for name in ("data", "train", "serve", "gateway")]
    entries = [{"name": name, "digest": "sha256:" + "1" * 64} for name in names]
    for given, rules in ((entries, set()), (entries[:-1], {"policy.image_digest"})):
        release = tmp_path / f"{len(given)}.yaml"
        release.write_text(yaml.safe_dump({"images": given}))
        rendered = render_overlay(repository / "infra" / "kubernetes", "prod", "built-in", release)
        found = checking.check_manifests(rendered.manifests, repository, PROGRAM)
        assert {one.rule for one in found if one.severity == "refused"} == rules
        assert not any(one.rule == "policy.image_digest" and one.severity == "unchecked" for one in found)


def test_an_overlay_that_does_not_render_is_one_finding(repository: Path, tmp_path: Path) -> None:
    shutil.copytree(repository / "infra", tmp_path / "infra")
    shutil.copy(repository / "pyproject.toml", tmp_path)
    (tmp_path / "infra" / "kubernetes" / "overlays" / "prod" / "kustomization.yaml").write_text("resources: [none]")
    for folder in ("monitoring/rules", "monitoring/tests"):
        shutil.rmtree(tmp_path / "infra" / folder)
    found = preflight(tmp_path, ["prod"], program=PROGRAM, by="built-in")
    assert [one.finding.where for one in found.told if one.finding.rule == "render.kustomization"] == ["overlay prod"]
    assert not found.fine


def test_a_matrix_that_does_not_read_is_one_finding(repository: Path, tmp_path: Path) -> None:
    shutil.copytree(repository / "infra", tmp_path / "infra")
    (tmp_path / checking.FILE).write_text("kubernetes: {oldest: one}")
    found = preflight(tmp_path, ["dev"], program=PROGRAM, by="built-in")
    assert [one.finding.where for one in found.told if one.finding.rule == "version.matrix"] == [checking.FILE]


def test_an_unknown_overlay_is_wrong_use(repository: Path) -> None:
    with pytest.raises(WrongUse, match="unknown_overlay"):
        preflight(repository, ["production"], program=PROGRAM)


def test_the_page_lists_the_rules_as_they_are(repository: Path) -> None:
    page = (repository / PAGE).read_text(encoding="utf-8")
    assert with_rules(page) == page, "run `make pages`"


def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, Any]:
    monkeypatch.setattr("sys.argv", ["dubflow", "preflight", *words, "--json"])
    code = program._run()
    return code, json.loads(capsys.readouterr().out)


def test_the_verb(
    repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    code, said = run(monkeypatch, capsys, "--rules")
    assert code == 0
    assert len(said["rules"]) == len(checking.all_rules())
    monkeypatch.delenv("DUBFLOW_PROMTOOL", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    code, said = run(monkeypatch, capsys, "--overlay", "prod", "--root", str(repository))
    assert (code, said["fine"], list(said["overlays"])) == (0, True, ["prod"])
    scrape = tmp_path / "metrics"
    scrape.write_text("# TYPE depth gauge\ndepth 1\n")
    code, said = run(monkeypatch, capsys, "--overlay", "prod", "--scrape", str(scrape))
    assert (code, said["counts"]["warning"] > 0) == (0, True)
    assert "reference.metric" in {one["rule"] for one in said["findings"] if one["severity"] == "warning"}
    code, said = run(monkeypatch, capsys, "--overlay", "prod", "--scrape", str(tmp_path / "none"))
    assert (code, said["error"]["code"]) == (3, "platform.no_scrape")
    code, said = run(monkeypatch, capsys, "--overlay", "elsewhere")
    assert (code, said["error"]["code"]) == (2, "platform.unknown_overlay")


@pytest.mark.slow
@pytest.mark.skipif(promtool() is None, reason="promtool is not installed; see DUBFLOW_PROMTOOL")
def test_promtool_has_nothing_to_say(repository: Path) -> None:
    found = preflight(repository, ["prod"], program=PROGRAM)
    assert [one.finding for one in found.told if one.finding.group == "promtool"] == []


def test_findings_are_told_once_and_in_order() -> None:
    told = [Finding("b", None, "a.x", "unchecked", "m"), Finding("a", 2, "b.y", "refused", "m")]
    assert in_order([*told, *told]) == (told[1], told[0])
    assert counts(told) == {"refused": 1, "warning": 0, "unchecked": 1}


def test_schemas_are_read_from_definitions_and_made_strict(tmp_path: Path) -> None:
    schema = {"type": "object", "properties": {"spec": {"type": "object", "properties": {
        "port": {"x-kubernetes-int-or-string": True}, "free": {"type": "object", "x-kubernetes-preserve-unknown-fields":
        True, "properties": {}}, "maybe": {"type": "string", "nullable": True}}}}}  # fmt: skip
    spec = {"group": "x.dev", "names": {"kind": "Thing"},
            "versions": [{"name": "v1", "schema": {"openAPIV3Schema": schema}}]}  # fmt: skip
    definition = {"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition", "spec": spec}
    (tmp_path / "things.yaml").write_text(yaml.safe_dump(definition))
    (tmp_path / "y.dev_v1_Other.json").write_text(json.dumps(schema))
    found = read_schemas(tmp_path)
    assert set(found) == {("x.dev/v1", "Thing"), ("y.dev/v1", "Other")}
    jsonschema = pytest.importorskip("jsonschema")
    validator = jsonschema.Draft202012Validator(strict(found["x.dev/v1", "Thing"]))
    assert validator.is_valid({"spec": {"port": "http", "free": {"any": 1}, "maybe": None}})
    assert validator.is_valid({"spec": {"port": 80}})
    assert not validator.is_valid({"spec": {"prot": 80}})
    assert not validator.is_valid({"spec": {"port": []}})
    (tmp_path / "y.dev_v1_Other.json").write_text("{")
    with pytest.raises(BadInput, match="bad_schema"):
        read_schemas(tmp_path)


def test_a_folder_of_schemas_that_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DUBFLOW_CRD_DIR", str(tmp_path / "none"))
    with pytest.raises(WrongUse, match="no_schemas"):
        schemas_folder(tmp_path)
    monkeypatch.setenv("DUBFLOW_CRD_DIR", str(tmp_path))
    assert schemas_folder(tmp_path) == tmp_path
    monkeypatch.delenv("DUBFLOW_CRD_DIR")
    assert schemas_folder(tmp_path / "project") is None
