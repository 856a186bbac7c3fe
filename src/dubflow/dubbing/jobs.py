"""Requests into files: planned, seen, spoken, stitched; what is finished is not done again.

Beside each output lies ``NAME.dub.json``: an output whose result carries the request's digest and the output's own is
finished, so a run that was stopped goes on where it was.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from dubflow.atomic import atomic_file, write_json
from dubflow.dubbing.engine import Engine, Job, SpokenSegment
from dubflow.dubbing.output import sounds_of, write_dub
from dubflow.dubbing.planning import Plan, PlannedSegment, plan_segments
from dubflow.dubbing.provenance.sealing import Seal, facts_of
from dubflow.dubbing.request import SELF, DubRequest
from dubflow.dubbing.result import DubFailure, DubResult, SegmentResult
from dubflow.dubbing.stitching import resampled, samples_of, stitch
from dubflow.dubbing.voice import Voice, read_voice, reference_path
from dubflow.dubbing.watching import CANCELLED, UNWATCHED, Forward, Part, Watch, check_stopped
from dubflow.errors import BadInput, DubflowError, WrongUse
from dubflow.judging.edges import speech_edges
from dubflow.media.decode import read_audio
from dubflow.media.digest import sha256_file
from dubflow.media.mp4 import AAC_RATES
from dubflow.media.probe import Probe, probe
from dubflow.progress import Progress
from dubflow.speech.durations import FRAME_RATE, SAMPLE_RATE

CLIPS_AT_ONCE = 8
SIDECAR = ".dub.json"
# Shares of a job, as they mostly are: planned and looked at, the rest spoken and written; for who watches.
_PLANNED, _LOOKED, _SPOKEN = 0.1, 0.5, 0.9
_LANGUAGE_TAGS = {"en": "eng", "es": "spa", "ru": "rus", "fr": "fra", "de": "deu", "it": "ita", "el": "ell"}


@dataclass(frozen=True)
class DubTask:
    """A request and where its result goes."""

    request: DubRequest
    out: Path

    @property
    def sidecar(self) -> Path:
        """Where its figures go."""
        return self.out.with_name(self.out.stem + SIDECAR)


@dataclass
class DubReport:
    """What became of all tasks, in their order; ``errors`` are those behind the failures."""

    results: list[DubResult] = field(default_factory=list)
    found: int = 0
    failures: list[DubFailure] = field(default_factory=list)
    errors: list[DubflowError] = field(default_factory=list)


@dataclass(frozen=True, eq=False)
class _Ready:
    """A task that has been looked at."""

    task: DubTask
    facts: Probe
    plan: Plan
    job: Job
    digest: str
    seen: Any
    seconds: float


def plan_task(task: DubTask) -> tuple[Probe, Plan]:
    """What would be said when; reads the clip's packets and no picture.

    Raises:
        BadInput: what the reader says, ``dubbing.no_picture``, and what :func:`plan_segments` refuses.
    """
    facts = probe(task.request.clip)
    if facts.video is None or facts.video.duration is None:
        raise BadInput("dubbing.no_picture", f"{task.request.clip.name} has no picture.", "Give a clip that has one.")
    request = task.request
    return facts, plan_segments(request.segments, request.language, facts.video.duration, request.options)


def check_outputs(tasks: Sequence[DubTask]) -> None:
    """Refuse outputs that would lose something.

    Raises:
        WrongUse: ``dubbing.out_is_the_clip``, ``dubbing.same_out``, ``dubbing.out_exists`` for a file that no dub made.
    """
    seen: dict[Path, Path] = {}
    for task in tasks:
        out = task.out.resolve()
        if out == task.request.clip.resolve():
            raise WrongUse("dubbing.out_is_the_clip", f"{task.out} is the clip itself.", "Name another output.")
        if out in seen:
            raise WrongUse(
                "dubbing.same_out",
                f"{seen[out]} and {task.request.clip} would both become {task.out}.",
                "Dub clips of one name into folders of their own.",
            )
        if task.out.exists() and not task.sidecar.is_file():
            raise WrongUse("dubbing.out_exists", f"{task.out} exists and is no dub of ours.", "Name another output.")
        seen[out] = task.request.clip


def dub_all(
    tasks: Sequence[DubTask],
    engine: Engine[Any],
    progress: Progress,
    watch: Watch = UNWATCHED,
    seal: Seal | None = None,
) -> DubReport:
    """Dub every task; one that fails leaves the others alone.

    Args:
        progress: advances by a clip.
        watch: hears of stages and of the share of all tasks that is done; may stop them. What is finished then stays.
        seal: puts provenance into every output; with one that signs, an output without a signature is not finished.

    Raises:
        WrongUse: as :func:`check_outputs`, and any other wrong use: it would be wrong for every clip.
        BadInput: ``dubbing.cancelled``.
    """
    check_outputs(tasks)
    report = DubReport()
    voices: dict[tuple[Path, float, float], Voice] = {}
    ready: list[_Ready] = []
    done, forward = 0, Forward(watch)
    for number, task in enumerate(tasks):
        try:
            part = _share(forward, tasks, (number, number + 1), (done, done))
            one = _look(task, engine, voices, part, seal is not None and seal.signs)
        except DubflowError as error:
            _failed(report, task, error, progress)
        else:
            if isinstance(one, DubResult):
                report.results.append(one)
                report.found += 1
                progress.advance(cached=True)
            else:
                ready.append(one)
        if ready and (len(ready) == CLIPS_AT_ONCE or number == len(tasks) - 1):
            part = _share(forward, tasks, (number + 1, number + 1), (done, number + 1))
            for finished, result in _speak(ready, engine, part, seal):
                if isinstance(result, DubResult):
                    report.results.append(result)
                    progress.advance()
                else:
                    _failed(report, finished, result, progress)
            ready, done = [], number + 1
    order = {str(task.out): number for number, task in enumerate(tasks)}
    report.results.sort(key=lambda result: order[str(result.out)])
    return report


def find_finished(task: DubTask, digest: str) -> DubResult | None:
    """The result of an earlier run whose output is still as it was written."""
    try:
        result = DubResult.model_validate(json.loads(task.sidecar.read_text(encoding="utf-8")))
    except (OSError, ValueError, ValidationError):
        return None
    if result.request != digest or not task.out.is_file() or sha256_file(task.out) != result.out_sha256:
        return None
    return result.model_copy(update={"out": task.out})


def _share(watch: Watch, tasks: Sequence[DubTask], looked: tuple[int, int], spoken: tuple[int, int]) -> Part:
    """The part of the whole in which so many tasks (before, after) become looked at and spoken."""
    start, stop = ((_LOOKED * a + (1 - _LOOKED) * b) / len(tasks) for a, b in zip(looked, spoken, strict=True))
    return Part(watch, start, stop)


def _failed(report: DubReport, task: DubTask, error: DubflowError, progress: Progress) -> None:
    if isinstance(error, WrongUse) or error.code == CANCELLED:
        raise error
    name = task.request.clip.name
    report.failures.append(DubFailure(clip=name, code=error.code, reason=error.headline, hint=error.hint))
    report.errors.append(error)
    progress.note(f"{name}: {error.headline}")
    progress.advance()


def _look(
    task: DubTask, engine: Engine[Any], voices: dict[tuple[Path, float, float], Voice], watch: Watch, signing: bool
) -> _Ready | DubResult:
    started = time.monotonic()
    watch.stage("planning", 0)
    check_stopped(watch)
    request = task.request
    path = reference_path(request)
    digest = request.digest(sha256_file(request.clip), _voice_name(request, path), engine.id)
    finished = find_finished(task, digest)
    if finished is not None and finished.signed >= signing:
        return finished
    facts, plan = plan_task(task)
    key = (path, request.options.reference_s, request.options.least_reference_s)
    if key not in voices:
        voices[key] = read_voice(path, request.options, own=request.reference == SELF)
    voice = voices[key]
    job = Job(request.clip, plan.frames, plan.segments, request.language, voice, request.options)
    seen = engine.look(job, Part(watch, _PLANNED, 1))
    return _Ready(task, facts, plan, job, digest, seen, time.monotonic() - started)


def _voice_name(request: DubRequest, path: Path) -> str:
    return SELF if request.reference == SELF else sha256_file(path)


def _speak(
    ready: Sequence[_Ready], engine: Engine[Any], watch: Watch, seal: Seal | None
) -> Iterator[tuple[DubTask, DubResult | DubflowError]]:
    """Results of clips that were looked at; if they fail together, each is tried alone."""
    started = time.monotonic()
    try:
        spoken = engine.speak([one.seen for one in ready], Part(watch, 0, _SPOKEN))
    except DubflowError as error:
        if len(ready) == 1 or error.code == CANCELLED:
            yield ready[0].task, error
            return
        for number, one in enumerate(ready):
            yield from _speak([one], engine, Part(watch, number / len(ready), (number + 1) / len(ready)), seal)
        return
    used = time.monotonic() - started
    frames = sum(one.job.frames for one in ready)
    for number, (one, segments) in enumerate(zip(ready, spoken, strict=True)):
        watch.stage("writing", _SPOKEN + (1 - _SPOKEN) * number / len(ready))
        try:
            check_stopped(watch)
            yield one.task, _written(one, segments, engine, seal, one.seconds + used * one.job.frames / frames)
        except DubflowError as error:
            yield one.task, error


def _written(
    one: _Ready, spoken: Sequence[SpokenSegment], engine: Engine[Any], seal: Seal | None, seconds: float
) -> DubResult:
    """Write the clip with its new sound, sign it, then write its figures."""
    started = time.monotonic()
    request, out = one.task.request, one.task.out
    duration = one.plan.duration
    notices = [*one.plan.notices, *one.job.voice.notices]
    rate, background = SAMPLE_RATE, None
    if request.options.background == "original":
        if one.facts.audio is None or one.facts.audio.audio is None:
            notices.append("the clip has no sound of its own to keep")
        else:
            own_rate = one.facts.audio.audio.sample_rate
            rate = own_rate if own_rate in AAC_RATES else SAMPLE_RATE
            background = read_audio(request.clip, rate)
    if one.job.voice.oracle:
        notices.append("the voice is the clip's own (oracle)")
    if request.language.partition("-")[0] not in engine.languages:
        notices.append(f"the model was not trained on the language {request.language!r}")

    own_rate = spoken[0].sample_rate if spoken else SAMPLE_RATE
    if background is None and own_rate in AAC_RATES:
        rate = own_rate
    samples = samples_of(duration, rate)
    sound = stitch(sounds_of(one.job.segments, spoken), samples, rate, background, own_rate)
    tag = _LANGUAGE_TAGS.get(request.language.partition("-")[0])
    with atomic_file(out) as part:
        notices += write_dub(one.facts, one.job.segments, spoken, sound, rate, part, tag)
        if seal is not None:
            facts = facts_of(
                engine=engine.id,
                world=engine.world,
                language=request.language,
                clip_sha256=one.facts.sha256,
                voice_sha256=one.job.voice.sha256,
                request=one.digest,
            )
            notices += seal(part, request.clip, facts)
        result = DubResult(
            request=one.digest,
            clip=request.clip.name,
            clip_sha256=one.facts.sha256,
            out=out,
            out_sha256=sha256_file(part),
            language=request.language,
            reference=one.job.voice.name,
            oracle=one.job.voice.oracle,
            engine=engine.id,
            world=engine.world,
            options=request.options,
            frames=one.job.frames,
            duration_s=float(duration),
            sample_rate=rate,
            samples=samples,
            duration_error_s=_duration_error(part),
            segments=tuple(_figures(*pair) for pair in zip(one.job.segments, spoken, strict=True)),
            seconds=seconds + time.monotonic() - started,
            signed=seal is not None and seal.signs,
            notices=tuple(notices),
        )
        # Before the output takes its place: an output without figures would be a stranger to the next run.
        write_json(one.task.sidecar, result.model_dump(mode="json"))
    return result


def _duration_error(out: Path) -> float:
    """Sound minus picture of a written file, in seconds, by the file's own times."""
    facts = probe(out)
    if facts.video is None or facts.video.duration is None or facts.audio is None or facts.audio.audio is None:
        raise BadInput("dubbing.not_written", f"{out} has not both picture and sound.", "Dub the clip again.")
    sound = facts.audio.audio
    return (sound.samples or 0) / sound.sample_rate - float(facts.video.duration)


def _figures(segment: PlannedSegment, said: SpokenSegment) -> SegmentResult:
    start = segment.start
    begin = start if said.covers is None else said.covers[0] / FRAME_RATE
    heard = speech_edges(resampled(said.waveform, said.sample_rate, SAMPLE_RATE))
    return SegmentResult(
        text=segment.text,
        start=start,
        end=segment.end,
        phones=segment.phones,
        phones_a_second=segment.pace,
        face_found=said.face_found,
        planned_start=None if said.planned is None else start + said.planned[0],
        planned_end=None if said.planned is None else start + said.planned[1],
        speech_start=None if heard is None else begin + heard.start,
        speech_end=None if heard is None else begin + heard.end,
        notices=(*segment.notices, *said.notices),
    )
