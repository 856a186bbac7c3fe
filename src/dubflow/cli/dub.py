"""``dubflow dub``: a clip, a text and a voice in; the same picture with the new speech out."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dubflow.cli.output import DryRun, Json, emit, print_table
from dubflow.errors import ExitCode, WrongUse

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import Console

    from dubflow.dubbing.jobs import DubReport, DubTask
    from dubflow.dubbing.planning import Plan
    from dubflow.dubbing.request import DubOptions, SegmentText

_MOVIES = (".mp4", ".m4v", ".mov")
_SUBTITLES = (".srt", ".vtt")


def dub(
    clips: Annotated[list[Path], typer.Argument(help="Clips whose pictures are kept.")],
    language: Annotated[str, typer.Option(help="Language of the text: en, es, ru, fr, de, it or el.")],
    out: Annotated[Path, typer.Option(help="File (.mp4, .m4v, .mov); a folder for several clips.")],
    reference: Annotated[
        str | None,
        typer.Option(help="File with the voice to speak with, or `self`: the clip's own, as incontext does."),
    ] = None,
    text: Annotated[str | None, typer.Option(help="What is said, over the whole clip.")] = None,
    subtitles: Annotated[
        Path | None, typer.Option(help="SRT or WebVTT with what is said when; a folder with one for each clip's name.")
    ] = None,
    engine: Annotated[str, typer.Option(help="auto, diflow (new sound) or incontext (new sound and lips).")] = "auto",
    model: Annotated[
        str,
        typer.Option(help="Folder of a trained dubber, or `starter`; for incontext an LTX-2, a package, or `starter`."),
    ] = "starter",
    adapter: Annotated[
        Path | None,
        typer.Option(help="incontext: LoRA that was trained to dub, as a file or a package; the starter has its own."),
    ] = None,
    refiner: Annotated[
        Path | None, typer.Option(help="incontext: a second LoRA, for the second stage alone (the distilled one).")
    ] = None,
    preset: Annotated[
        str | None, typer.Option(help="incontext: how to run it; by default as the adapter was trained.")
    ] = None,
    allow: Annotated[
        bool, typer.Option("--allow-untrained", help="incontext: run an adapter under other settings than its own.")
    ] = False,
    stages: Annotated[
        int | None, typer.Option(min=1, max=1, help="incontext: 1 leaves out the preset's second stage.")
    ] = None,
    keep_outside: Annotated[
        bool, typer.Option("--keep-outside", help="incontext: outside the face the clip's own pixels stay.")
    ] = False,
    offload: Annotated[
        str, typer.Option(help="incontext: what lies in main memory until used: none, part, block or layer.")
    ] = "none",
    storage: Annotated[str, typer.Option(help="incontext: the base's weights: as_loaded, fp8 or int8.")] = "as_loaded",
    nfe: Annotated[int, typer.Option(min=1, max=128, help="diflow: steps of the flow.")] = 16,
    seed: Annotated[int, typer.Option(min=0, help="Same request and seed, same sound.")] = 0,
    temperature: Annotated[float, typer.Option(min=0, max=10, help="0 takes the likeliest tokens.")] = 1.0,
    background: Annotated[str, typer.Option(help="Between segments: silence or original.")] = "silence",
    no_face: Annotated[str, typer.Option(help="A segment without a face: refuse or speak.")] = "refuse",
    lip_weights: Annotated[Path | None, typer.Option(help="Of the paper's lip reader, if the model wants it.")] = None,
    face_weights: Annotated[Path | None, typer.Option(help="Of the paper's face network, if it wants that.")] = None,
    batch: Annotated[int, typer.Option(min=1, help="Segments spoken at once.")] = 16,
    as_json: Json = False,
    dry_run: DryRun = False,
) -> None:
    """Dub clips: picture, text and voice in; new speech out, with incontext new lips too, exactly as long.

    Figures lie beside each output as NAME.dub.json. A run that was stopped goes on where it was; exit code 3 when a
    clip of several could not be dubbed.
    """
    from dubflow.config import validated
    from dubflow.dubbing.request import DubOptions

    if (text is None) == (subtitles is None):
        raise WrongUse("cli.wrong_use", "Give either --text or --subtitles.", "See `dubflow dub --help`.")
    chosen = {
        "steps": nfe, "seed": seed, "temperature": temperature, "background": background, "no_face": no_face,
    }  # fmt: skip
    options = _right_use(lambda: validated(DubOptions, chosen, "options"))
    chosen_engine = _engine(engine, model, adapter)
    if reference is None and chosen_engine == "diflow":
        raise WrongUse("cli.wrong_use", "DiFlow needs a voice: --reference FILE, or self.", "See `dubflow dub --help`.")
    tasks, notices = _tasks(clips, out, text, subtitles, language, reference or "self", chosen_engine, options)
    if dry_run:
        _dry_run(tasks, notices, as_json)
        return

    from dubflow.dubbing.jobs import check_outputs, dub_all
    from dubflow.dubbing.provenance.sealing import SIGNING, open_seal
    from dubflow.gateway.settings import load_settings
    from dubflow.progress import reporting

    check_outputs(tasks)
    settings = load_settings()
    seal = open_seal(settings.state / SIGNING, key=settings.signing_key, chain=settings.signing_chain)
    speaker: Any
    if chosen_engine == "incontext":
        from dubflow.incontext.backbone.memory import MemorySettings

        memory = _right_use(lambda: validated(MemorySettings, {"offload": offload, "storage": storage}, "options"))
        changes: dict[str, Any] = {"keep_outside": True} if keep_outside else {}
        changes |= {} if stages is None else {"refine": None}
        how = {"preset": preset, "changes": changes, "allow": allow, "refiner": refiner, "memory": memory}
        speaker = _incontext(Path(model), adapter, how)
    else:
        from dubflow.dubbing.diflow_engine import DiflowEngine

        speaker = DiflowEngine.open(model, lip_weights=lip_weights, face_weights=face_weights, batch_items=batch)
    with reporting("dub", len(tasks), "clips") as progress:
        for notice in notices:
            progress.note(notice)
        report = dub_all(tasks, speaker, progress, seal=seal)
    if report.failures and len(tasks) == 1:
        raise report.errors[0]
    emit(_document(report), as_json, lambda console: _print_report(console, report))
    if report.failures:
        raise typer.Exit(ExitCode.BAD_INPUT)


def _incontext(model: Path, adapter: Path | None, how: dict[str, Any]) -> Any:
    """The engine of a base and an adapter's file, or of a packed adapter, on ``model`` or on the base it names."""
    from dubflow.dubbing.incontext_engine import IncontextEngine
    from dubflow.incontext.backbone.named import STARTER, find_adapter
    from dubflow.serving.adapter_packages import is_adapter_package, open_adapter_package

    if is_adapter_package(model):
        if adapter is not None:
            raise WrongUse("cli.wrong_use", "The package is an adapter already.", "Name its base by --model instead.")
        return open_adapter_package(model, **how)
    if adapter is not None and is_adapter_package(adapter):
        return open_adapter_package(adapter, model, **how)
    if adapter is not None or str(model) == STARTER:
        adapter = find_adapter(adapter or STARTER)
    return IncontextEngine.open(model, adapter=adapter, **how)


