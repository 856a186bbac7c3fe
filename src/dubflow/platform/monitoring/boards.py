"""The dashboards: what is on them. How Grafana is told: :mod:`dubflow.platform.monitoring.panels`."""

from __future__ import annotations

from dubflow.platform.monitoring.machine_boards import GPU, TRAINING
from dubflow.platform.monitoring.panels import Board
from dubflow.platform.monitoring.quality_board import QUALITY
from dubflow.platform.monitoring.service_board import SERVICE

BOARDS: dict[str, Board] = {"service": SERVICE, "gpu": GPU, "training": TRAINING, "quality": QUALITY}
"""By the file that they go into."""
