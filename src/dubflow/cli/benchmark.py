"""``dubflow benchmark``: what systems are asked to dub, and what their clips are judged against."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dubflow.cli.output import DryRun, Json, Workers, emit, print_table
from dubflow.errors import WrongUse

if TYPE_CHECKING:
    from rich.console import Console

    from dubflow.corpora.result import Coverage
    from dubflow.judging.card.from_corpus import Choice

SHOWN = 10
"""Problems shown to a person; all of them stand in the JSON."""
_TIERS = ("standard", "challenging")
_SLICES = ("tasks", "difficulty", "language_pair", "speaker", "length")

app = typer.Typer(help="Benchmarks: rendered here, or made of an imported corpus.", no_args_is_help=True)


@app.callback()
def benchmark() -> None:
    """Benchmarks: rendered here, or made of an imported corpus."""


@app.command()
def build(
    tier: Annotated[str, typer.Argument(help="standard (plain scenes) or challenging (profile, occlusion, …).")],
    out: Annotated[Path | None, typer.Option(help="Its folder; by default benchmarks/TIER where demos go.")] = None,
    seed: Annotated[int | None, typer.Option(min=0, help="Same seed, same digest; by default the preset's.")] = None,
    items: Annotated[int | None, typer.Option(min=1, help="How many; by default the preset's.")] = None,
    preset: Annotated[str, typer.Option(help="A shipped preset or a YAML file; its section benchmark.")] = "tiny",
    workers: Workers = None,
    as_json: Json = False,
    dry_run: DryRun = False,
) -> None:
    """Render a tier in the embedded world.

    Speakers are nobody whom the starter model or the small judges met. Goes on where an earlier run stopped, and does
    nothing where everything is there.
    """
    from dubflow.config import Settings, load_preset, validated
    from dubflow.platform.benchmark_plans import BenchmarkSettings, plan_tier
    from dubflow.platform.benchmarks import build_tier, summary

    if tier not in _TIERS:
        raise WrongUse("cli.wrong_use", f"There is no tier {tier!r}.", f"Known: {', '.join(_TIERS)}.")
    settings = load_preset(preset, "benchmark", BenchmarkSettings)
    changes = {"seed": seed, f"{tier}_items": items}
    given = {name: value for name, value in changes.items() if value is not None}
    settings = validated(BenchmarkSettings, {**settings.model_dump(), **given}, "--seed, --items")
    folder = out or Settings().home / "benchmarks" / tier
    known: Any = tier
    if dry_run:
        from collections import Counter

        from dubflow.speech.espeak import default_synthesizer

        slots = plan_tier(known, settings, default_synthesizer())
        kinds = dict(Counter(slot.plan.kind for slot in slots))
        plan = {"out": str(folder), "items": len(slots), "kinds": kinds}
        told = f"{len(slots)} items would be rendered into {folder}; nothing was written (--dry-run)"
        emit(plan, as_json, lambda console: console.print(told, markup=False, highlight=False))
        return
    built = build_tier(known, folder, settings, workers=workers)
    counts = summary(built.benchmark)
    answer = {"out": str(built.path), "rendered": built.rendered, "seconds": built.seconds, **counts}

    def human(console: Console) -> None:
        _print_counts(console, counts)
        new = (
            f"{built.rendered} clips rendered now in {built.seconds:.1f} s" if built.rendered else "all found finished"
        )
        console.print(f"Benchmark: {built.path} ({new})", markup=False, highlight=False)

    emit(answer, as_json, human)


@app.command("from")
def from_(
    corpus: Annotated[Path, typer.Argument(help="An imported or rendered corpus.")],
    out: Annotated[
        Path | None, typer.Option(help="The JSON file, in the corpus or above; by default CORPUS/benchmark.json.")
    ] = None,
    setting: Annotated[
        str, typer.Option(help="Own text: voice of another clip (2.0) or of the clip itself (1.0).")
    ] = "2.0",
    task: Annotated[
        list[str] | None, typer.Option(help="own_text or translation; repeatable; by default both.")
    ] = None,
    texts: Annotated[Path | None, typer.Option(help="Table (TSV: clip, language, text) of translations.")] = None,
    names: Annotated[Path | None, typer.Option(help="File with the ids of the clips to take, one a line.")] = None,
    split: Annotated[list[str] | None, typer.Option(help="Only clips of this split; repeatable.")] = None,
    language: Annotated[list[str] | None, typer.Option(help="Only clips that speak it; repeatable.")] = None,
    into: Annotated[list[str] | None, typer.Option(help="Only translations into it; repeatable.")] = None,
    speaker: Annotated[list[str] | None, typer.Option(help="Only clips of this speaker; repeatable.")] = None,
    tag: Annotated[list[str] | None, typer.Option(help="Only clips with this tag; repeatable.")] = None,
    items: Annotated[int | None, typer.Option(min=1, help="At most so many, spread over speakers.")] = None,
    seed: Annotated[int, typer.Option(min=0, help="Which ones, and which clip lends its voice.")] = 0,
    name: Annotated[str | None, typer.Option(help="Of the benchmark; by default the corpus's.")] = None,
    as_json: Json = False,
    dry_run: DryRun = False,
) -> None:
    """Make a benchmark of a corpus: HDTF, TalkVid, GRID, Chem, … once `dubflow corpus import` has found their media.

    Whatever was chosen and cannot be dubbed is counted with its reason: no media, no transcript, no other clip of the
    speaker.
    """
    from dubflow.judging.card.from_corpus import listed_missing, make_benchmark, read_names, read_texts
    from dubflow.judging.card.items import write_benchmark
    from dubflow.platform.benchmarks import BENCHMARK, summary

    content: dict[str, Any] = {
        "setting": setting, "splits": tuple(split or ()), "languages": tuple(language or ()), "into": tuple(into or ()),
        "speakers": tuple(speaker or ()), "tags": tuple(tag or ()), "items": items, "seed": seed,
        "names": read_names(names) if names else (),
    }  # fmt: skip
    if task:
        content["tasks"] = tuple(task)
    path = out or corpus / BENCHMARK
    table = read_texts(texts) if texts else None
    made = make_benchmark(corpus, _choice(content), name=name, texts=table, root=path.parent)
    counts, absent = summary(made.benchmark), listed_missing(corpus)
    if not dry_run:
        write_benchmark(made.benchmark, path)
    answer = {
        "out": None if dry_run else str(path), **counts, "coverage": made.coverage.as_dict(), "not_imported": absent
    }  # fmt: skip

    def human(console: Console) -> None:
        _print_counts(console, counts)
        _print_missing(console, made.coverage, absent)
        told = "Nothing was written (--dry-run)" if dry_run else f"Benchmark: {path}"
        console.print(told, markup=False, highlight=False)

    emit(answer, as_json, human)


@app.command()
def show(
    file: Annotated[str, typer.Argument(help="A benchmark's folder or JSON file.")],
    as_json: Json = False,
) -> None:
    """Say what is in a benchmark: counts by task, difficulty, language pair, speaker and length, and its digest."""
    from dubflow.judging.card.items import read_benchmark
    from dubflow.platform.benchmarks import BENCHMARK, summary

    path = Path(file)
    counts = summary(read_benchmark(path / BENCHMARK if path.is_dir() else path))
    emit(counts, as_json, lambda console: _print_counts(console, counts))


def _choice(content: dict[str, Any]) -> Choice:
    from dubflow.config import validated
    from dubflow.errors import BadInput
    from dubflow.judging.card.from_corpus import Choice

    try:
        return validated(Choice, content, "options")
    except BadInput as error:
        raise WrongUse("cli.wrong_use", error.headline, "See `dubflow benchmark from --help`.") from error


def _print_counts(console: Console, counts: dict[str, Any]) -> None:
    console.print(f"{counts['name']}: {counts['items']} items ({counts['world']} world)", markup=False, highlight=False)
    for slicing in _SLICES:
        named = ", ".join(f"{name or 'unknown'} {count}" for name, count in counts[slicing].items())
        console.print(f"{slicing.replace('_', ' ')}: {named}", markup=False, highlight=False)
    console.print(f"digest: {counts['digest']}", markup=False, highlight=False)


def _print_missing(console: Console, coverage: Coverage, absent: dict[str, int]) -> None:
    if absent:
        told = ", ".join(f"{count} {code}" for code, count in absent.items())
        console.print(f"Listed by the corpus and never imported: {told}", markup=False, highlight=False)
    if coverage.problems:
        rows = [(one.kind, one.code, one.item, one.reason) for one in coverage.problems[:SHOWN]]
        print_table(console, "Chosen and no items", ("kind", "code", "clip", "reason"), rows)
    if len(coverage.problems) > SHOWN:
        console.print(f"… and {len(coverage.problems) - SHOWN} more; --json lists all.", highlight=False)
