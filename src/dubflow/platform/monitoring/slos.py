"""What the service promises, as data; rules, alerts, their tests and dashboards are generated from it.

Two kinds of promise. A :class:`Share` is about events: so many of a hundred requests, or dubs, are good.
:class:`Moments` are about time: at so many of a hundred looks all is well; for gauges such as the queue's age. Both
give an error ratio over any window, so the same alerts on the speed with which the error budget is spent fit both
(Beyer et al., The Site Reliability Workbook, 2018, chapter 5: several windows, several burn rates).
"""

from __future__ import annotations

from dataclasses import dataclass

WINDOW = "WINDOW"
"""Stands for a window such as 5m in the expressions of a :class:`Share`."""
PERIOD = "30d"
"""Over which objectives hold."""


@dataclass(frozen=True)
class Burn:
    """Alert where the budget is spent ``factor`` times as fast as it lasts, over both windows.

    The long window says that it matters, the short one that it still goes on.
    """

    severity: str
    long: str
    short: str
    factor: float


BURNS = (
    Burn("page", "1h", "5m", 14.4),  # 2 % of a month's budget in an hour
    Burn("page", "6h", "30m", 6.0),  # 5 % in six hours
    Burn("ticket", "1d", "2h", 3.0),  # 10 % in a day
    Burn("ticket", "3d", "6h", 1.0),  # 10 % in three days: all of it by the end of the month
)
WINDOWS = ("5m", "30m", "1h", "2h", "6h", "1d", "3d")
SECONDS = {"5m": 300, "30m": 1800, "1h": 3600, "2h": 7200, "6h": 21600, "1d": 86400, "3d": 259200}


@dataclass(frozen=True)
class Share:
    """Good among all events.

    Attributes:
        bad, total: events a second over :data:`WINDOW`, without labels.
        least: events in the long window below which a ratio says nothing: one failure of three is no trend.
    """

    bad: str
    total: str
    least: int


@dataclass(frozen=True)
class Moments:
    """Good among all looks.

    Attributes:
        good: 1 or 0 at every look, without labels; nothing while it cannot be known.
    """

    good: str


@dataclass(frozen=True)
class Slo:
    """One promise.

    Attributes:
        name: in the label ``slo``; alerts are named after it.
        title, meaning: for people; what is counted, and what is not.
        objective: share of events or moments of :data:`PERIOD` that shall be good, below 1.
        alert: beginning of the names of its alerts; empty where an alert of its own on the level fits better (a
            verdict grows old for days, and no rate of that is news).
    """

    name: str
    title: str
    meaning: str
    objective: float
    sli: Share | Moments
    alert: str = ""

    @property
    def budget(self) -> float:
        """Share that may be bad."""
        return round(1 - self.objective, 6)


_NOT_USERS = 'route!~"/metrics|/healthz|/readyz|/v1/health/deep"'
SLOW = "5.0"
"""Seconds of work for a second of clip above which a dub is slow; a bound of the metric's histogram."""
OLD_S = 300
"""Seconds above which a job that waits is old."""
STALE_S = 36 * 3600
"""Seconds above which the newest verdict is stale: the nightly gate missed a night."""

SLOS = (
    Slo(
        "api_availability",
        "The API answers",
        "Requests that are not answered with 5xx. Probes and scrapes do not count; what a client did wrong is good.",
        0.999,
        Share(
            f'sum(rate(dubflow_http_requests_total{{status=~"5..",{_NOT_USERS}}}[{WINDOW}]))',
            f"sum(rate(dubflow_http_requests_total{{{_NOT_USERS}}}[{WINDOW}]))",
            100,
        ),
        "DubflowApiBudgetBurn",
    ),
    Slo(
        "dub_availability",
        "Dubs succeed",
        "Dubs that are not lost by our fault after all tries. What a request brought upon itself does not count, nor "
        "do cancels; jobs whose workers die each time are seen by DubflowJobsTriedAgain.",
        0.995,
        Share(
            f"sum(rate(dubflow_job_faults_total[{WINDOW}]))",
            f'sum(rate(dubflow_job_attempts_total{{outcome="done"}}[{WINDOW}])) '
            f"+ sum(rate(dubflow_job_faults_total[{WINDOW}]))",
            20,
        ),
        "DubflowDubBudgetBurn",
    ),
    Slo(
        "dub_speed",
        "Dubs are quick",
        f"Dubs that take at most {float(SLOW):g} s of work for a second of clip, without waiting.",
        0.95,
        Share(
            f"sum(rate(dubflow_dub_seconds_per_clip_second_count[{WINDOW}])) "
            f'- sum(rate(dubflow_dub_seconds_per_clip_second_bucket{{le="{SLOW}"}}[{WINDOW}]))',
            f"sum(rate(dubflow_dub_seconds_per_clip_second_count[{WINDOW}]))",
            20,
        ),
        "DubflowSpeedBudgetBurn",
    ),
    Slo(
        "queue_age",
        "Nobody waits long",
        f"Moments at which the oldest job that waits is at most {OLD_S} s old.",
        0.99,
        Moments(f"max(dubflow_queue_oldest_seconds) <= bool {OLD_S}"),
        "DubflowQueueBudgetBurn",
    ),
    Slo(
        "quality_drift",
        "What comes in is what the model knows",
        "Moments at which no feature of the clips that come in has drifted from the training's.",
        0.95,
        Moments("max(dubflow_drift_alarm) == bool 0"),
    ),
    Slo(
        "gate_freshness",
        "The gate is fresh",
        f"Moments at which the gate's newest verdict is at most {STALE_S // 3600} hours old.",
        0.95,
        Moments(f"time() - max(dubflow_gate_last_timestamp_seconds) <= bool {STALE_S}"),
    ),
)
