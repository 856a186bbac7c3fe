"""Which order of the conditions every metric of the catalogue must show, and whether score cards show it.

An order counts as shown where the paired bootstrap interval of the difference lies on the right side of zero, as
contradicted where it lies on the wrong one, and as unclear where it holds zero: these clips cannot tell. What must stay
the same counts as shown where the whole interval lies within a tolerance.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

import numpy as np

from dubflow.judging.bootstrap import ROUNDS
from dubflow.judging.calibration.conditions import SHIFTS
from dubflow.judging.card.aggregates import contributions
from dubflow.judging.card.resampling import Floats, resampled_sums
from dubflow.judging.card.rows import ClipScore, Metric, Population, ScoreCard
from dubflow.judging.listings import LISTINGS

Kind = Literal["less", "same", "signed"]
Outcome = Literal["shown", "unclear", "contradicted", "no figure"]

FEWEST_CLIPS = 4
"""With fewer pairs every order is unclear."""

_EARLY = tuple(f"early_{n}" for n in SHIFTS)
_LATE = tuple(f"late_{n}" for n in SHIFTS)
_CONTENT = ("wer", "wer_mean", "wer_legacy", "cer", "per", "per_mean", "wer_open", "cer_open")
_SYNC = ("pipeline", "lrs", "small")
_NOISE = ("noise_20", "noise_10", "noise_0", "noise_minus_5")


@dataclass(frozen=True)
class Order:
    """What one metric must show of two conditions.

    Attributes:
        kind: ``less``: the figure of ``first`` is less than that of ``second`` (offsets as absolute values); ``same``:
            they differ by no more than ``within``; ``signed``: with their signs, ``second`` minus ``first`` is
            ``within``'s sign.
        within: tolerance of ``same``; expected difference of ``signed``.
    """

    metric: str
    kind: Kind
    first: str
    second: str
    within: float = 0.0

    def __str__(self) -> str:
        if self.kind == "less":
            return f"{self.metric}: {self.first} < {self.second}"
        if self.kind == "same":
            return f"{self.metric}: {self.first} = {self.second} (within {self.within:g})"
        return f"{self.metric}: {self.second} - {self.first} is {'positive' if self.within > 0 else 'negative'}"


@dataclass(frozen=True)
class Finding:
    """What the cards say of an order: the difference ``second - first``, its interval, the pairs of clips."""

    order: Order
    outcome: Outcome
    difference: float | None = None
    low: float | None = None
    high: float | None = None
    clips: int = 0


def orders_of(metric: str) -> tuple[Order, ...]:
    """Every order that a metric of the catalogue must show; none for a metric that is not there."""
    return tuple(one for one in ORDERS if one.metric == metric)


def check(cards: Mapping[str, ScoreCard], orders: Sequence[Order] | None = None) -> tuple[Finding, ...]:
    """What ``cards`` (by condition) say of every order whose metric both cards have.

    Orders of conditions that have no card are left out. Without a pair of clips, or of a metric of whole sets, there is
    no interval, and the outcome is ``no figure``.
    """
    found = []
    for order in ORDERS if orders is None else orders:
        if order.first not in cards or order.second not in cards:
            continue
        metric, other = (cards[name].metric(order.metric) for name in (order.first, order.second))
        if metric is not None and other is not None:
            found.append(_found(order, metric, cards[order.first], cards[order.second]))
    return tuple(found)


def _found(order: Order, metric: Metric, first: ScoreCard, second: ScoreCard) -> Finding:
    table = _paired(metric, first.rows, second.rows, signed=order.kind == "signed")
    if not len(table):
        return Finding(order, "no figure")
    sums = table.sum(axis=0)
    drawn = resampled_sums(table, rounds=ROUNDS)
    difference = float(sums[2] / sums[3] - sums[0] / sums[1])
    low, high = np.quantile(drawn[:, 2] / drawn[:, 3] - drawn[:, 0] / drawn[:, 1], [0.025, 0.975])
    # So few clips always agree with each other: their interval is narrow, and says nothing.
    outcome = _outcome(order, float(low), float(high)) if len(table) >= FEWEST_CLIPS else "unclear"
    return Finding(order, outcome, difference, float(low), float(high), len(table))


def _outcome(order: Order, low: float, high: float) -> Outcome:
    if order.kind == "same":
        if max(abs(low), abs(high)) <= order.within:
            return "shown"
        return "contradicted" if low > order.within or high < -order.within else "unclear"
    if order.kind == "signed" and order.within < 0:
        low, high = -high, -low
    if low > 0:
        return "shown"
    return "contradicted" if high < 0 else "unclear"


def _paired(metric: Metric, first: Sequence[ClipScore], second: Sequence[ClipScore], *, signed: bool) -> Floats:
    """``[clips, 4]``: numerator and denominator of both, of the clips that count in both."""
    if metric.aggregate == "distribution":
        return np.zeros((0, 4))
    population: Population = "successes" if metric.worst is None or signed else "intention_to_treat"
    # With its sign a figure is a plain mean; as judged, an offset is averaged as absolute value.
    plain = metric.model_copy(update={"better": "none"}) if signed else metric
    shared = sorted({row.clip for row in first} & {row.clip for row in second})
    columns = []
    for rows in (first, second):
        by_clip = {row.clip: row for row in rows}
        added = contributions([by_clip[clip] for clip in shared], plain, population)
        columns.append((added.over, added.under, added.counted & (added.under > 0)))
    both = columns[0][2] & columns[1][2]
    return np.stack([column[both] for over, under, _ in columns for column in (over, under)], axis=1)


def _less(metric: str, *chain: str) -> list[Order]:
    """Each less than the next."""
    return [Order(metric, "less", first, second) for first, second in pairwise(chain)]


def _more(metric: str, *chain: str) -> list[Order]:
    """Each more than the next."""
    return _less(metric, *reversed(chain))


def _same(metric: str, within: float, *others: str) -> list[Order]:
    return [Order(metric, "same", "truth", other, within) for other in others]


def _signed(metric: str, expected: float, *others: str) -> list[Order]:
    return [Order(metric, "signed", "truth", other, expected) for other in others]


def _both(metric: str, others: Sequence[str], *, more: bool) -> list[Order]:
    """The truth is on the better side of each of ``others``."""
    return [one for other in others for one in (_more if more else _less)(metric, "truth", other)]


def _words(metric: str) -> list[Order]:
    return [
        *_both(metric, ("noise_0", "noise_minus_5", "wrong_text"), more=False),
        *_less(metric, *_NOISE),
        *_same(metric, 0.1, "again", "late_2"),
        *([] if metric == "wer_legacy" else _both(metric, ("silence",), more=False)),
    ]


def _likeness(metric: str) -> list[Order]:
    return [
        *_both(metric, ("other_voice", "silence", "noise_minus_5"), more=True),
        *_more(metric, "wrong_text", "other_voice"),
        *_more(metric, *_NOISE),
        *_same(metric, 0.02, "again", "late_2"),
    ]


def _opinion(metric: str) -> list[Order]:
    return [*_more(metric, "truth", *_NOISE), *_same(metric, 0.2, "again", "late_2", "wrong_text")]


def _against_true_sound(metric: str, *, more: bool) -> list[Order]:
    chain = _more if more else _less
    return [*chain(metric, "truth", *_NOISE), *_both(metric, ("wrong_text", "silence", "other_voice"), more=more)]


def _melody(metric: str, *, more: bool = False) -> list[Order]:
    return _both(metric, ("wrong_text", "other_voice", "late_5"), more=more)


def _edge(metric: str) -> list[Order]:
    return [
        *_less(metric, "truth", "late_2", "late_5", "late_10"),
        *_less(metric, "truth", "early_2", "early_5"),
        *_signed(metric, 1, "late_2", "late_5", "late_10"),
        *_signed(metric, -1, "early_2", "early_5"),
        *_same(metric, 0.02, "again", "noise_20"),
    ]


def _offset(metric: str) -> list[Order]:
    return [
        *_less(metric, "truth", *_EARLY),
        *_less(metric, "truth", *_LATE),
        *_signed(metric, 1, *_EARLY),
        *_signed(metric, -1, *_LATE),
    ]


def _agreement(metric: str, *, more: bool) -> list[Order]:
    """How well lips and sound go together, at the best shift: moving the sound changes nothing."""
    return _both(metric, ("wrong_text", "silence", "frozen", "noise_minus_5"), more=more)


def _identity(metric: str) -> list[Order]:
    return [
        *_both(metric, ("other_face", "blurred"), more=True),
        *_same(metric, 1e-6, "again", "noise_0", "wrong_text"),
    ]


def _background(metric: str) -> list[Order]:
    return [
        *_both(metric, ("blurred", "dark", "other_face"), more=True),
        *_same(metric, 1e-6, "again", "noise_0", "wrong_text"),
    ]


def _listed() -> list[Order]:
    found = [
        *(one for name in _CONTENT for one in _words(name)),
        *(one for name in ("secs", "v_sim") for one in _likeness(name)),
        *_both("own_voice", ("other_voice", "silence"), more=True),
        *_more("own_voice", "wrong_text", "other_voice"),
        *_same("own_voice", 0.1, "again", "late_2"),
        *_opinion("utmos"),
        *(one for part in ("signal", "background", "overall", "p808") for one in _opinion(f"dnsmos_{part}")),
        *_against_true_sound("mcd", more=False),
        *_less("mcd", "truth", "late_1", "late_2"),
        *_both("mcd", ("late_5",), more=False),
        *_against_true_sound("mcd_dtw", more=False),
        *_against_true_sound("pesq", more=True),
        *_against_true_sound("stoi", more=True),
        *_both("stoi", ("late_1", "late_5"), more=True),
        *(one for name in ("ffe", "gpe", "vde") for one in _melody(name)),
        *_both("ffe", ("silence", "noise_minus_5"), more=False),
        *_melody("f0_correlation", more=True),
        *_both("emo_sim", ("wrong_text", "other_voice", "silence"), more=True),
        *_both("duration_error", ("longer", "shorter"), more=False),
        *_signed("duration_error", 1, "longer"),
        *_signed("duration_error", -1, "shorter"),
        *_same("duration_error", 1e-6, "again", "noise_0", "late_5", "wrong_text", "silence"),
        *_both("int_corr", ("wrong_text", "silence", "late_5", "noise_minus_5"), more=True),
        *_more("int_corr", "truth", "late_1", "late_2"),  # further on it meets the next syllable
        *(one for name in ("speech_start_error", "speech_end_error") for one in _edge(name)),
        *(one for crop in _SYNC for one in _agreement(f"lse_c_{crop}", more=True)),
        *(one for crop in _SYNC for one in _agreement(f"lse_d_{crop}", more=False)),
        *(one for crop in _SYNC for one in _offset(f"av_offset_{crop}")),
        *_offset("mouth_offset"),
        *_agreement("mouth_correlation", more=True),
        *_both("mouth_correlation", ("early_2", "early_5", "late_2", "late_5"), more=True),
        *(one for name in ("csim", "csim_embedded") for one in _identity(name)),
        *(
            one
            for kind in ("geometric", "paper")
            for one in (
                *_less(f"mar_diversity_{kind}", "frozen", "truth"),
                *_same(f"mar_diversity_{kind}", 1e-6, "again", "noise_0", "wrong_text"),
            )
        ),
        *_less("lmd", "truth", "frozen", "other_face"),
        *_same("lmd", 1e-6, "again", "noise_0", "wrong_text"),
        *_both("qd", ("other_face",), more=False),
        *_less("qd", "frozen", "other_face"),
        *(one for name in ("psnr_outside_face", "ssim_outside_face") for one in _background(name)),
    ]
    judged = [one.name for one in LISTINGS if one.worst is not None]
    better = {one.name: one.better for one in LISTINGS}
    # Whatever a metric is about, not delivering must not pay.
    for name in judged:
        found += (_more if better[name] == "higher" else _less)(name, "truth", "missing")
    return found


ORDERS: tuple[Order, ...] = tuple(_listed())
"""Of the whole catalogue; of whole sets (FID, FVD) none, since one figure has no interval."""
