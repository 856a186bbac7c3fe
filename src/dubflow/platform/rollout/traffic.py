"""What users' requests came to, from Prometheus' HTTP API; Triton's own counters, which name the version.

An answer that cannot be had is an error, an answer without the series is None: neither is ever read as "no errors".
"""

from __future__ import annotations

import math
from typing import Any

from dubflow.errors import OurFault
from dubflow.platform.rollout.checks import Requests
from dubflow.platform.rollout.policy import TrafficPolicy
from dubflow.serving.repository import FRONT, number_of

_ANSWER_S = 10.0


def queries(version: int, policy: TrafficPolicy, labels: str = "") -> dict[str, str]:
    """PromQL of each figure of a version.

    Args:
        labels: more matchers, such as ``,namespace="dubflow"``.

    A counter that has not been counted up yet has no series in Triton's failures, so those are counted as none where
    the successes are there; successes that are missing stay missing.
    """
    chosen = f'model="{FRONT}",version="{number_of(version)}"{labels}'
    window = f"{policy.window_s:g}s"
    served = f"sum(increase(nv_inference_request_success{{{chosen}}}[{window}]))"
    failed = f"sum(increase(nv_inference_request_failure{{{chosen}}}[{window}]))"
    bucket = "nv_inference_first_response_histogram_ms"
    timed = f"sum(increase({bucket}_count{{{chosen}}}[{window}]))"
    quick = f'sum(increase({bucket}_bucket{{{chosen},le=~"{policy.slow_ms:g}([.]0)?"}}[{window}]))'
    return {
        "served": served,
        "failed": f"{failed} or ({served} * 0)",
        "timed": timed,
        "slow": f"{timed} - {quick}",
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
        found = {name: self._one(query) for name, query in queries(version, policy, self._labels).items()}
        return Requests(**found)

    def close(self) -> None:
        """Let go of the connection."""
        self._http.close()

    def _one(self, query: str) -> float | None:
        """The one number that a query gives; None where it gives none."""
        import httpx

        try:
            answer = self._http.get("/api/v1/query", params={"query": query})
            content: Any = answer.json()
        except (httpx.HTTPError, ValueError) as error:
            raise self._away(str(error) or type(error).__name__) from error
        if answer.status_code != httpx.codes.OK or content.get("status") != "success":
            raise self._away(str(content.get("error", answer.status_code)))
        try:
            (one,) = content["data"]["result"] or (None,)
            number = None if one is None else float(one["value"][1])
        except (KeyError, TypeError, ValueError, IndexError) as error:
            raise self._away(f"its answer is of another shape ({error})") from error
        return number if number is not None and math.isfinite(number) else None

    def _away(self, why: str) -> OurFault:
        return OurFault(
            "platform.no_prometheus",
            f"Prometheus at {self.address} cannot be asked: {why[:300]}.",
            "The candidate stays where it is until it can.",
        )
