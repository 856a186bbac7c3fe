"""Training, validation and test: whole speakers, never parts of one.

Speakers are put in an order that depends on the seed and their names alone (SHA-256), and the first of them fill the
validation share, the next the test share; the rest train. Speakers who share a clip stay together. Clips without a
known speaker train: who speaks in them cannot be kept apart from anybody.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Literal

from pydantic import Field

from dubflow.config import Strict
from dubflow.corpora.manifest import ClipRow, Split


class SplitOptions(Strict):
    """How clips are split."""

    by: Literal["layout", "speaker", "none"] = Field(
        default="layout",
        description="layout: keep the splits that the layout states, else by speaker; none: leave all unsplit.",
    )
    val: float = Field(default=0.1, ge=0, lt=1, description="Share of clips for validation.")
    test: float = Field(default=0.1, ge=0, lt=1, description="Share of clips for the test.")
    seed: int = Field(default=0, ge=0, description="Another seed, another order of speakers.")


def assign_splits(rows: Sequence[ClipRow], options: SplitOptions) -> list[ClipRow]:
    """``rows`` with their split; no speaker stands in two of them unless the layout itself says so.

    A split gets no speaker where there are not enough of them: training comes first, then validation, then test.
    """
    if options.by == "none":
        return [row.model_copy(update={"split": None}) for row in rows]
    if options.by == "layout" and any(row.split is not None for row in rows):
        return list(rows)
    groups = speaker_groups(rows)
    order = sorted(groups, key=lambda name: hashlib.sha256(f"{options.seed}\0{name}".encode()).digest())
    split_of: dict[str, Split] = {}
    filled = {"val": 0, "test": 0, "train": 0}
    for index, name in enumerate(order):
        split: Split = "train"
        if index < len(order) - 1:  # the last speaker always trains
            split = _split_to_fill(filled, len(rows), options)
        filled[split] += len(groups[name])
        split_of[name] = split
    chosen = {row.id: split_of[name] for name, members in groups.items() for row in members}
    return [row.model_copy(update={"split": chosen.get(row.id, "train")}) for row in rows]


def _split_to_fill(filled: Mapping[str, int], total: int, options: SplitOptions) -> Split:
    if filled["val"] < options.val * total:
        return "val"
    if filled["test"] < options.test * total:
        return "test"
    return "train"


def training_rows(rows: Iterable[ClipRow]) -> list[ClipRow]:
    """What may be learned from: the train split where splits are given, everything where they are not."""
    return [row for row in rows if row.split in (None, "train")]


def speaker_groups(rows: Iterable[ClipRow]) -> dict[str, list[ClipRow]]:
    """Clips of known speakers; speakers of one clip, and of clips so joined, form one group (named after the first)."""
    leader: dict[str, str] = {}

    def find(name: str) -> str:
        while leader.setdefault(name, name) != name:
            name = leader[name]
        return name

    known = [(row, names) for row in rows if (names := speakers_of(row))]
    for _, names in known:
        first, *others = sorted(find(name) for name in names)
        for other in others:
            leader[other] = first
    groups: dict[str, list[ClipRow]] = defaultdict(list)
    for row, names in known:
        groups[find(names[0])].append(row)
    return dict(groups)


def speakers_of(row: ClipRow) -> list[str]:
    """Everybody known to speak in a clip, sorted."""
    names = {segment.speaker for segment in row.segments}
    if row.speaker is not None:
        names.add(row.speaker)
    return sorted(names)
