"""Whose clip lends the wrong sentence, the other voice, the other face."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from dubflow.errors import BadInput
from dubflow.judging.card.items import Benchmark, BenchmarkItem


@dataclass(frozen=True)
class Donor:
    """A clip that lends its sound or its picture."""

    item: str
    path: Path
    sha256: str


def donors(benchmark: Benchmark, lenders: Benchmark, root: Path, condition: str) -> dict[str, Donor]:
    """The donor of every item of ``benchmark`` among the items of ``lenders``, by id; empty for conditions without.

    ``wrong_text``: another sentence of the same speaker, of the same language where there is one. ``other_voice`` and
    ``other_face``: another speaker, with the same sentence where somebody says it, else in the same language. Of equals
    the one that follows the item in the order of ids, so that not all borrow from the first.

    Raises:
        BadInput: ``judging.no_donor``.
    """
    rules: dict[str, tuple[_Allowed, _Fit]] = {
        "wrong_text": (_same_speaker_other_text, _fit_language),
        "other_voice": (_other_speaker, _fit_text),
        "other_face": (_other_speaker, _fit_text),
    }
    if condition not in rules:
        return {}
    allowed, fit = rules[condition]
    able = [item for item in lenders.items if item.reference is not None]
    return {item.id: _donor(item, able, root, condition, allowed, fit) for item in benchmark.items}


_Allowed = Callable[[BenchmarkItem, BenchmarkItem], bool]
_Fit = Callable[[BenchmarkItem, BenchmarkItem], int]


def _donor(
    item: BenchmarkItem, able: list[BenchmarkItem], root: Path, condition: str, allowed: _Allowed, fit: _Fit
) -> Donor:
    after = [one for one in able if one.id > item.id]
    others = [one for one in (*after, *able) if one.id != item.id and allowed(item, one)]
    if not others:
        raise BadInput(
            "judging.no_donor",
            f"Nobody can lend {item.id} what the condition {condition} needs.",
            "Calibrate on at least two speakers with two sentences each, named by tags and transcripts.",
        )
    best = max(others, key=lambda one: fit(item, one))  # the first of equals
    assert best.reference is not None  # the able have one
    return Donor(best.id, root / best.reference.path, best.reference.sha256)


def _same_speaker_other_text(item: BenchmarkItem, other: BenchmarkItem) -> bool:
    return bool(item.tags.speaker) and item.tags.speaker == other.tags.speaker and item.transcript != other.transcript


def _other_speaker(item: BenchmarkItem, other: BenchmarkItem) -> bool:
    return bool(item.tags.speaker and other.tags.speaker) and item.tags.speaker != other.tags.speaker


def _fit_language(item: BenchmarkItem, other: BenchmarkItem) -> int:
    return int(item.language == other.language)


def _fit_text(item: BenchmarkItem, other: BenchmarkItem) -> int:
    return 2 * int(item.transcript is not None and item.transcript == other.transcript) + _fit_language(item, other)
