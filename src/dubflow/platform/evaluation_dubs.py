"""A benchmark's items dubbed by an engine: what came out, what failed and why, and what it cost."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dubflow.config import validated
from dubflow.dubbing.engine import Engine
from dubflow.dubbing.jobs import DubTask, dub_all
from dubflow.dubbing.request import SELF, DubOptions, DubRequest
from dubflow.dubbing.result import DubResult
from dubflow.errors import BadInput, DubflowError, WrongUse
from dubflow.judging.card.items import Benchmark, BenchmarkItem
from dubflow.progress import Progress

_OF_THE_ITEM = frozenset(("speech.unknown_language",))
"""Wrong uses that are an item's, not the command's: the engine has no such language."""


@dataclass
class BenchmarkDubs:
    """What became of the items.

    Attributes:
        results: of those that were dubbed, by id. found: how many of these an earlier run had finished.
        failures: why the others were not, by id.
    """

    results: dict[str, DubResult] = field(default_factory=dict)
    found: int = 0
    failures: dict[str, str] = field(default_factory=dict)

    @property
    def costs(self) -> Mapping[str, float]:
        """``device_s_per_minute``: seconds of work a minute of dubbed clip, whichever run did it; empty without any."""
        minutes = sum(result.duration_s for result in self.results.values()) / 60
        if not minutes:
            return {}
        return {"device_s_per_minute": sum(result.seconds for result in self.results.values()) / minutes}


def dub_benchmark(
    engine: Engine[Any], benchmark: Benchmark, root: Path, folder: Path, options: DubOptions, progress: Progress
) -> BenchmarkDubs:
    """Dub every item into ``folder``, item ``a/1`` as ``a/1.mp4``; what an earlier run finished is found.

    Items are dubbed one by one: what an engine says may hang on who else is in its batch (a draw on a code's border),
    and then a run that was stopped would end with other clips than one that was not. ``progress`` advances by an item.

    Raises:
        WrongUse: ``dubbing.out_exists`` and whatever else would be wrong for every item.
    """
    report = BenchmarkDubs()
    for item in benchmark.items:
        try:
            task = DubTask(request_of(item, root, options), folder / f"{item.id}.mp4")
            one = dub_all([task], engine, progress)
        except DubflowError as error:
            if isinstance(error, WrongUse) and error.code not in _OF_THE_ITEM:
                raise
            report.failures[item.id] = reason_of(error)
            progress.note(f"{item.id}: {error.headline}")
            progress.advance()
            continue
        report.found += one.found
        for result in one.results:
            report.results[item.id] = result
        for failed in one.errors:
            report.failures[item.id] = reason_of(failed)
    return report


def request_of(item: BenchmarkItem, root: Path, options: DubOptions) -> DubRequest:
    """What an item asks for: its source with its transcript, in its voice, or the source's own where it names none.

    Raises:
        BadInput: ``platform.nothing_asked`` for an item without clip, text or language.
    """
    lacking = [
        name
        for name, value in (("clip", item.source), ("text", item.transcript), ("language", item.language))
        if not value
    ]
    if lacking or item.source is None:
        raise BadInput(
            "platform.nothing_asked",
            f"The item {item.id} has no {' and no '.join(lacking)} to dub.",
            "It can judge finished clips only: dubflow evaluate --clips.",
        )
    own = item.voice is None or item.voice.sha256 == item.source.sha256
    content = {
        "clip": root / item.source.path,
        "segments": [{"text": item.transcript}],
        "language": item.language,
        "reference": SELF if own or item.voice is None else str(root / item.voice.path),
        "options": options,
    }
    return validated(DubRequest, content, f"item {item.id}")


def reason_of(error: DubflowError) -> str:
    """Why an item has no clip, as its row says it."""
    return f"{error.headline} [{error.code}]"
