"""Everything that is generated, as text by path below the project's root; ``tools/monitoring.py`` writes it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import yaml

from dubflow.platform.monitoring.boards import BOARDS
from dubflow.platform.monitoring.cases import unit_tests
from dubflow.platform.monitoring.panels import dashboard
from dubflow.platform.monitoring.rules import files, groups

RULES, TESTS, DASHBOARDS = "infra/monitoring/rules", "infra/monitoring/tests", "infra/monitoring/dashboards"
PROMETHEUS_RULE = "infra/kubernetes/base/monitoring/rules.yaml"
_BY = "# Written by tools/monitoring.py from src/dubflow/platform/monitoring; a test compares.\n"


class _Plain(yaml.SafeDumper):
    """Without anchors: what is said twice stands there twice."""

    def ignore_aliases(self, data: Any) -> bool:
        """Always."""
        return True


def documents() -> dict[str, str]:
    """Texts by path."""
    made = {f"{RULES}/{name}.yaml": _yaml(content) for name, content in files().items()}
    made |= {f"{TESTS}/{name}.yaml": _yaml(content) for name, content in unit_tests().items()}
    made |= {f"{DASHBOARDS}/{name}.json": json.dumps(dashboard(one), indent=1) + "\n" for name, one in BOARDS.items()}
    return made | {PROMETHEUS_RULE: _yaml(prometheus_rule())}


def prometheus_rule() -> dict[str, Any]:
    """All rules as the Prometheus operator takes them."""
    labels = {"name": "dubflow-rules", "component": "monitoring", "part-of": "dubflow"}
    return {
        "apiVersion": "monitoring.coreos.com/v1",
        "kind": "PrometheusRule",
        "metadata": {
            "name": "dubflow-rules",
            "namespace": "dubflow",
            "labels": {f"app.kubernetes.io/{key}": value for key, value in labels.items()},
        },
        "spec": {"groups": groups()},
    }


def write(root: Path) -> list[str]:
    """Write what differs and remove what is not made any more; paths of both."""
    made = documents()
    changed = [path for path, text in made.items() if _text(root / path) != text]
    for path in changed:
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(made[path], encoding="utf-8")
    gone = [path for path in there(root) if path not in made]
    for path in gone:
        (root / path).unlink()
    return changed + gone


def there(root: Path) -> list[str]:
    """Generated files that lie there."""
    found = [path for folder in (RULES, TESTS, DASHBOARDS) for path in sorted((root / folder).glob("*.*"))]
    return [path.relative_to(root).as_posix() for path in found]


def _text(path: Path) -> str | None:
    return path.read_text(encoding="utf-8") if path.is_file() else None


def _yaml(content: dict[str, Any]) -> str:
    return _BY + yaml.dump(content, Dumper=_Plain, sort_keys=False, width=110, allow_unicode=True)
