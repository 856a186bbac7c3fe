"""How many clips a second the offline judges judge: each alone, and all together in an evaluation.

    python benchmarks/judge_speed.py --benchmark DIR/benchmark.json --out DIR [--items 8]
    python benchmarks/judge_speed.py --corpus DIR --out DIR [--items 8]

The clips are dubs of the sound alone: another sentence over the source's own picture. The baseline is the plain way, in
the same run and with the same judges and answers: every judge looks at the dub and at its source by itself. Judges are
loaded before their clocks start, except in whole evaluations, whose time is everything until the card is there.
"""

from __future__ import annotations

import argparse
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from dubflow.judging.calibration.conditions import make_conditions
from dubflow.judging.card.evaluate import System, evaluate, find_clips
from dubflow.judging.card.functions import Answer, Measured, MetricFunction
from dubflow.judging.card.items import BenchmarkItem, Subject
from dubflow.judging.card.rows import JudgePin, Metric, ScoreCard
from dubflow.judging.card.scoring import Job, subject
from dubflow.judging.judges import JudgeSettings, build_judges
from dubflow.judging.offline.looking import forget
from dubflow.media.probe import probe
from judge_calibration import items_of, narrowed


@dataclass
class Plain:
    """A judge that shares nothing with the others; a ``MetricFunction``."""

    of: MetricFunction

    @property
    def judge(self) -> str:
        """The judge's."""
        return self.of.judge

    @property
    def pin(self) -> JudgePin:
        """The judge's."""
        return self.of.pin

    @property
    def metrics(self) -> tuple[Metric, ...]:
        """The judge's."""
        return self.of.metrics

    def missing(self) -> str | None:
        """The judge's."""
        return self.of.missing()

    def prepare(self) -> None:
        """The judge's."""
        self.of.prepare()

    def score(self, subject: Subject) -> Mapping[str, Answer]:
        """The judge's, as if nobody had looked at the clip before."""
        forget()
        return self.of.score(subject)

    def when_failed(self, item: BenchmarkItem) -> Mapping[str, Answer]:
        """The judge's."""
        return self.of.when_failed(item)


def timed(work: Callable[[], object]) -> tuple[float, float]:
    """Seconds by the clock and of this process's processor."""
    wall, own = time.perf_counter(), time.process_time()
    work()
    return time.perf_counter() - wall, time.process_time() - own


def each_alone(judges: Sequence[MetricFunction], subjects: Sequence[Subject], seconds: Mapping[str, float]) -> None:
    """A line a judge, over the clips that it has a figure of (an English recogniser has none of Greek)."""
    print("| judge | metrics | load s | clips | clips/s | times real time | processor s a clip |")
    print("|---|---|---|---|---|---|---|")
    for judge in judges:
        forget()
        load, _ = timed(judge.prepare)
        # The first round is for lazy imports, and says which clips there is something to judge of.
        told = [one for one in subjects if any(isinstance(answer, Measured) for answer in judge.score(one).values())]
        if not told:
            print(f"| {judge.judge} | {len(judge.metrics)} | {load:.1f} | 0 | – | – | – |", flush=True)
            continue
        forget()
        wall, own = timed(lambda: [judge.score(one) for one in told])  # noqa: B023
        real = sum(seconds[one.item.id] for one in told) / wall
        cells = [judge.judge, len(judge.metrics), f"{load:.1f}", len(told), f"{len(told) / wall:.2f}", f"{real:.1f}"]
        print(f"| {' | '.join(map(str, cells))} | {own / len(told):.3f} |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--benchmark", type=Path)
    source.add_argument("--corpus", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--items", type=int, default=8)
    options = parser.parse_args()
    lenders, root = items_of(options.benchmark, options.corpus)
    benchmark = narrowed(lenders, options.items)
    folder = make_conditions(benchmark, root, options.out, lenders=lenders, chosen=["wrong_text"], workers=1)[
        "wrong_text"
    ]
    judges = build_judges(JudgeSettings(), benchmark, root)
    found = find_clips(benchmark, folder)
    subjects = [subject(Job(item, found[item.id], root)) for item in benchmark.items]
    seconds = {one.item.id: float(probe(one.clip).duration or 0) for one in subjects}
    length = sum(seconds.values())
    print(f"{len(subjects)} clips, {length:.0f} s, {benchmark.world} world; each judge alone, one process\n")
    each_alone(judges.functions, subjects, seconds)

    def whole(shared: bool, cache: Path, workers: int) -> ScoreCard:
        fresh = build_judges(JudgeSettings(), benchmark, root)  # nothing loaded yet
        functions = fresh.functions if shared else [Plain(one) for one in fresh.functions]
        return evaluate(
            benchmark, root, folder, functions, System("dub"), cache=cache, sample_rate=fresh.sample_rate,
            crops=fresh.crops, workers=workers,
        )  # fmt: skip

    print("\n| evaluation, all judges | processes | s | clips/s | times plain |")
    print("|---|---|---|---|---|")
    plain: float | None = None
    cards = []
    for name, shared, workers, kept in (
        ("plain: every judge by itself", False, 1, False),
        ("ours, cold", True, 1, False),
        ("ours, cold", True, 2, False),
        ("ours, everything known", True, 1, True),
        ("ours, everything known", True, 2, True),
    ):
        cache = options.out / "speed-cache"
        forget()
        if not kept:
            shutil.rmtree(cache, ignore_errors=True)
        wall, _ = timed(lambda: cards.append(whole(shared, cache, workers)))  # noqa: B023
        plain = wall if plain is None else plain
        print(f"| {name} | {workers} | {wall:.1f} | {len(subjects) / wall:.2f} | {plain / wall:.1f} |", flush=True)
    shutil.rmtree(options.out / "speed-cache", ignore_errors=True)
    print(f"\nThe cards are {'the same' if len({card.digest for card in cards}) == 1 else 'NOT the same'}.")


if __name__ == "__main__":
    main()