def _engine(asked: str, model: str, adapter: Path | None) -> str:
    """Which engine dubs."""
    from typing import get_args

    from dubflow.dubbing.request import EngineName, engine_for

    if asked not in get_args(EngineName):
        raise WrongUse("cli.wrong_use", f"There is no engine {asked!r}.", f"Known: {', '.join(get_args(EngineName))}.")
    from dubflow.serving.adapter_packages import is_adapter_package

    chosen = engine_for(asked, Path(model))  # type: ignore[arg-type]
    if asked == "auto" and is_adapter_package(Path(model)):
        chosen = "incontext"
    if adapter is not None and chosen == "diflow":
        raise WrongUse("cli.wrong_use", "Adapters are for the in-context engine.", "Give --engine incontext.")
    return chosen


def _right_use(make: Any) -> Any:
    """What a wrong option gives is wrong use, not bad input."""
    from dubflow.errors import BadInput

    try:
        return make()
    except BadInput as error:
        raise WrongUse("cli.wrong_use", error.headline, "See `dubflow dub --help`.") from error


def _tasks(
    clips: Sequence[Path],
    out: Path,
    text: str | None,
    subtitles: Path | None,
    language: str,
    reference: str,
    engine: str,
    options: DubOptions,
) -> tuple[list[DubTask], list[str]]:
    """A task for each clip, and what was noticed in subtitles."""
    from dubflow.config import validated
    from dubflow.dubbing.jobs import DubTask
    from dubflow.dubbing.planning import texts_of_subtitles
    from dubflow.dubbing.request import DubRequest, SegmentText

    movie = out.suffix.lower() in _MOVIES
    if movie and len(clips) > 1:
        raise WrongUse("cli.wrong_use", f"{len(clips)} clips cannot all become {out}.", "Name a folder: --out DIR.")
    tasks: list[DubTask] = []
    notices: list[str] = []
    for clip in clips:
        segments: tuple[SegmentText, ...] = (SegmentText(text=text or ""),)
        if subtitles is not None:
            segments, noticed = texts_of_subtitles(_subtitles_of(clip, subtitles))
            notices += noticed
        content = {
            "clip": clip, "segments": segments, "language": language, "reference": reference, "engine": engine,
            "options": options,
        }  # fmt: skip
        request = _right_use(lambda content=content: validated(DubRequest, content, "request"))
        tasks.append(DubTask(request, out if movie else out / f"{clip.stem}.mp4"))
    return tasks, notices


