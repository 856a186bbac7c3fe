"""Every metric there is: what it means, who judges it, and whether that judge is at hand.

Two tiers of judges. ``offline`` needs nothing that a package does not carry; ``full`` needs large networks that
somebody brings. What a tier cannot judge is a gap with a reason, never a figure that looks like another's.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from dubflow.errors import WrongUse
from dubflow.judging.card.rows import Metric
from dubflow.judging.kinds import JUDGES
from dubflow.judging.listings import LISTINGS, Group, Listing

Tier = Literal["offline", "full"]

__all__ = ["JUDGES", "LISTINGS", "Group", "Listing", "Tier", "gaps", "judge_of", "listing", "metric", "metrics"]


@dataclass(frozen=True)
class Gap:
    """A metric that a tier cannot measure, and why."""

    metric: str
    judge: str
    reason: str


def listing(name: str) -> Listing:
    """The entry of a metric.

    Raises:
        WrongUse: ``judging.unknown_metric``.
    """
    for one in LISTINGS:
        if one.name == name:
            return one
    raise WrongUse("judging.unknown_metric", f"There is no metric {name!r}.", f"Known: {', '.join(names())}.")


def names() -> tuple[str, ...]:
    """Of all metrics, as tables show them."""
    return tuple(one.name for one in LISTINGS)


def judge_of(name: str, tier: Tier) -> str | None:
    """Kind of the judge that measures a metric in a tier (a key of :data:`JUDGES`); None where there is none.

    Raises:
        WrongUse: ``judging.unknown_metric``.
    """
    one = listing(name)
    return one.offline if tier == "offline" else one.full


def metric(name: str, judge: str) -> Metric:
    """A metric as a score card holds it, measured by the judge of that id.

    Raises:
        WrongUse: ``judging.unknown_metric``.
    """
    return listing(name).metric(judge)


def metrics(tier: Tier, chosen: Iterable[str] | None = None) -> tuple[Metric, ...]:
    """Those of ``chosen`` (all, unless said otherwise) that a tier can measure, with the kind of judge as its id.

    Raises:
        WrongUse: ``judging.unknown_metric``.
    """
    wanted = names() if chosen is None else tuple(chosen)
    found = ((name, judge_of(name, tier)) for name in wanted)
    return tuple(metric(name, judge) for name, judge in found if judge is not None)


def gaps(tier: Tier, chosen: Iterable[str] | None = None) -> tuple[Gap, ...]:
    """Those that it cannot, each with the judge that could and the reason why it is not there.

    Raises:
        WrongUse: ``judging.unknown_metric``.
    """
    wanted = names() if chosen is None else tuple(chosen)
    missing = (listing(name) for name in wanted if judge_of(name, tier) is None)
    return tuple(_gap(one) for one in missing)


def _gap(one: Listing) -> Gap:
    wanting = one.wanting
    return Gap(one.name, wanting, JUDGES[wanting].gap)
