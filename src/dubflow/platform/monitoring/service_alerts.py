"""Alerts on what is scraped, on the gateway, its workers, and the models that answer for them."""

from __future__ import annotations

from dubflow.platform.monitoring.alert import Alert

JOBS = ("dubflow-gateway", "dubflow-triton", "dubflow-telemetry")
"""What is always scraped; ``dubflow-worker`` is not among them, because workers may be scaled to none."""


def _works(window: str) -> str:
    """Whether there is work for workers: jobs wait all the time, or are being done."""
    return (
        f"(max(min_over_time(dubflow_queue_jobs[{window}])) > 0 "
        f'or max(delta(dubflow_jobs{{state="done"}}[{window}])) > 0)'
    )


_AGAIN = 'sum(rate(dubflow_job_attempts_total{outcome=~"again|lost"}[30m]))'
_ATTEMPTS = "sum(rate(dubflow_job_attempts_total[30m]))"
_UNDELIVERED = 'sum(rate(dubflow_webhook_deliveries_total{outcome!="delivered"}[30m]))'
_DELIVERIES = "sum(rate(dubflow_webhook_deliveries_total[30m]))"

SCRAPING = (
    Alert(
        "DubflowTargetDown",
        'up{job=~"dubflow-.*"} == 0',
        "5m",
        "page",
        "{{ $labels.job }} does not answer its scrape",
        "{{ $labels.instance }} has not been scraped for 5 minutes: it is down, or nobody can reach its /metrics.",
        "DubflowTargetGone",
    ),
    *(
        Alert(
            "DubflowTargetGone",
            f'absent(up{{job="{job}"}})',
            "10m",
            "page" if job != "dubflow-telemetry" else "ticket",
            f"Nothing named {job} is scraped any more",
            "Service discovery finds no such target, so every alert on its data is blind.",
            "DubflowTargetGone",
            {"job": job},
        )
        for job in JOBS
    ),
    Alert(
        "DubflowApiUnknown",
        "absent(dubflow_http_requests_total)",
        "10m",
        "page",
        "No requests are counted",
        "Without dubflow_http_requests_total nobody knows whether the API answers.",
        "DubflowApiUnknown",
    ),
    Alert(
        "DubflowQueueUnknown",
        "absent(dubflow_queue_oldest_seconds)",
        "10m",
        "page",
        "The queue's age is unknown",
        "The gateway answers its scrape without the queue: it cannot read the database.",
        "DubflowQueueUnknown",
    ),
    Alert(
        "DubflowWorkersUnseen",
        "(absent(dubflow_worker_seen_timestamp_seconds) or time() - max(dubflow_worker_seen_timestamp_seconds) > 60) "
        f"and on() {_works('5m')}",
        "10m",
        "page",
        "There is work, and no worker is seen",
        "Jobs wait or are done, but no worker tells of itself: none runs, or none is scraped.",
        "DubflowQueueUnknown",
    ),
)

SERVING = (
    Alert(
        "DubflowModelNotDubbing",
        "min(dubflow_serving_healthy) == 0",
        "2m",
        "page",
        "The model does not dub",
        "The last real inference on the golden clip was wrong, or had no answer.",
        "DubflowModelUnknown",
    ),
    Alert(
        "DubflowModelUnknown",
        "absent(dubflow_serving_healthy) or time() - max(dubflow_serving_checked_timestamp_seconds) > 600",
        "5m",
        "page",
        "Nobody has tried the model for 10 minutes",
        "The golden clip is dubbed every half minute; now nobody does so, or nobody tells.",
        "DubflowModelUnknown",
    ),
    Alert(
        "DubflowTritonFailing",
        'sum by (model) (rate(nv_inference_request_failure{reason!="CANCELED"}[5m])) '
        "/ (sum by (model) (rate(nv_inference_request_success[5m])) "
        '+ sum by (model) (rate(nv_inference_request_failure{reason!="CANCELED"}[5m]))) > 0.05',
        "5m",
        "page",
        "{{ $labels.model }} fails on Triton",
        "More than 5 % of its inferences fail.",
        "DubflowTargetGone",
    ),
    Alert(
        "DubflowTritonBacklog",
        "max by (model) (avg_over_time(nv_inference_pending_request_count[10m])) > 50",
        "10m",
        "ticket",
        "Requests pile up before {{ $labels.model }}",
        "More than 50 inferences wait on average: instances are too few, or one hangs.",
        "DubflowTargetGone",
    ),
    Alert(
        "DubflowModelsDying",
        "max(increase(dubflow_serving_stubs_died_total[30m])) "
        "+ max(increase(dubflow_serving_server_restarts_total[30m])) >= 3",
        "0m",
        "ticket",
        "Processes of models keep dying",
        "Three or more in half an hour. They are healed each time, and dubs are tried again meanwhile.",
        "DubflowModelUnknown",
    ),
    Alert(
        "DubflowVersionRefused",
        "max(increase(dubflow_serving_refusals_total[1h])) > 0",
        "0m",
        "ticket",
        "A version was refused by serving",
        "A promoted version did not load, or did not dub the golden clip. The one before answers on.",
        "DubflowModelUnknown",
    ),
    Alert(
        "DubflowJobsTriedAgain",
        f"{_AGAIN} / {_ATTEMPTS} > 0.2 and {_ATTEMPTS} * 1800 >= 10",
        "10m",
        "ticket",
        "A fifth of all attempts is done again",
        "Workers lose jobs or fail them by our fault, and do them again: users wait longer, machines work twice.",
        "DubflowWorkersUnseen",
    ),
    Alert(
        "DubflowWebhooksFailing",
        f"{_UNDELIVERED} / {_DELIVERIES} > 0.5 and {_DELIVERIES} * 1800 >= 20",
        "15m",
        "ticket",
        "Most webhooks are not delivered",
        "More than half of the tries fail. One bad receiver does not do that: look at the way out.",
        "DubflowWorkersUnseen",
    ),
)
