"""Write the rules of Prometheus, their tests, the PrometheusRule and Grafana's dashboards again from their source."""

from __future__ import annotations

from pathlib import Path

from dubflow.platform.monitoring.documents import write

if __name__ == "__main__":
    for changed in write(Path(__file__).resolve().parents[1]):
        print(changed)
