"""Every metric of a server, once: name, kind, labels, meaning. ``docs/observability.md`` shows this table.

Base units (seconds, bytes, ratios), counters end in ``_total``. Labels have few values: never a tenant's text, a file's
name or an id.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Kind = Literal["counter", "gauge", "histogram"]
Place = Literal["gateway", "worker", "scrape"]

_FAST = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
_SLOW = (0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 20.0, 40.0, 80.0, 160.0, 320.0, 640.0)
_RATIO = (0.05, 0.1, 0.2, 0.35, 0.5, 0.75, 1.0, 1.5, 2.0, 3.0, 5.0, 10.0, 20.0)
_COUNT = (1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0)


@dataclass(frozen=True)
class Metric:
    """One metric.

    Attributes:
        place: which process counts it; ``scrape``: computed when somebody asks.
        buckets: upper bounds of a histogram.
        begins: values of the only label that are counted from zero on, so that the first of them is seen as a rise.
    """

    name: str
    kind: Kind
    meaning: str
    labels: tuple[str, ...] = ()
    place: Place = "gateway"
    buckets: tuple[float, ...] = ()
    begins: tuple[str, ...] = ()

    @property
    def unit(self) -> str:
        """Base unit, from the name."""
        bare = self.name.removesuffix("_total")
        units = ("timestamp_seconds", "seconds_per_clip_second", "clip_seconds", "seconds", "bytes", "ratio")
        found = next((one for one in units if bare.endswith(one)), "")
        return {"timestamp_seconds": "seconds since 1970", "seconds_per_clip_second": "1", "clip_seconds": "seconds",
                "ratio": "1"}.get(found, found)  # fmt: skip


METRICS: tuple[Metric, ...] = (
    # HTTP
    Metric("dubflow_http_requests_total", "counter", "Answered requests.", ("method", "route", "status")),
    Metric("dubflow_http_request_seconds", "histogram", "Time until the first byte of the answer.",
           ("method", "route"), buckets=_FAST),
    Metric("dubflow_http_requests_open", "gauge", "Requests that are being answered."),
    Metric("dubflow_http_request_bytes_total", "counter", "Bytes of bodies received, uploads included.", ("route",)),
    Metric("dubflow_http_rejections_total", "counter", "Answers that were errors, by their code.", ("code",)),
    Metric("dubflow_http_event_streams_open", "gauge", "Clients that follow a job by server-sent events."),
    # Jobs
    Metric("dubflow_queue_jobs", "gauge", "Jobs that wait.", place="scrape"),
    Metric("dubflow_queue_oldest_seconds", "gauge", "Age of the oldest job that waits; 0 without one.", place="scrape"),
    Metric("dubflow_jobs", "gauge", "Jobs in the database, by state.", ("state",), place="scrape"),
    Metric("dubflow_job_attempts_total", "counter", "Attempts at jobs that ended, by how.", ("outcome",), "worker",
           begins=("done", "failed", "cancelled", "again", "lost")),
    Metric("dubflow_job_faults_total", "counter", "Jobs that failed for good by our fault, not their request's.", (),
           "worker"),
    Metric("dubflow_job_seconds", "histogram", "Time of an attempt, from lease to end.", ("outcome",), "worker", _SLOW),
    Metric("dubflow_job_wait_seconds", "histogram", "Time from submission to the first lease.", (), "worker", _SLOW),
    Metric("dubflow_dubbed_clip_seconds_total", "counter", "Length of the clips that were dubbed.", (), "worker"),
    Metric("dubflow_dub_seconds_per_clip_second", "histogram", "Work for a second of clip.", (), "worker", _RATIO),
    Metric("dubflow_voices_total", "counter", "Finished jobs by whose voice spoke: stock or consent.", ("kind",),
           "worker"),
    Metric("dubflow_consent_refusals_total", "counter", "Jobs refused or stopped for want of consent, by code.",
           ("code",), "worker"),
    Metric("dubflow_webhook_deliveries_total", "counter", "Tries to deliver webhooks.", ("outcome",), "worker",
           begins=("delivered", "failed", "given_up")),
    # Engines
    Metric("dubflow_engine_stage_seconds", "histogram", "Time of a job's stage: planning, looking, speaking, writing.",
           ("stage",), "worker", _SLOW),
    Metric("dubflow_engine_segments", "histogram", "Segments of a job, spoken together.", (), "worker", _COUNT),
    Metric("dubflow_worker_seen_timestamp_seconds", "gauge", "When a worker last said that it lives.", ("worker",),
           "worker"),
    # Serving
    Metric("dubflow_serving_version_info", "gauge", "1 for the versions that are loaded.",
           ("role", "version", "engine", "world"), "scrape"),
    Metric("dubflow_serving_mode_info", "gauge", "1 for how models are run: triton or in_process.", ("mode",),
           "scrape"),
    Metric("dubflow_serving_healthy", "gauge", "Whether the last real inference was right.", place="scrape"),
    Metric("dubflow_serving_check_seconds", "gauge", "How long the last real inference took.", place="scrape"),
    Metric("dubflow_serving_checked_timestamp_seconds", "gauge", "When that was.", place="scrape"),
    Metric("dubflow_serving_switches_total", "counter", "Changes of the current version.", place="scrape"),
    Metric("dubflow_serving_refusals_total", "counter", "Versions refused.", place="scrape"),
    Metric("dubflow_serving_checks_failed_total", "counter", "Real inferences that were wrong.", place="scrape"),
    Metric("dubflow_serving_stubs_died_total", "counter", "Processes of models found dead.", place="scrape"),
    Metric("dubflow_serving_reloads_total", "counter", "Versions loaded again to heal them.", place="scrape"),
    Metric("dubflow_serving_server_restarts_total", "counter", "Starts of Triton after it died.", place="scrape"),
    # Drift of what comes in, against what the model learnt from
    Metric("dubflow_drift_ratio", "gauge", "Distance to the training reference, 0 to 1.", ("feature",), "scrape"),
    Metric("dubflow_drift_threshold_ratio", "gauge", "From which distance on it is drift.", ("feature",), "scrape"),
    Metric("dubflow_drift_alarm", "gauge", "1 where the distance is above its threshold.", ("feature",), "scrape"),
    Metric("dubflow_drift_clips", "gauge", "Clips in the window.", ("feature",), "scrape"),
)  # fmt: skip

BY_NAME = {metric.name: metric for metric in METRICS}
