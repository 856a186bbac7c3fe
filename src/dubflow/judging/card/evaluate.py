"""The evaluation: every clip of a system before every judge, and a card of what they said.

Whoever made the clips, they are found by name in a folder: item ``a/1`` is ``a/1.mp4`` (or any other suffix of a media
file). What a judge said of a clip is kept by content, under the digest of the clip, of the item, and of the judge with
its pin and metrics: a second run asks only what is new, a killed one goes on where it was. A judge's own failure is not
kept, so that it is asked again.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from uuid import uuid4

from dubflow.atomic import sweep
from dubflow.corpora.cache import content_key
from dubflow.corpora.listing import MEDIA_SUFFIXES
from dubflow.errors import BadInput
from dubflow.judging.card.aggregates import Resampled, build_card
from dubflow.judging.card.functions import Judge, MetricFunction, SetFunction
from dubflow.judging.card.items import Benchmark
from dubflow.judging.card.rows import ClipScore, ScoreCard, score_protocol
from dubflow.judging.card.scoring import Job, Scored, score_job, subject
from dubflow.judging.card.sets import score_sets
from dubflow.parallel import map_unordered
from dubflow.progress import Progress, Silent

SUFFIXES = frozenset(MEDIA_SUFFIXES)


@dataclass(frozen=True)
class System:
    """Whose clips are judged, and what is known of it; see :class:`~dubflow.judging.card.rows.ScoreCard`."""

    name: str
    package: str | None = None
    licences: tuple[str, ...] = ()
    lineage: Mapping[str, str] | None = None
    costs: Mapping[str, float] | None = None


def evaluate(
    benchmark: Benchmark,
    root: Path,
    clips: Path,
    functions: Sequence[MetricFunction],
    system: System,
    *,
    cache: Path,
    sample_rate: int,
    crops: Mapping[str, str] | None = None,
    set_functions: Sequence[SetFunction] = (),
    failures: Mapping[str, str] | None = None,
    gaps: Mapping[str, str] | None = None,
    resample: Resampled = "clip",
    workers: int | None = None,
    progress: Progress | None = None,
) -> ScoreCard:
    """Judge the clips in the folder ``clips``; the same clips give the same card, however many workers judge them.

    Args:
        root: folder that the benchmark's paths are relative to.
        functions: judges; one that is missing on this machine becomes a gap of the card.
        cache: folder of what judges said; may be shared between systems and benchmarks.
        sample_rate: Hz that the judges hear at. crops: what defines the crops that they see.
        set_functions: judges of a whole set, asked about all clips that were delivered.
        failures: items that the system is known to have failed on, and why; a file that lies there all the same is
            an older one and not looked at.
        gaps: metrics that nobody is asked about, and why; the card names them.

    Raises:
        BadInput: ``judging.no_judge`` where all are missing, ``judging.two_clips`` where an item has several,
            ``judging.no_clips`` without the folder, ``judging.file_changed`` where a reference is another file.
        WrongUse: what a judge's ``prepare`` raises. OurFault: ``parallel.child_died``.
    """
    report = progress or Silent()
    judges: list[Judge] = [*functions, *set_functions]
    absent = {one.judge: why for one in judges if (why := one.missing()) is not None}
    present = [one for one in functions if one.judge not in absent]
    of_all = [one for one in set_functions if one.judge not in absent]
    if not present and not of_all:
        why_none = "; ".join(sorted({*absent.values(), *(gaps or {}).values()}))
        raise BadInput("judging.no_judge", "No judge can work on this machine.", why_none)
    for judge, why in sorted(absent.items()):
        report.note(f"{judge} is missing: {why}")
    failed = dict(failures or {})
    found = {item: path for item, path in find_clips(benchmark, clips).items() if item not in failed}
    sweep(cache)
    jobs = [Job(item, found.get(item.id), root, failed.get(item.id, "")) for item in benchmark.items]
    report.expect(len(jobs))
    heard = content_key({"sample_rate": sample_rate, "crops": dict(crops or {})})
    scored: list[ClipScore] = []
    # Judges are loaded once a process; the token tells one evaluation's from another's in the same process.
    ask = partial(score_job, functions=tuple(present), cache=cache, heard=heard, token=uuid4().hex)
    for _, answer in map_unordered(ask, jobs, workers=workers):
        scored.append(_told(answer, report))
    delivered = {row.clip for row in scored if row.status == "ok"}
    subjects = [subject(job) for job in jobs if of_all and job.item.id in delivered]
    sets = score_sets(of_all, subjects, cache, heard)
    for name, reason in sets.reasons.items():
        report.note(f"{name} of the whole set has no figure: {reason}")
    asked = [one for one in judges if one.judge not in absent]
    metrics = tuple(metric for one in asked for metric in one.metrics)
    pins = {one.judge: one.pin for one in asked}
    return build_card(
        sorted(scored, key=lambda row: row.clip),
        metrics,
        score_protocol(pins, metrics, benchmark=benchmark.digest, sample_rate=sample_rate, crops=crops),
        benchmark=benchmark.name,
        system=system.name,
        world=benchmark.world,
        package=system.package,
        gaps={**(gaps or {}), **absent, **sets.reasons},
        licences=system.licences,
        lineage=system.lineage,
        costs=system.costs,
        of_sets=sets.figures,
        resample=resample,
    )


def find_clips(benchmark: Benchmark, folder: Path) -> dict[str, Path]:
    """The clip of every item that has one.

    Raises:
        BadInput: ``judging.no_clips``, ``judging.two_clips``.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise BadInput("judging.no_clips", f"There is no folder {folder}.", "Name the folder of a system's clips.")
    found: dict[str, Path] = {}
    for item in benchmark.items:
        place = folder / item.id
        several = [path for path in _beside(place) if path.suffix.lower() in SUFFIXES and path.stem == place.name]
        if len(several) > 1:
            names = ", ".join(path.name for path in several)
            raise BadInput("judging.two_clips", f"{item.id} has several clips: {names}.", "Leave the one to be judged.")
        if several:
            found[item.id] = several[0]
    return found


def _beside(place: Path) -> Iterable[Path]:
    return sorted(place.parent.iterdir()) if place.parent.is_dir() else ()


def _told(answer: Scored, report: Progress) -> ClipScore:
    report.advance(cached=answer.cached)
    for judge, reason in answer.judge_failed.items():
        report.note(f"{judge} failed on {answer.row.clip}: {reason}")
    return answer.row
