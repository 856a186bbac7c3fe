"""Rows of the service's dashboard about the models that answer for it."""

from __future__ import annotations

from dubflow.platform.monitoring.panels import Panel, Query, Row

_W = "[$__rate_interval]"


def _mean(phase: str) -> str:
    """Mean seconds of a phase of an inference, from Triton's sums of microseconds."""
    return (
        f"sum by (model) (rate(nv_inference_{phase}_duration_us{_W})) / 1e6 "
        f"/ sum by (model) (rate(nv_inference_count{_W}))"
    )


MODELS = Row(
    "Models",
    (
        Panel(
            "Loaded versions",
            "Current and previous; going back to the previous one takes seconds.",
            "short",
            (Query("max by (role, version, engine, world) (dubflow_serving_version_info)", ""),),
            "table",
        ),
        Panel(
            "Dubs the golden clip",
            "1 while the last real inference was right.",
            "bool",
            (Query("min(dubflow_serving_healthy)", "fine"),),
            "stat",
            4,
            (1, 0.5),
        ),
        Panel(
            "How it runs",
            "Triton, or the same core in each worker's process.",
            "short",
            (Query("max by (mode) (dubflow_serving_mode_info)", "{{mode}}"),),
            "stat",
            4,
        ),
        Panel(
            "Golden clip",
            "Seconds of the last real inference, and since when it was.",
            "s",
            (
                Query("max(dubflow_serving_check_seconds)", "took"),
                Query("time() - max(dubflow_serving_checked_timestamp_seconds)", "ago"),
            ),
        ),
        Panel(
            "Healed and refused",
            "In the last hour: versions refused or switched, processes found dead, reloads, restarts.",
            "short",
            tuple(
                Query(f"max(increase(dubflow_serving_{name}_total[1h]))", name.replace("_", " "))
                for name in ("switches", "refusals", "checks_failed", "stubs_died", "reloads", "server_restarts")
            ),
        ),
        Panel(
            "Inferences on Triton",
            "By model, a second.",
            "ops",
            (Query(f"sum by (model) (rate(nv_inference_count{_W}))", "{{model}}"),),
        ),
        Panel(
            "Failures on Triton",
            "BACKEND: the model or its process; REJECTED: its queue was full.",
            "ops",
            (
                Query(
                    f"sum by (model, reason) (rate(nv_inference_request_failure{_W}))",
                    "{{model}} {{reason}}",
                ),
            ),
        ),
        Panel(
            "Batch size",
            "Inferences an execution; 1: nothing shares a batch.",
            "short",
            (
                Query(
                    f"sum by (model) (rate(nv_inference_count{_W})) "
                    f"/ sum by (model) (rate(nv_inference_exec_count{_W}))",
                    "{{model}}",
                ),
            ),
        ),
        Panel(
            "Computing, mean", "Time on the model, by inference.", "s", (Query(_mean("compute_infer"), "{{model}}"),)
        ),
        Panel("Waiting on Triton, mean", "Time in a model's queue.", "s", (Query(_mean("queue"), "{{model}}"),)),
        Panel(
            "Pending on Triton",
            "Inferences that wait for an instance.",
            "short",
            (Query("max by (model) (nv_inference_pending_request_count)", "{{model}}"),),
        ),
    ),
)
PARTS = Row(
    "Inside the models",
    (
        Panel(
            "Jobs on Triton",
            "Those that ended there, by outcome.",
            "ops",
            (Query(f"sum by (outcome) (rate(dubflow_dubs_total{_W}))", "{{outcome}}"),),
        ),
        Panel(
            "Where their time goes",
            "Seconds spent each second: by whole jobs, by frontend, denoiser and codec. 1 keeps one instance busy.",
            "short",
            tuple(
                Query(f"sum(rate(dubflow_{part}_seconds_total{_W}))", name)
                for part, name in (
                    ("dub", "whole"),
                    ("frontend", "frontend"),
                    ("denoiser", "denoiser"),
                    ("codec", "codec"),
                )
            ),
        ),
        Panel(
            "Sharing",
            "Requests and segments that the denoiser computes at once; requests dropped because they were cancelled.",
            "short",
            tuple(
                Query(
                    f"sum(rate(dubflow_denoiser_{what}_total{_W})) / sum(rate(dubflow_denoiser_executions_total{_W}))",
                    f"{what} an execution",
                )
                for what in ("requests", "segments", "dropped")
            ),
        ),
    ),
)