def _subtitles_of(clip: Path, subtitles: Path) -> Path:
    """The file itself, or the one in the folder that is named like the clip."""
    if not subtitles.is_dir():
        return subtitles
    found = [path for ending in _SUBTITLES if (path := subtitles / f"{clip.stem}{ending}").is_file()]
    if not found:
        raise WrongUse(
            "cli.wrong_use", f"{subtitles} has no subtitles for {clip.name}.", f"Put {clip.stem}.srt or .vtt there."
        )
    return found[0]


def _dry_run(tasks: Sequence[DubTask], notices: Sequence[str], as_json: bool) -> None:
    from dubflow.dubbing.jobs import check_outputs, plan_task

    check_outputs(tasks)
    plans = [(task, plan_task(task)[1]) for task in tasks]
    rows = [
        (task.request.clip.name, one.start, one.end, one.phones, one.pace, one.text, "; ".join(one.notices))
        for task, plan in plans
        for one in plan.segments
    ]
    names = ("clip", "start s", "end s", "phones", "phones/s", "text", "notices")
    document = {
        "notices": list(notices),
        "clips": [
            {
                "clip": str(task.request.clip),
                "out": str(task.out),
                "duration_s": float(plan.duration),
                "notices": list(plan.notices),
                "segments": _segments(plan),
            }
            for task, plan in plans
        ],
    }

    def human(console: Console) -> None:
        print_table(console, "Nothing was written (--dry-run)", names, rows)
        for notice in (*notices, *(notice for _, plan in plans for notice in plan.notices)):
            console.print(f"Notice: {notice}", markup=False, highlight=False)

    emit(document, as_json, human)


def _segments(plan: Plan) -> list[dict[str, Any]]:
    return [
        {
            "text": one.text,
            "start": one.start,
            "end": one.end,
            "phones": one.phones,
            "phones_a_second": one.pace,
            "notices": list(one.notices),
        }
        for one in plan.segments
    ]


def _document(report: DubReport) -> dict[str, Any]:
    return {
        "found": report.found,
        "results": [result.model_dump(mode="json") for result in report.results],
        "failures": [failure.model_dump(mode="json") for failure in report.failures],
    }


def _print_report(console: Console, report: DubReport) -> None:
    rows = [
        (result.clip, one.start, one.end, one.speech_start, one.speech_end, one.phones_a_second, one.text)
        for result in report.results
        for one in result.segments
    ]
    names = ("clip", "start s", "end s", "speech from", "to", "phones/s", "text")
    if rows:
        print_table(console, f"Dubbed ({report.results[0].world} world)", names, rows)
    for result in report.results:
        line = f"{result.out}: {result.duration_s:.2f} s, sound off by {1000 * result.duration_error_s:.1f} ms"
        console.print(f"{line}, {result.seconds:.1f} s of work", markup=False, highlight=False)
        for notice in (*result.notices, *(notice for one in result.segments for notice in one.notices)):
            console.print(f"  {notice}", markup=False, highlight=False)
    if report.found:
        console.print(f"{report.found} found finished", highlight=False)
    if report.failures:
        print_table(
            console, "Failed", ("clip", "code", "reason"), [(f.clip, f.code, f.reason) for f in report.failures]
        )
