"""The dashboard of quality: drift, the gate, champions."""

from __future__ import annotations

from dubflow.platform.monitoring.panels import Board, Panel, Query, Row
from dubflow.platform.monitoring.slos import STALE_S

_DRIFT = Row(
    "What comes in",
    (
        Panel(
            "Distance to the training's clips",
            "0: as what the model learnt from; 1: nothing in common. Limits of the method: docs/observability.md.",
            "percentunit",
            (Query("max by (feature) (dubflow_drift_ratio)", "{{feature}}"),),
            width=12,
        ),
        Panel(
            "Distance over its threshold",
            "Above 1 is drift, from 20 clips on.",
            "short",
            (
                Query(
                    "max by (feature) (dubflow_drift_ratio) / max by (feature) (dubflow_drift_threshold_ratio)",
                    "{{feature}}",
                ),
            ),
            width=12,
            limits=(0.8, 1),
        ),
        Panel(
            "Drifted",
            "1 where the distance is above its threshold.",
            "bool",
            (Query("max by (feature) (dubflow_drift_alarm)", "{{feature}}"),),
            "stat",
            12,
            (0.5, 1),
        ),
        Panel(
            "Clips in the window",
            "At most 200; below 20 there is no alarm.",
            "short",
            (Query("max by (feature) (dubflow_drift_clips)", "{{feature}}"),),
            "stat",
            12,
        ),
    ),
)
_GATE = Row(
    "The gate",
    (
        Panel(
            "Age of the newest verdict",
            "The nightly run gives one a day.",
            "s",
            (Query("time() - max(dubflow_gate_last_timestamp_seconds)", "age"),),
            "stat",
            8,
            (STALE_S / 2, STALE_S),
        ),
        Panel(
            "Verdicts",
            "In the workspace, by decision.",
            "short",
            (Query("max by (decision) (dubflow_gate_verdicts)", "{{decision}}"),),
            "stat",
            8,
        ),
        Panel(
            "Fresh and undrifted",
            "1 while the promise holds.",
            "bool",
            (Query('dubflow:slo_good:bool{slo=~"gate_freshness|quality_drift"}', "{{slo}}"),),
            "stat",
            8,
            (1, 0.5),
        ),
    ),
)
_CHAMPIONS = Row(
    "Champions",
    (
        Panel(
            "Champion",
            "Version of each model in the registry; it should be the one that is served.",
            "short",
            (Query("max by (model) (dubflow_champion_version)", "{{model}}"),),
            "stat",
        ),
        Panel(
            "Champion since",
            "Seconds since it became champion.",
            "s",
            (Query("time() - max by (model) (dubflow_champion_changed_timestamp_seconds)", "{{model}}"),),
            "stat",
        ),
        Panel(
            "Changes",
            "Promotions and rollbacks so far; override: against or without a verdict.",
            "short",
            (
                Query(
                    "max by (model, action, override) (dubflow_champion_changes_total)",
                    "{{model}} {{action}} override={{override}}",
                ),
            ),
            "stat",
        ),
        Panel(
            "Served",
            "Version that serves, and the one kept beside it.",
            "short",
            (Query("max by (role, version, world) (dubflow_serving_version_info)", ""),),
            "table",
            12,
        ),
        Panel(
            "Golden clip heard right",
            "Share of the last hour in which the champion dubbed the golden clip.",
            "percentunit",
            (Query("min(avg_over_time(dubflow_serving_healthy[1h]))", "right"),),
            width=12,
        ),
    ),
)
QUALITY = Board(
    "dubflow-quality",
    "dubflow: quality",
    "Whether what comes in is what the model knows, whether releases are judged, and who is champion.",
    (_DRIFT, _GATE, _CHAMPIONS),
)
