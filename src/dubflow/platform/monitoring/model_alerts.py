"""Alerts on quality, the gate and trainings: what `dubflow metrics` and drift tell."""

from __future__ import annotations

from dubflow.platform.monitoring.alert import Alert
from dubflow.platform.monitoring.slos import STALE_S

_DAY = 86400


def _recent(found: str) -> str:
    """Of runs that have not ended and logged within the last day: older ones were given up."""
    return (
        f"{found} and on (run) (time() - dubflow_training_logged_timestamp_seconds < {_DAY}) "
        "and on (run) (dubflow_training_finished == 0)"
    )


QUALITY = (
    Alert(
        "DubflowQualityDrift",
        "max by (feature) (dubflow_drift_alarm) == 1",
        "1h",
        "ticket",
        "What comes in has drifted: {{ $labels.feature }}",
        "For an hour the clips have been unlike those that the model learnt from, by more than chance explains.",
        "DubflowDriftUnknown",
    ),
    Alert(
        "DubflowDriftUnknown",
        "absent(dubflow_drift_alarm) and on() sum(increase(dubflow_dubbed_clip_seconds_total[1h])) > 0",
        "1h",
        "ticket",
        "Clips are dubbed and none is measured for drift",
        "The model came without a drift.json, or measuring fails.",
        "DubflowWorkersUnseen",
    ),
    Alert(
        "DubflowGateStale",
        f"time() - max(dubflow_gate_last_timestamp_seconds) > {STALE_S}",
        "15m",
        "ticket",
        "The gate has given no verdict for 36 hours",
        "The nightly run did not come to its end, or its verdicts do not reach the workspace that is scraped.",
        "DubflowGateUnknown",
    ),
    Alert(
        "DubflowGateStale",
        f"time() - max(dubflow_gate_last_timestamp_seconds) > {4 * _DAY}",
        "15m",
        "page",
        "The gate has given no verdict for four days",
        "Nothing can be released on evidence, and nobody has mended it.",
        "DubflowGateUnknown",
    ),
    Alert(
        "DubflowGateUnknown",
        "absent(dubflow_gate_last_timestamp_seconds)",
        "1h",
        "ticket",
        "No verdict of the gate is known",
        "`dubflow metrics` is not scraped, or looks at a workspace without verdicts.",
        "DubflowGateUnknown",
    ),
)

TRAINING = (
    Alert(
        "DubflowTrainingSilent",
        _recent("(time() - dubflow_training_logged_timestamp_seconds > 1800)"),
        "5m",
        "ticket",
        "{{ $labels.run }} has logged nothing for half an hour",
        "It has not ended and logged within the last day: it hangs, was killed, or waits for its queue.",
        "DubflowTargetGone",
    ),
    Alert(
        "DubflowTrainingNotFinite",
        _recent("(dubflow_training_loss != dubflow_training_loss or abs(dubflow_training_loss) == Inf)"),
        "0m",
        "ticket",
        "The loss of {{ $labels.run }} is no number any more",
        "Training went astray; further steps cost and give nothing.",
        "DubflowTargetGone",
    ),
    Alert(
        "DubflowTrainingUnsaved",
        _recent("(dubflow_training_logged_timestamp_seconds - dubflow_training_checkpoint_timestamp_seconds > 7200)"),
        "5m",
        "ticket",
        "{{ $labels.run }} has saved no checkpoint for two hours",
        "It goes on logging; were it killed now, that work would be lost.",
        "DubflowTargetGone",
    ),
)
