"""Whether the judges put spoilt clips in the order in which they are spoilt; prints the tables of docs/judging.md.

    python benchmarks/judge_calibration.py --benchmark DIR/benchmark.json --out DIR [--items 24] [--only GROUP ...]
    python benchmarks/judge_calibration.py --corpus DIR --out DIR [--items 16]

From a benchmark, items are taken whose reference says the text; from a corpus, clips of speakers outside its training
split. ``--out`` keeps clips and answers: a second run asks only what is new. Figures from drawn and spoken material are
of the embedded world.
"""

from __future__ import annotations

import argparse
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

from dubflow.corpora.manifest import read_manifest
from dubflow.judging.calibration.conditions import CONDITIONS, make_conditions
from dubflow.judging.calibration.orders import check
from dubflow.judging.calibration.report import figures_tables, findings_table
from dubflow.judging.card.evaluate import System, evaluate
from dubflow.judging.card.from_corpus import Choice, benchmark_of
from dubflow.judging.card.items import Benchmark, read_benchmark
from dubflow.judging.card.rows import ScoreCard
from dubflow.judging.judges import JudgeSettings, build_judges
from dubflow.progress import reporting


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--benchmark", type=Path)
    source.add_argument("--corpus", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--items", type=int, default=24)
    parser.add_argument("--languages", nargs="*", default=(), help="of a corpus' clips; all by default")
    parser.add_argument("--only", nargs="*", default=(), help="metrics, groups of metrics or judges")
    parser.add_argument("--conditions", nargs="*", help="names; all by default")
    parser.add_argument("--workers", type=int, default=2)
    options = parser.parse_args()
    lenders, root = items_of(options.benchmark, options.corpus, options.languages)
    benchmark = narrowed(lenders, options.items)
    with reporting("spoiling clips", None, "clips") as progress:
        folders = make_conditions(
            benchmark, root, options.out / "systems", lenders=lenders, chosen=options.conditions,
            workers=options.workers, progress=progress,
        )  # fmt: skip
    judges = build_judges(JudgeSettings(only=tuple(options.only)), benchmark, root)
    cards: dict[str, ScoreCard] = {}
    for condition in CONDITIONS:
        if condition.name not in folders:
            continue
        with reporting(condition.name, len(benchmark.items), "clips") as progress:
            cards[condition.name] = evaluate(
                benchmark, root, folders[condition.name], judges.functions, System(condition.name),
                cache=options.out / "cache", sample_rate=judges.sample_rate, crops=judges.crops,
                set_functions=judges.set_functions, workers=options.workers, progress=progress,
            )  # fmt: skip
    speakers = len({item.tags.speaker for item in benchmark.items})
    print(f"{len(benchmark.items)} items of {speakers} speakers, {benchmark.world} world, benchmark {benchmark.name}")
    print(f"\n{figures_tables(cards)}\n\n{findings_table(check(cards))}")


def items_of(benchmark: Path | None, corpus: Path | None, languages: Sequence[str] = ()) -> tuple[Benchmark, Path]:
    """Items whose reference says their text, and the folder that their paths are relative to."""
    if benchmark is not None:
        return own_text(read_benchmark(benchmark)), benchmark.parent
    assert corpus is not None  # one of the two is required
    choice = Choice(tasks=("own_text",), splits=("val", "test"), languages=tuple(languages))
    return benchmark_of(read_manifest(corpus), choice).benchmark, corpus


def own_text(benchmark: Benchmark) -> Benchmark:
    """Its items whose reference says the item's own text."""
    items = [item for item in benchmark.items if item.facts.get("task") == "own_text" and item.reference is not None]
    return benchmark.model_copy(update={"items": tuple(items)})


def narrowed(benchmark: Benchmark, count: int) -> Benchmark:
    """``count`` items, of each speaker in turn."""
    by_speaker = defaultdict(list)
    for item in benchmark.items:
        by_speaker[item.tags.speaker].append(item)
    turns = [(turn, speaker, item) for speaker, own in by_speaker.items() for turn, item in enumerate(own)]
    chosen = [item for _, _, item in sorted(turns, key=lambda one: one[:2])[:count]]
    return benchmark.model_copy(update={"items": tuple(sorted(chosen, key=lambda item: item.id))})


if __name__ == "__main__":
    main()
