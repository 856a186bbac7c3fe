"""``dubflow evaluate``: a model's dubs, or anybody's clips, before every judge; the answer is a score card."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dubflow.cli.output import DryRun, Json, Workers, emit
from dubflow.errors import WrongUse

if TYPE_CHECKING:
    from rich.console import Console

    from dubflow.dubbing.request import DubOptions
    from dubflow.judging.card.items import Benchmark
    from dubflow.judging.judges import JudgeSettings
    from dubflow.platform.evaluation import Evaluation

_HELP = "See `dubflow evaluate --help`."


def evaluate(
    out: Annotated[Path, typer.Option(help="Folder of the score card.")],
    model: Annotated[str | None, typer.Argument(help="A stored dubber: a folder, or `starter`.")] = None,
    benchmark: Annotated[
        str | None, typer.Option(help="`standard`, `challenging` (rendered where absent), or a benchmark's file.")
    ] = None,
    references: Annotated[
        Path | None, typer.Option(help="Instead: a table (CSV, JSON lines) of what clips are held against.")
    ] = None,
    clips: Annotated[
        Path | None, typer.Option(help="Instead of a model: a folder of anybody's clips, named like the items.")
    ] = None,
    system: Annotated[str | None, typer.Option(help="Name of the system on the card.")] = None,
    world: Annotated[str | None, typer.Option(help="Of a table's clips: real, or embedded for rendered ones.")] = None,
    judges: Annotated[
        str | None, typer.Option(help="A YAML file or preset whose section `judges` names weights of large judges.")
    ] = None,
    only: Annotated[
        str | None, typer.Option(help="Metrics, groups (content, voice, sync, …) or judges, with commas between.")
    ] = None,
    nfe: Annotated[int, typer.Option(min=1, max=128, help="Steps of the model's flow.")] = 16,
    seed: Annotated[int, typer.Option(min=0, help="Of the dubs.")] = 0,
    temperature: Annotated[float, typer.Option(min=0, max=10, help="0 takes the likeliest tokens.")] = 1.0,
    no_face: Annotated[str, typer.Option(help="A clip without a face: refuse (it failed) or speak.")] = "refuse",
    lip_weights: Annotated[Path | None, typer.Option(help="Of the paper's lip reader, if the model wants it.")] = None,
    face_weights: Annotated[Path | None, typer.Option(help="Of the paper's face network, if it wants that.")] = None,
    cache: Annotated[Path | None, typer.Option(help="What judges said before; by default OUT/cache.")] = None,
    figures: Annotated[
        Path | None, typer.Option(help="Folder for metrics.json and by_difficulty.csv, for dvc and the like.")
    ] = None,
    workers: Workers = None,
    as_json: Json = False,
    dry_run: DryRun = False,
) -> None:
    """Dub a benchmark with MODEL, or take the clips in --clips, and let every judge look at them.

    The card names each judge, its figures with 95 % intervals, clips that failed (they count at their worst), and each
    metric that nobody could judge with the reason. What is done is kept: a run that was stopped goes on where it was.
    """
    if (model is None) == (clips is None):
        raise WrongUse("cli.wrong_use", "Give either a MODEL or --clips.", _HELP)
    if (benchmark is None) == (references is None):
        raise WrongUse("cli.wrong_use", "Give either --benchmark or --references.", _HELP)
    if world is not None and (references is None or world not in ("embedded", "real")):
        raise WrongUse("cli.wrong_use", "--world says of --references whether they are embedded or real.", _HELP)

    from dubflow.judging.judges import read_judge_settings

    settings = read_judge_settings(judges)
    if only is not None:
        chosen = tuple(name.strip() for name in only.split(",") if name.strip())
        settings = settings.model_copy(update={"only": chosen})
    dub = _options(nfe, seed, temperature, no_face)
    if dry_run and benchmark is not None and _unrendered(benchmark):
        told = f"The benchmark {benchmark} is not rendered yet and would be, first; nothing was written (--dry-run)"
        emit({"benchmark": benchmark, "rendered": False}, as_json, lambda console: console.print(told, highlight=False))
        return
    items, root = _benchmark(benchmark, references, world, workers, dry_run)
    if dry_run:
        _dry_run(items, root, settings, model, clips, out, as_json)
        return

    from dubflow.platform.evaluation import evaluate_clips, evaluate_model

    if clips is not None:
        made = evaluate_clips(clips, items, root, out, settings, system=system, cache=cache, workers=workers)
    else:
        made = evaluate_model(
            str(model), items, root, out, settings, options=dub, system=system, lip_weights=lip_weights,
            face_weights=face_weights, cache=cache, workers=workers,
        )  # fmt: skip
    if figures is not None:
        from dubflow.judging.card.figures import write_figures

        write_figures(made.card, figures)
    emit(_document(made), as_json, lambda console: _print(console, made))


def _options(nfe: int, seed: int, temperature: float, no_face: str) -> DubOptions:
    from dubflow.config import validated
    from dubflow.dubbing.request import DubOptions
    from dubflow.errors import BadInput

    chosen = {"steps": nfe, "seed": seed, "temperature": temperature, "no_face": no_face}
    try:
        return validated(DubOptions, chosen, "options")
    except BadInput as error:
        raise WrongUse("cli.wrong_use", error.headline, _HELP) from error


def _unrendered(name: str) -> bool:
    from typing import get_args

    from dubflow.config import Settings
    from dubflow.platform.benchmark_plans import Tier
    from dubflow.platform.benchmarks import BENCHMARK

    return name in get_args(Tier) and not (Settings().home / "benchmarks" / name / BENCHMARK).is_file()


def _benchmark(
    named: str | None, references: Path | None, world: Any, workers: int | None, dry_run: bool
) -> tuple[Benchmark, Path]:
    """What is asked, and the folder that its paths are relative to; a tier is rendered where it is absent."""
    from typing import get_args

    from dubflow.config import Settings
    from dubflow.judging.card.references import read_references
    from dubflow.platform.benchmark_plans import Tier
    from dubflow.platform.benchmarks import open_benchmark
    from dubflow.progress import reporting

    if references is not None:
        return read_references(references, world=world), references.parent
    name, home = str(named), Settings().home
    if name not in get_args(Tier):
        return open_benchmark(name, home)
    if dry_run:  # as it lies there, without looking whether this version would render it anew
        return open_benchmark(str(home / "benchmarks" / name), home)
    with reporting(f"benchmark {name}", None, "clips") as progress:
        return open_benchmark(name, home, workers=workers, progress=progress)


def _dry_run(
    benchmark: Benchmark,
    root: Path,
    settings: JudgeSettings,
    model: str | None,
    clips: Path | None,
    out: Path,
    as_json: bool,
) -> None:
    from dubflow.diflow.stored import find_model
    from dubflow.judging.judges import build_judges
    from dubflow.platform.evaluation import CLIPS, check_clips

    if model is not None:
        find_model(model)
    judges = build_judges(settings, benchmark, root)
    there = check_clips(clips, benchmark) if clips is not None else {}
    asked = {one.judge: [metric.name for metric in one.metrics] for one in (*judges.functions, *judges.set_functions)}
    document = {
        "benchmark": benchmark.name,
        "world": benchmark.world,
        "items": len(benchmark.items),
        "clips": len(there) if clips is not None else None,
        "out": str(out),
        "judges": asked,
        "gaps": dict(judges.gaps),
    }

    def human(console: Console) -> None:
        from dubflow.cli.score_table import print_gaps

        where = f"{len(there)} clips of them in {clips}" if clips is not None else f"to be dubbed into {out / CLIPS}"
        head = f"Benchmark {benchmark.name} ({benchmark.world} world): {len(benchmark.items)} items, {where}"
        console.print(head, markup=False, highlight=False)
        for judge, metrics in asked.items():
            console.print(f"  {judge}: {', '.join(metrics)}", markup=False, highlight=False)
        print_gaps(console, judges.gaps)
        console.print("Nothing was written (--dry-run)", markup=False, highlight=False)

    emit(document, as_json, human)


def _document(made: Evaluation) -> dict[str, Any]:
    card = made.card
    failed = [row for row in card.rows if row.status != "ok"]
    return {
        "out": str(made.folder),
        "digest": card.digest,
        "dubbed": made.dubbed,
        "found": made.found,
        "failures": [{"clip": row.clip, "status": row.status, "reason": row.reason} for row in failed],
        **card.model_dump(mode="json"),
    }


def _print(console: Console, made: Evaluation) -> None:
    from dubflow.cli.score_table import print_card

    print_card(console, made.card)
    console.print(f"Card: {made.folder}", markup=False, highlight=False)
