"""The dashboard of the service: promises, requests, jobs, dubs, and the models that answer for them."""

from __future__ import annotations

from dubflow.platform.monitoring.model_rows import MODELS, PARTS
from dubflow.platform.monitoring.panels import Board, Panel, Query, Row
from dubflow.platform.monitoring.rules import error_ratio
from dubflow.platform.monitoring.slos import OLD_S, PERIOD, SLOW

_W = "[$__rate_interval]"


def _quantile(share: float, metric: str, by: str = "") -> str:
    labels = f"le, {by}" if by else "le"
    return f"histogram_quantile({share:g}, sum by ({labels}) (rate({metric}_bucket{_W})))"


def _both(metric: str, by: str = "") -> tuple[Query, ...]:
    name = f"{{{{{by}}}}} " if by else ""
    return tuple(Query(_quantile(share, metric, by), f"{name}p{100 * share:g}") for share in (0.5, 0.95))


_PROMISES = Row(
    "Promises",
    (
        Panel(
            f"Kept over {PERIOD}",
            "Share of good events or moments. Objectives: docs/runbook.md.",
            "percentunit",
            (Query(f"1 - {error_ratio(PERIOD)}", "{{slo}}"),),
            "stat",
            12,
        ),
        Panel(
            "Error budget left",
            "1: untouched; 0: spent, and nothing risky should be released; below: the objective is missed.",
            "percentunit",
            (Query("dubflow:slo_budget_left:ratio", "{{slo}}"),),
            "stat",
            12,
            (0.25, 0.0),
        ),
        Panel(
            "Errors of the last hour",
            "Error ratio of every promise with burn-rate alerts.",
            "percentunit",
            (Query(error_ratio("1h"), "{{slo}}"),),
            width=12,
        ),
        Panel(
            "Firing",
            "Alerts that fire now, by severity; each has an entry in docs/runbook.md.",
            "short",
            (Query('sum by (alertname, severity) (ALERTS{alertname=~"Dubflow.*",alertstate="firing"})', ""),),
            "table",
            12,
        ),
    ),
)
_REQUESTS = Row(
    "Requests",
    (
        Panel(
            "Requests by status",
            "5xx are ours, 4xx the client's; 499 went away before there was an answer.",
            "reqps",
            (Query(f"sum by (status) (rate(dubflow_http_requests_total{_W}))", "{{status}}"),),
            stacked=True,
        ),
        Panel(
            "Time to the first byte",
            "Of uploads it includes receiving them.",
            "s",
            _both("dubflow_http_request_seconds"),
        ),
        Panel(
            "Slowest routes, p95",
            "Five routes with the longest time to the first byte.",
            "s",
            (Query(f"topk(5, {_quantile(0.95, 'dubflow_http_request_seconds', 'route')})", "{{route}}"),),
        ),
        Panel(
            "Errors by code",
            "What was refused or failed; docs/errors.md explains the codes.",
            "reqps",
            (Query(f"topk(10, sum by (code) (rate(dubflow_http_rejections_total{_W})))", "{{code}}"),),
        ),
        Panel(
            "Open",
            "Requests being answered, and clients that follow a job.",
            "short",
            (
                Query("sum(dubflow_http_requests_open)", "requests"),
                Query("sum(dubflow_http_event_streams_open)", "event streams"),
            ),
        ),
        Panel(
            "Received",
            "Bytes of bodies a second; mostly uploads.",
            "bytes",
            (Query(f"sum by (route) (rate(dubflow_http_request_bytes_total{_W}))", "{{route}}"),),
        ),
    ),
)
_JOBS = Row(
    "Jobs",
    (
        Panel(
            "Oldest job that waits",
            f"Above {OLD_S} s the promise is broken.",
            "s",
            (Query("max(dubflow_queue_oldest_seconds)", "oldest"),),
            limits=(OLD_S / 2, OLD_S),
        ),
        Panel(
            "Queue", "Jobs that wait; workers are scaled on it.", "short", (Query("max(dubflow_queue_jobs)", "jobs"),)
        ),
        Panel(
            "Jobs by state",
            "In the database; ended ones go after the retention.",
            "short",
            (Query("max by (state) (dubflow_jobs)", "{{state}}"),),
        ),
        Panel(
            "Attempts by outcome",
            "'again' is tried once more, 'lost' was taken over by another worker.",
            "ops",
            (Query(f"sum by (outcome) (rate(dubflow_job_attempts_total{_W}))", "{{outcome}}"),),
            stacked=True,
        ),
        Panel("Wait for a worker", "From submission to the first lease.", "s", _both("dubflow_job_wait_seconds")),
        Panel(
            "Failed by our fault",
            "After all tries, in the last hour.",
            "short",
            (Query("sum(increase(dubflow_job_faults_total[1h]))", "faults"),),
        ),
        Panel(
            "Webhooks",
            "Tries by outcome; 'given_up' is never tried again.",
            "ops",
            (Query(f"sum by (outcome) (rate(dubflow_webhook_deliveries_total{_W}))", "{{outcome}}"),),
        ),
        Panel(
            "Workers",
            "Seconds since each told of itself; above 60 it is gone.",
            "s",
            (Query("time() - max by (worker) (dubflow_worker_seen_timestamp_seconds)", "{{worker}}"),),
            limits=(30, 60),
        ),
        Panel(
            "Consent refused",
            "Jobs refused or stopped for want of consent.",
            "ops",
            (Query(f"sum by (code) (rate(dubflow_consent_refusals_total{_W}))", "{{code}}"),),
        ),
    ),
)
_DUBS = Row(
    "Dubs",
    (
        Panel(
            "Work for a second of clip",
            f"Above {float(SLOW):g} a dub counts as slow. Short clips cost more by the second.",
            "s",
            _both("dubflow_dub_seconds_per_clip_second"),
            limits=(float(SLOW), 2 * float(SLOW)),
        ),
        Panel(
            "Dubbed",
            "Seconds of clip that are dubbed each second.",
            "short",
            (Query(f"sum(rate(dubflow_dubbed_clip_seconds_total{_W}))", "clip seconds a second"),),
        ),
        Panel("Stages, p95", "Where the time of a job goes.", "s", _both("dubflow_engine_stage_seconds", "stage")[1:]),
        Panel("Attempts", "From lease to end, whatever the outcome.", "s", _both("dubflow_job_seconds")),
        Panel("Segments a job", "Spoken together.", "short", _both("dubflow_engine_segments")),
        Panel(
            "Whose voice",
            "Finished jobs by stock voice or consent.",
            "ops",
            (Query(f"sum by (kind) (rate(dubflow_voices_total{_W}))", "{{kind}}"),),
        ),
    ),
)
SERVICE = Board(
    "dubflow-service",
    "dubflow: service",
    "From a request to a dub: promises, requests, jobs, dubs, models.",
    (_PROMISES, _REQUESTS, _JOBS, _DUBS, MODELS, PARTS),
)
