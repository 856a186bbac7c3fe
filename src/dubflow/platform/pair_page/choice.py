"""Which pairs are shown with their clips: some of every kind, always the same."""

from __future__ import annotations

from collections.abc import Sequence

from dubflow.incontext.pairs.manifest import PairRow
from dubflow.incontext.pairs.quality.verdicts import reason_of
from dubflow.training.plan import spread

_ORDER = "qd"


def chosen(rows: Sequence[PairRow], count: int) -> list[PairRow]:
    """At most ``count`` kept and ``count`` refused pairs.

    Kept ones are spread over the run by QD, from worst to best, so that a page shows what just passed. Refused ones
    take turns by their first reason, so that a rare reason is seen beside a common one.
    """
    kept = sorted((row for row in rows if not row.rejected), key=lambda row: (row.qc.get(_ORDER, -1.0), row.id))
    by_reason: dict[str, list[PairRow]] = {}
    for row in rows:
        if row.rejected:
            by_reason.setdefault(reason_of(row.rejected[0]), []).append(row)
    refused: list[PairRow] = []
    turn = 0
    while len(refused) < count and any(len(group) > turn for group in by_reason.values()):
        refused += [group[turn] for _, group in sorted(by_reason.items()) if len(group) > turn]
        turn += 1
    return spread(kept, count) + refused[:count]
