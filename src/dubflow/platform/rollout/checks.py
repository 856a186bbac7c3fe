"""One look at a candidate: each check passes, fails, or says that nobody knows yet.

What must be *shown* is that the candidate is not worse by more than a margin (non-inferiority); what must be shown to
send it back is that it is. In between lies ``hold``. Missing figures are ``hold`` and never anything else.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from dubflow.config import Strict
from dubflow.judging.gate.comparison import FEWEST_UNITS, compare
from dubflow.platform.rollout.policy import RolloutPolicy

Outcome = Literal["pass", "hold", "fail", "not_asked"]
_SEED = 0


class Check(Strict):
    """What one check says."""

    name: str
    outcome: Outcome
    reason: str = Field(description="One sentence with the figures.")
    figures: dict[str, float] = Field(default_factory=dict)


@dataclass(frozen=True)
class GoldenPair:
    """The golden clip with the same noise, dubbed by both versions.

    Attributes:
        phones: that should be heard. candidate_errors, champion_errors: phones that are wrong, by the phone judge.
        candidate_s, champion_s: seconds of the dubs.
        candidate_failed, champion_failed: code of the error; empty where there was none.
    """

    seed: int
    phones: int
    candidate_errors: int
    champion_errors: int
    candidate_s: float
    champion_s: float
    candidate_failed: str = ""
    champion_failed: str = ""


@dataclass(frozen=True)
class Requests:
    """What Prometheus counted of one version in a window.

    Attributes:
        served, failed: dubs; None where there is no such series, or Prometheus gave no number.
        minutes: moment, dubs, and seconds that they took inside the server together, of each minute that has figures.
    """

    served: float | None
    failed: float | None
    minutes: tuple[tuple[float, float, float], ...] = ()


def quality(pairs: Sequence[GoldenPair], policy: RolloutPolicy, look: int) -> Check:
    """Non-inferiority of the phone error rate over paired golden dubs (bootstrap-t, ``judging.gate.comparison``).

    A dub that failed counts as said all wrong.
    """
    table = np.array(
        [
            (
                one.phones if one.candidate_failed else one.candidate_errors,
                one.phones,
                one.phones if one.champion_failed else one.champion_errors,
                one.phones,
            )
            for one in pairs
        ],
        dtype=np.float64,
    ).reshape(-1, 4)
    return _not_worse(
        "quality", "phone error rate of golden dubs", table, policy.quality_margin, policy, look, as_percent=True
    )


def speed(pairs: Sequence[GoldenPair], policy: RolloutPolicy, look: int) -> Check:
    """Non-inferiority of the time of a golden dub; the margin is a share of the champion's mean.

    The margin is known only up to the champion's mean, whose error is small beside it; dubs that failed are left out.
    """
    both = [one for one in pairs if not (one.candidate_failed or one.champion_failed)]
    mean = sum(one.champion_s for one in both) / len(both) if both else 0.0
    if mean <= 0:
        return Check(name="speed", outcome="hold", reason="No golden dub was made by both versions.")
    table = np.array([(one.candidate_s / mean, 1.0, one.champion_s / mean, 1.0) for one in both], dtype=np.float64)
    return _not_worse(
        "speed", "time of a golden dub, against the champion's mean", table, policy.speed_margin, policy, look
    )


def answering(pairs: Sequence[GoldenPair]) -> Check:
    """Golden dubs that the candidate fails and the champion does not send it back; where both fail nobody knows."""
    own = [one for one in pairs if one.candidate_failed and not one.champion_failed]
    both = [one for one in pairs if one.champion_failed]
    figures = {"dubs": float(len(pairs)), "candidate_only": float(len(own)), "champion": float(len(both))}
    if own:
        codes = ", ".join(sorted({one.candidate_failed for one in own}))
        reason = f"The candidate fails {len(own)} of {len(pairs)} golden dubs that the champion speaks ({codes})."
        return Check(name="answering", outcome="fail", reason=reason, figures=figures)
    if both or not pairs:
        reason = f"The champion itself fails {len(both)} of {len(pairs)} golden dubs: the server is not well."
        return Check(name="answering", outcome="hold", reason=reason, figures=figures)
    reason = f"All {len(pairs)} golden dubs were spoken by both versions."
    return Check(name="answering", outcome="pass", reason=reason, figures=figures)


def errors(candidate: Requests | None, champion: Requests | None, policy: RolloutPolicy, look: int) -> Check:
    """Non-inferiority of the share of failed requests."""
    parts = [(one.failed, _sum(one.served, one.failed)) if one else (None, None) for one in (candidate, champion)]
    return _shares("errors", "failed requests", parts[0], parts[1], policy.traffic.error_margin, policy, look)


def latency(candidate: Requests | None, champion: Requests | None, policy: RolloutPolicy, look: int) -> Check:
    """Non-inferiority of a dub's mean time inside the server, over minutes in which both versions worked.

    Minutes are what is drawn: what makes one slow for both cancels, and dubs of one minute are not independent.
    """
    ours, theirs = ({at: (dubs, seconds) for at, dubs, seconds in one.minutes} if one else {} for one in
                    (candidate, champion))  # fmt: skip
    both = sorted(at for at in ours.keys() & theirs.keys() if ours[at][0] > 0 and theirs[at][0] > 0)
    dubs = sum(theirs[at][0] for at in both)
    mean = sum(theirs[at][1] for at in both) / dubs if dubs else 0.0
    if mean <= 0:
        reason = "There is no minute with figures of both versions: that is no sign of health."
        return Check(name="latency", outcome="hold", reason=reason)
    table = np.array([(ours[at][1] / mean, ours[at][0], theirs[at][1] / mean, theirs[at][0]) for at in both])
    what = "mean time of a dub inside the server, against the champion's"
    return _not_worse("latency", what, table, policy.traffic.latency_margin, policy, look, units="minutes")


def difference(ours: tuple[float, float], theirs: tuple[float, float], alpha: float) -> tuple[float, float]:
    """One-sided bounds at ``1 - alpha`` each of the difference of two shares, ours minus theirs.

    Newcombe's hybrid of two Wilson intervals (Statistics in Medicine 17, 1998, method 10): right also where a share is
    0, as of errors it mostly is, and where the normal approximation of the difference has no width at all.

    Args:
        ours, theirs: how many, and of how many (> 0).
    """
    z = NormalDist().inv_cdf(1 - alpha)
    (low_a, high_a), (low_b, high_b) = _wilson(*ours, z), _wilson(*theirs, z)
    a, b = ours[0] / ours[1], theirs[0] / theirs[1]
    low = a - b - math.hypot(a - low_a, high_b - b)
    high = a - b + math.hypot(high_a - a, b - low_b)
    return low, high


def outcome_of(checks: Sequence[Check]) -> Literal["pass", "hold", "fail"]:
    """One that fails sends it back; one that does not know holds it; nothing at all holds it as well."""
    found = {one.outcome for one in checks} - {"not_asked"}
    return "fail" if "fail" in found else "hold" if "hold" in found or not found else "pass"


def _not_worse(
    name: str,
    what: str,
    table: NDArray[np.float64],
    margin: float,
    policy: RolloutPolicy,
    look: int,
    *,
    as_percent: bool = False,
    units: str = "golden dubs",
) -> Check:
    alpha = policy.alpha_of(look)
    found = compare(table, higher_is_better=False, seed=_SEED + look, rounds=policy.rounds)
    if found is None:
        reason = f"{len(table)} {units} say nothing about the {what}; {FEWEST_UNITS} are the least."
        return Check(name=name, outcome="hold", reason=reason, figures={"units": float(len(table))})
    shown, harmed = found.p_above(-margin), found.p_below(-margin)
    scale, unit = (100.0, " %") if as_percent else (1.0, "")
    figures = {
        "candidate": found.challenger,
        "champion": found.champion,
        "units": float(found.units),
        "margin": margin,
        "alpha": alpha,
        "p_not_worse": shown,
        "p_worse": harmed,
    }
    told = (
        f"The {what} is {scale * found.challenger:.3g}{unit}, the champion's {scale * found.champion:.3g}{unit} "
        f"({found.units} {units}); "
    )
    limit = f"{scale * margin:.3g}{unit}"
    if shown <= alpha:
        return Check(name=name, outcome="pass", reason=f"{told}a loss of {limit} is ruled out.", figures=figures)
    if harmed <= alpha:
        return Check(name=name, outcome="fail", reason=f"{told}it is worse by more than {limit}.", figures=figures)
    return Check(name=name, outcome="hold", reason=f"{told}a loss of {limit} is not ruled out.", figures=figures)


def _shares(
    name: str,
    what: str,
    candidate: tuple[float | None, float | None],
    champion: tuple[float | None, float | None],
    margin: float,
    policy: RolloutPolicy,
    look: int,
) -> Check:
    least = policy.traffic.least_requests
    figures: dict[str, float] = {"margin": margin}
    pairs: list[tuple[float, float]] = []
    for who, (some, all_) in (("candidate", candidate), ("champion", champion)):
        if some is None or all_ is None or not (math.isfinite(some) and math.isfinite(all_)):
            reason = f"There are no figures of the {who}'s requests: that is no sign of health."
            return Check(name=name, outcome="hold", reason=reason, figures=figures)
        figures |= {f"{who}_some": some, f"{who}_all": all_}
        if all_ < least:
            reason = f"The {who} had {all_:.0f} requests in {policy.traffic.window_s:g} s; {least} are asked for."
            return Check(name=name, outcome="hold", reason=reason, figures=figures)
        pairs.append((min(max(0.0, some), all_), all_))
    low, high = difference(pairs[0], pairs[1], policy.alpha_of(look))
    figures |= {"low": low, "high": high}
    rates = [100 * some / all_ for some, all_ in pairs]
    told = f"{rates[0]:.2g} % of the candidate's and {rates[1]:.2g} % of the champion's are {what}; "
    if high <= margin:
        return Check(name=name, outcome="pass", reason=f"{told}a rise of {100 * margin:g} % is ruled out.",
                     figures=figures)  # fmt: skip
    if low > margin:
        return Check(name=name, outcome="fail", reason=f"{told}the rise is more than {100 * margin:g} %.",
                     figures=figures)  # fmt: skip
    reason = f"{told}a rise of {100 * margin:g} % is not ruled out ({100 * high:.2g} % is possible)."
    return Check(name=name, outcome="hold", reason=reason, figures=figures)


def _wilson(some: float, all_: float, z: float) -> tuple[float, float]:
    """Wilson's score interval (Journal of the American Statistical Association 22, 1927)."""
    share = some / all_
    middle = (share + z * z / (2 * all_)) / (1 + z * z / all_)
    half = z / (1 + z * z / all_) * math.sqrt(share * (1 - share) / all_ + z * z / (4 * all_ * all_))
    return max(0.0, middle - half), min(1.0, middle + half)


def _sum(first: float | None, second: float | None) -> float | None:
    return None if first is None or second is None else first + second
