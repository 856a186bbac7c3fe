"""All alerts that are no burn rate, by the file of rules that they go into."""

from __future__ import annotations

from dubflow.platform.monitoring.alert import Alert
from dubflow.platform.monitoring.cluster_alerts import CLUSTER, GPU
from dubflow.platform.monitoring.model_alerts import QUALITY, TRAINING
from dubflow.platform.monitoring.service_alerts import SCRAPING, SERVING

GROUPS: dict[str, tuple[Alert, ...]] = {
    "scraping": SCRAPING,
    "serving": SERVING,
    "quality": QUALITY,
    "training": TRAINING,
    "cluster": CLUSTER,
    "gpu": GPU,
}
