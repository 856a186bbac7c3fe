"""Command lines, settings and metrics: what is ours and real passes, what is not is told."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import typer

from dubflow.cli.main import app
from dubflow.errors import BadInput
from dubflow.gateway.settings import GatewaySettings
from dubflow.platform.preflight.addresses import addresses
from dubflow.platform.preflight.command_lines import through_a_shell, wrong_with
from dubflow.platform.preflight.container_settings import quantity
from dubflow.platform.preflight.metrics_known import KnownMetrics, known_metrics, names_of
from dubflow.platform.preflight.references.metrics import metric, used_in_files
from dubflow.platform.preflight.rendering import manifests_of
from dubflow.platform.preflight.settings_names import known_variables
from dubflow.platform.preflight.settings_values import CLASSES, prefix_of, wrong_values
from dubflow.platform.preflight.versions import later
from dubflow.platform.trainjobs import TrainJobSettings

PROGRAM = typer.main.get_command(app)


@pytest.mark.parametrize(
    "line",
    [
        "dubflow --help",
        "dubflow doctor",
        "/opt/dubflow/bin/dubflow serve status --state /state --json",
        "dubflow run nightly --where cluster -p seed=1",
        "python -m dubflow doctor --json",
        "python -m dubflow.gateway --state /state --host 0.0.0.0",
        "python -m torch.distributed.run --nproc-per-node=2 -m dubflow gate --help",
        "mlflow server --port 5000",
        "sleep 10",
    ],
)
def test_lines_that_are_right(line: str) -> None:
    assert wrong_with(line.split(), PROGRAM) is None


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("dubflow", "names no verb"),
        ("dubflow serv up", "no verb `dubflow serv`"),
        ("dubflow serve upp", "no verb `dubflow serve upp`"),
        ("dubflow serve status --stat /state", "--stat"),
        ("dubflow probe", "needs"),
        ("dubflow doctor please", "does not take please"),
        ("python -m dubflow.gatway", "no module dubflow.gatway"),
        ("python -m dubflow.gateway --states /state", "takes no --states"),
        ("python -m dubflow.platform.preflight", "could be run"),
        ("torchrun --nnodes=2 -m dubflow train", "names no verb"),
    ],
)
def test_lines_that_are_wrong(line: str, said: str) -> None:
    assert said in (wrong_with(line.split(), PROGRAM) or "")


def test_a_shell_is_not_looked_into() -> None:
    assert through_a_shell(["/bin/sh", "-c", "dubflow serv up"])
    assert not through_a_shell(["dubflow", "doctor"])


def test_every_field_of_settings_is_a_variable(repository: Path) -> None:
    known = known_variables(repository)
    assert {f"DUBFLOW_GATEWAY_{name.upper()}" for name in GatewaySettings.model_fields} <= known
    assert {f"DUBFLOW_TRAINJOB_{name.upper()}" for name in TrainJobSettings.model_fields} <= known
    assert {"DUBFLOW_HOME", "DUBFLOW_MLFLOW_URI", "DUBFLOW_TRUSTED_KEYS"} <= known
    assert not {"DUBFLOW_GATEWAY_PROT", "DUBFLOW_GATEWAY_"} & known


SCRAPE = """\
# HELP a_total Things.
# TYPE a_total counter
# TYPE waits histogram
waits_bucket{le="1"} 0
# TYPE nv_inference_count counter
nv_inference_count{model="m"} 3
# TYPE depth gauge
depth 4
"""


def test_names_of_a_scrape_are_those_that_expressions_use(tmp_path: Path, repository: Path) -> None:
    found = names_of(SCRAPE)
    assert {"a_total", "waits_bucket", "waits_sum", "waits_count", "nv_inference_count", "depth"} == set(found)
    file = tmp_path / "metrics.txt"
    file.write_text(SCRAPE)
    fresh = known_metrics(repository, [str(file)])
    assert fresh.holds("depth")
    assert fresh.holds("DCGM_FI_DEV_GPU_UTIL")  # of others, whatever was scraped
    assert not fresh.holds("dubflow_queue_jobs")  # the fresh scrape comes first, and what it lacks is told
    told = list(metric({"x": ["dubflow_queue_jobs + depth"], "y": ["deepth"]}, set(), fresh))
    assert [(one.severity, "dubflow_queue_jobs" in one.message) for one in told] == [
        ("refused", False),
        ("warning", True),
    ]
    assert known_metrics(repository).holds("dubflow_queue_jobs")
    with pytest.raises(BadInput, match="no_scrape"):
        known_metrics(repository, [str(tmp_path / "none.txt")])


def test_metrics_that_nobody_counts_are_told() -> None:
    known = KnownMetrics(frozenset({"depth"}), "a test")
    uses = {"x": ['sum by (queue) (rate(depth{kind="nothing"}[5m])) > on (queue) group_left () 2', "a:b:c", "deepth"]}
    told = [one.message for one in metric(uses, {"a:b:c"}, known)]
    assert len(told) == 1
    assert told[0].startswith("deepth")
    assert [one.severity for one in metric(uses, set(), KnownMetrics(frozenset(), ""))] == ["unchecked"]


def test_every_dashboard_and_rule_is_looked_into(repository: Path) -> None:
    uses, recorded = used_in_files(repository / "infra" / "monitoring")
    boards = {path.name for path in (repository / "infra" / "monitoring" / "dashboards").glob("*.json")}
    files = {path.name for path in (repository / "infra" / "monitoring" / "rules").glob("*.yaml")}
    assert {where.partition(",")[0] for where in uses} == boards | files
    assert recorded


@pytest.mark.parametrize(
    ("text", "number"), [("2Gi", 2 * 2**30), ("500m", 0.5), (1, 1.0), ("1e3", None), ("", None), ("10%", None)]
)
def test_quantities(text: object, number: float | None) -> None:
    assert quantity(text) == number


def test_versions_are_compared_as_numbers() -> None:
    assert later("1.10", "1.9")
    assert later("2.1", "2.0.9")
    assert not later("1.34", "1.34.0")


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("http://web:80/x", [("web", "dubflow", 80)]),
        ("http://web", [("web", "dubflow", 80)]),
        ("web:80", [("web", "dubflow", 80)]),
        ("postgresql+psycopg://me:it@db.data.svc/jobs", [("db", "data", 5432)]),
        ("--to=web.dubflow.svc.cluster.local:80", [("web", "dubflow", 80)]),
        ("http://api.kubeflow.svc:8888", [("api", "kubeflow", 8888)]),
        ("other:80", []),
        ("s3://bucket/web:80", []),
        ("dubflow/web:80", []),
        ("https://example.org:443", []),
        ("127.0.0.1:80 0.0.0.0:80 localhost:80 10:30", []),
    ],
)
def test_addresses_that_a_pod_is_told(text: str, found: list[tuple[str, str, int]]) -> None:
    container = {"name": "main", "env": [{"name": "A", "value": text}]}
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p", "namespace": "dubflow"},
           "spec": {"containers": [container]}}  # fmt: skip
    service = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "web", "namespace": "dubflow"}}
    manifests = manifests_of("prod", [pod, service])
    assert [(one.name, one.space, one.port) for one in addresses(manifests, manifests.pods[0])] == found


def test_every_class_of_settings_is_held_to(repository: Path) -> None:
    sources = (repository / "src" / "dubflow").rglob("*.py")
    prefixes = {found for path in sources for found in re.findall(r'env_prefix="(DUBFLOW_\w*)"', path.read_text())}
    assert {prefix_of(one) for one in CLASSES} == prefixes


@pytest.mark.parametrize(
    ("name", "value", "fine"),
    [
        ("DUBFLOW_GATEWAY_PORT", "8080", True),
        ("DUBFLOW_GATEWAY_PORT", "http", False),
        ("DUBFLOW_GATEWAY_PACKAGE_KEYS", '["/keys/a.pem"]', True),
        ("DUBFLOW_GATEWAY_PACKAGE_KEYS", "/keys/a.pem", False),
        ("DUBFLOW_TRAINJOB_POLL_S", "0", False),
        ("DUBFLOW_HOME", "/state", True),
        ("UNKNOWN", "x", True),
    ],
)
def test_values_of_settings(name: str, value: str, fine: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DUBFLOW_GATEWAY_LEASE_S", "of this person's own, and wrong")
    assert (wrong_values({name: value}) == []) is fine
