"""What users' requests came to, from Prometheus' HTTP API; Triton's own counters, which name the version.

An answer that cannot be had is an error, an answer without the series is None: neither is ever read as "no errors". The
front model answers before it has worked (it streams) and tells failures as events, so failures and times are those of
the models behind it; Triton 24.10 has no histogram of latencies for them.
"""

from __future__ import annotations

import math
import time
from typing import Any

from dubflow.errors import OurFault
from dubflow.platform.rollout.checks import Requests
from dubflow.platform.rollout.policy import TrafficPolicy
from dubflow.serving.repository import FRONT, number_of

_ANSWER_S = 10.0
_MINUTE_S = 60


def queries(version: int, policy: TrafficPolicy, labels: str = "") -> dict[str, str]:
    """PromQL of each figure of a version: ``served`` and ``failed`` at a moment, ``dubs`` and ``seconds`` by minute.

    Args:
        labels: more matchers, such as ``,namespace="dubflow"``.

    What a client cancelled is no failure. A counter that was never counted up may have no series, so no failures are
    none where dubs were served; dubs that are missing stay missing.
    """
    own = f'version="{number_of(version)}"{labels}'
    front, parts = f'model="{FRONT}",{own}', f'model=~"{FRONT}_.+",{own}'
    window = f"{policy.window_s:g}s"
    served = f"sum(increase(nv_inference_request_success{{{front}}}[{window}]))"
    failed = f'sum(increase(nv_inference_request_failure{{model=~"{FRONT}(_.+)?",reason!="CANCELED",{own}}}[{window}]))'
    return {
        "served": served,
        "failed": f"{failed} or ({served} * 0)",
        "dubs": f"sum(increase(nv_inference_request_success{{{front}}}[{_MINUTE_S}s]))",
        "seconds": f"sum(increase(nv_inference_request_duration_us{{{parts}}}[{_MINUTE_S}s])) / 1e6",
    }


class Prometheus:
    """One server.

    Args:
        address: such as ``http://prometheus.monitoring:9090``.
    """

    def __init__(self, address: str, *, labels: str = "") -> None:
        import httpx

        self.address, self._labels = address.rstrip("/"), labels
        self._http = httpx.Client(base_url=self.address, timeout=_ANSWER_S, trust_env=False)

    def requests(self, version: int, policy: TrafficPolicy) -> Requests:
        """What a version's requests came to.

        Raises:
            OurFault: ``platform.no_prometheus``.
        """
        asked = queries(version, policy, self._labels)
        dubs, seconds = (self._minutes(asked[name], policy.window_s) for name in ("dubs", "seconds"))
        return Requests(
            served=self._one(asked["served"]),
            failed=self._one(asked["failed"]),
            minutes=tuple((at, dubs[at], seconds[at]) for at in sorted(dubs.keys() & seconds.keys())),
        )

    def close(self) -> None:
        """Let go of the connection."""
        self._http.close()

    def _one(self, query: str) -> float | None:
        """The one number that a query gives; None where it gives none."""
        result = self._asked("query", {"query": query})
        return None if result is None else _number(result["value"])

    def _minutes(self, query: str, window_s: float) -> dict[float, float]:
        """What a query gives at each full minute of the window."""
        end = time.time() // _MINUTE_S * _MINUTE_S  # the same moments for every version
        span = {"start": str(end - window_s), "end": str(end), "step": str(_MINUTE_S)}
        result = self._asked("query_range", {"query": query, **span})
        found = [] if result is None else [(float(one[0]), _number(one)) for one in result["values"]]
        return {at: value for at, value in found if value is not None}

    def _asked(self, what: str, parameters: dict[str, str]) -> dict[str, Any] | None:
        """The one series of an answer, whose values read; None where there is none."""
        import httpx

        try:
            answer = self._http.get(f"/api/v1/{what}", params=parameters)
            content: Any = answer.json()
        except (httpx.HTTPError, ValueError) as error:
            raise self._away(str(error) or type(error).__name__) from error
        if answer.status_code != httpx.codes.OK or content.get("status") != "success":
            raise self._away(str(content.get("error", answer.status_code)))
        try:
            (one,) = content["data"]["result"] or (None,)
            for value in () if one is None else one.get("values", [one.get("value")]):
                float(value[0]), float(value[1])
        except (KeyError, TypeError, ValueError, IndexError) as error:
            raise self._away(f"its answer is of another shape ({error})") from error
        return None if one is None else dict(one)

    def _away(self, why: str) -> OurFault:
        return OurFault(
            "platform.no_prometheus",
            f"Prometheus at {self.address} cannot be asked: {why[:300]}.",
            "The candidate stays where it is until it can.",
        )


def _number(value: Any) -> float | None:
    number = float(value[1])
    return number if math.isfinite(number) else None
