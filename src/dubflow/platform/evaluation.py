"""An evaluation from start to end: a stored model dubs a benchmark, or somebody's clips are taken, and judges look.

====================== ======================================================================
``card.json``          the score card, written last: a folder with one is complete
``rows.parquet``       a row a clip
``media.json``         which files the figures are of, for pages
``clips/``             what the model dubbed; not there for clips of others
``cache/``             what judges said, by content; may lie elsewhere and be shared
``evaluation.json``    what was asked for, so that nothing else is written over it
====================== ======================================================================

Everything is kept as soon as it is done: a second call goes on where a killed one was, and ends with the same card.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dubflow.atomic import sweep, write_json
from dubflow.dubbing.request import DubOptions
from dubflow.errors import BadInput, WrongUse
from dubflow.judging.card.evaluate import SUFFIXES, System, evaluate, find_clips
from dubflow.judging.card.files import write_card
from dubflow.judging.card.items import Benchmark
from dubflow.judging.card.media_list import write_media
from dubflow.judging.card.rows import ScoreCard
from dubflow.judging.judges import Judges, JudgeSettings, build_judges
from dubflow.locking import alone_in
from dubflow.platform.evaluation_dubs import dub_benchmark
from dubflow.platform.stored_facts import stored_facts
from dubflow.progress import reporting
from dubflow.serving.adapter_packages import is_adapter_package, open_adapter_package

CLIPS, CACHE, ASKED = "clips", "cache", "evaluation.json"
_NAMED = 3


@dataclass(frozen=True)
class Evaluation:
    """What came of an evaluation.

    Attributes:
        card, folder: the score card, and where it lies.
        dubbed, found: clips that were dubbed in this call, and those that an earlier one had finished; 0 for clips of
            others.
    """

    card: ScoreCard
    folder: Path
    dubbed: int = 0
    found: int = 0


def evaluate_model(
    model: str | Path,
    benchmark: Benchmark,
    root: Path,
    out: Path,
    settings: JudgeSettings | None = None,
    *,
    options: DubOptions | None = None,
    system: str | None = None,
    lip_weights: Path | None = None,
    face_weights: Path | None = None,
    cache: Path | None = None,
    workers: int | None = None,
) -> Evaluation:
    """Dub every item of ``benchmark`` with a stored model, judge the dubs, and write the card into ``out``.

    Args:
        model: ``starter``, or the folder of a stored model or of a packed adapter.
        root: folder that the benchmark's paths are relative to.
        system: its name on the card; by default the package's, or what people call the folder.
        lip_weights, face_weights: for models whose features come from the paper's networks.
        cache: folder of what judges said; ``out/cache`` by default. workers: processes that judge.

    Raises:
        BadInput: what reading the model says, and as :func:`~dubflow.judging.card.evaluate.evaluate`.
        WrongUse: ``diflow.wrong_stage``, ``platform.other_evaluation``, ``platform.evaluation_runs``.
    """
    from dubflow.diflow.stored import find_model

    packed = is_adapter_package(Path(model))
    folder, out, options = Path(model) if packed else find_model(model), Path(out), options or DubOptions()
    judges, facts = _judges(settings, benchmark, root), stored_facts(folder)
    engine: Any
    if packed:
        engine = open_adapter_package(folder)
        parameters, nfe = engine.parameters, engine.steps
    else:
        from dubflow.dubbing.diflow_engine import DiflowEngine

        engine = DiflowEngine.open(folder, lip_weights=lip_weights, face_weights=face_weights)
        parameters = sum(weights.numel() for weights in engine.model.network.parameters())
        nfe = options.steps
    asked = {"engine": engine.id, "options": options.model_dump(mode="json"), "benchmark": benchmark.digest}
    with _evaluating(out, asked):
        with reporting("dub", len(benchmark.items), "clips") as progress:
            dubs = dub_benchmark(engine, benchmark, root, out / CLIPS, options, progress)
        del engine  # its memory is the judges' now
        (out / CLIPS).mkdir(exist_ok=True)
        who = System(
            system or facts.name or _name_of(model, folder),
            package=facts.package,
            licences=facts.licences,
            lineage={**facts.lineage, "parameters": f"{parameters / 1e6:.1f}M", "nfe": str(nfe)},
            costs=dubs.costs,
        )
        card = _judge(judges, benchmark, root, out / CLIPS, out, who, cache, workers, dubs.failures)
    return Evaluation(card, out, dubbed=len(dubs.results) - dubs.found, found=dubs.found)


def evaluate_clips(
    clips: Path,
    benchmark: Benchmark,
    root: Path,
    out: Path,
    settings: JudgeSettings | None = None,
    *,
    system: str | None = None,
    cache: Path | None = None,
    workers: int | None = None,
) -> Evaluation:
    """Judge anybody's clips in the folder ``clips``, item ``a/1`` as ``a/1.mp4`` or with another suffix of media.

    Args: as :func:`evaluate_model`; ``system`` is the folder's name by default.

    Raises:
        BadInput: ``judging.no_clips``, ``judging.two_clips``, ``platform.no_clip_of_any_item`` where no name fits, and
            as :func:`~dubflow.judging.card.evaluate.evaluate`.
        WrongUse: ``platform.other_evaluation``, ``platform.evaluation_runs``.
    """
    clips, out = Path(clips), Path(out)
    judges = _judges(settings, benchmark, root)
    found = set(check_clips(clips, benchmark).values())
    strangers = sorted(path for path in clips.rglob("*") if path.suffix.lower() in SUFFIXES and path not in found)
    asked = {"clips": str(clips.resolve()), "benchmark": benchmark.digest}
    with _evaluating(out, asked):
        who = System(system or clips.resolve().name)
        card = _judge(judges, benchmark, root, clips, out, who, cache, workers, strangers=strangers)
    return Evaluation(card, out)


def check_clips(folder: Path, benchmark: Benchmark) -> dict[str, Path]:
    """The clip of every item that has one.

    Raises:
        BadInput: ``judging.no_clips``, ``judging.two_clips``, ``platform.no_clip_of_any_item``.
    """
    found = find_clips(benchmark, folder)
    if not found:
        wanted = ", ".join(item.id for item in benchmark.items[:_NAMED])
        there = sorted(path.name for path in Path(folder).iterdir() if path.suffix.lower() in SUFFIXES)
        raise BadInput(
            "platform.no_clip_of_any_item",
            f"No clip in {folder} is named like an item of {benchmark.name}: there is {_few(there)}.",
            f"Name them {wanted} and so on, with the suffix of a media file.",
        )
    return found


def _judges(settings: JudgeSettings | None, benchmark: Benchmark, root: Path) -> Judges:
    """The judges, of whom there must be one before anything is dubbed.

    Raises:
        BadInput: ``platform.no_judge``. WrongUse: ``judging.unknown_metric``.
    """
    judges = build_judges(settings or JudgeSettings(), benchmark, root)
    if not judges.metrics:
        reasons = " ".join(dict.fromkeys(judges.gaps.values()))
        raise BadInput("platform.no_judge", "Nobody here can judge what is asked.", reasons)
    return judges


def _judge(
    judges: Judges,
    benchmark: Benchmark,
    root: Path,
    clips: Path,
    out: Path,
    system: System,
    cache: Path | None,
    workers: int | None,
    failures: Mapping[str, str] | None = None,
    strangers: Sequence[Path] = (),
) -> ScoreCard:
    with reporting("judge", None, "clips") as progress:
        if strangers:
            names = _few([path.relative_to(clips).as_posix() for path in strangers])
            progress.note(f"Not judged, because no item is called like them: {names}")
        card = evaluate(
            benchmark,
            root,
            clips,
            judges.functions,
            system,
            cache=cache or out / CACHE,
            sample_rate=judges.sample_rate,
            crops=judges.crops,
            set_functions=judges.set_functions,
            failures=failures,
            gaps=judges.gaps,
            workers=workers,
            progress=progress,
        )
    made = {item: path for item, path in find_clips(benchmark, clips).items() if item not in (failures or {})}
    write_media(out, benchmark, root, made)
    write_card(card, out)
    return card


@contextmanager
def _evaluating(out: Path, asked: Mapping[str, Any]) -> Iterator[None]:
    """Hold the folder, and see that it is of this evaluation.

    Raises:
        WrongUse: ``platform.other_evaluation``, ``platform.evaluation_runs``.
    """
    busy = WrongUse(
        "platform.evaluation_runs", f"Another process evaluates into {out}.", "Wait, or name another --out."
    )
    with alone_in(out, busy):
        path = out / ASKED
        if path.is_file() and _read(path) != asked:
            raise WrongUse(
                "platform.other_evaluation",
                f"{out} holds an evaluation of another system, benchmark or way of dubbing.",
                "Name another folder with --out, or remove this one.",
            )
        write_json(path, dict(asked))
        sweep(out)
        yield


def _read(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None


def _name_of(model: str | Path, folder: Path) -> str:
    """What people call it: a training's result lies in RUN/model."""
    if str(model) != str(folder):
        return str(model)
    whole = folder.resolve()
    return whole.parent.name if whole.name == "model" else whole.name


def _few(names: list[str]) -> str:
    if not names:
        return "none"
    return ", ".join(names[:_NAMED]) + (f" and {len(names) - _NAMED} more" if len(names) > _NAMED else "")
