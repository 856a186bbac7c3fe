"""``dubflow talkers``: the embedded world, drawn and voiced here."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dubflow.cli.output import DryRun, Json, Workers, emit, print_table

if TYPE_CHECKING:
    from rich.console import Console

    from dubflow.talkers.render import RenderReport

app = typer.Typer(help="Drawn talking heads with exact alignments.", no_args_is_help=True)


@app.callback()
def talkers() -> None:
    """Drawn talking heads with exact alignments."""


@app.command()
def render(
    out: Annotated[Path, typer.Option(help="Folder of the corpus.")],
    identities: Annotated[int, typer.Option(min=1, help="How many persons.")] = 8,
    clips: Annotated[int, typer.Option(min=1, help="Clips of each person.")] = 8,
    languages: Annotated[str, typer.Option(help="Comma-separated: en es ru fr de it el.")] = "en",
    seed: Annotated[int, typer.Option(help="Same seed, same bytes.")] = 0,
    size: Annotated[int | None, typer.Option(help="Picture size in pixels; by default the preset's.")] = None,
    voices_only: Annotated[
        bool, typer.Option("--voices-only", help="Speak and do not draw: sound alone (WAV), many times faster.")
    ] = False,
    preset: Annotated[str, typer.Option(help="A shipped preset or a YAML file.")] = "tiny",
    workers: Workers = None,
    as_json: Json = False,
    dry_run: DryRun = False,
) -> None:
    """Render a corpus of talking heads, or of their voices alone.

    GRID's own layout (video or sound, .align) beside a manifest with exact phone, word and event times. Goes on where
    an earlier run stopped, and does nothing where everything is there.
    """
    from dubflow.config import load_preset, validated
    from dubflow.talkers.render import render_corpus
    from dubflow.talkers.scenes import plan_corpus
    from dubflow.talkers.settings import TalkerSettings

    settings = load_preset(preset, "talkers", TalkerSettings)
    if size is not None:
        settings = validated(TalkerSettings, {**settings.model_dump(), "size": size}, "--size")
    if voices_only:
        settings = settings.model_copy(update={"voices_only": True})
    spoken = [code.strip() for code in languages.split(",") if code.strip()]
    if dry_run:
        plans = plan_corpus(identities=identities, clips=clips, languages=spoken, seed=seed, settings=settings)
        result = {"out": str(out), "clips": len(plans), "kinds": dict(Counter(plan.kind for plan in plans))}
        emit(result, as_json, lambda console: _print_plan(console, result))
        return
    report = render_corpus(
        out, identities=identities, clips=clips, languages=spoken, seed=seed, settings=settings, workers=workers
    )
    emit(report.as_dict(), as_json, lambda console: _print_report(console, report))


def _print_plan(console: Console, result: dict[str, Any]) -> None:
    print_table(console, f"{result['clips']} clips would be made", ("kind", "clips"), list(result["kinds"].items()))
    console.print(f"\nNothing was written to {result['out']} (--dry-run).", markup=False, highlight=False)


def _print_report(console: Console, report: RenderReport) -> None:
    for name in ("kinds", "languages", "splits"):
        counts: dict[str, int] = getattr(report, name)
        console.print(f"{name}: " + ", ".join(f"{key} {count}" for key, count in counts.items()), highlight=False)
    pace = (
        f", {report.rendered_media_s / report.wall_s:.1f} times real time" if report.rendered and report.wall_s else ""
    )
    console.print(
        f"{report.clips} clips, {report.media_s:.0f} s of media; rendered {report.rendered} now, "
        f"found {report.clips - report.rendered}; {report.wall_s:.1f} s{pace} (embedded world)",
        highlight=False,
    )
    console.print(f"Corpus: {report.out}", markup=False, highlight=False)
