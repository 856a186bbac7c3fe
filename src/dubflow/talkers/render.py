"""A corpus of the embedded world on disk: planned, rendered in parallel, resumable, the same bytes for the same seed.

Layout (GRID's): ``<speaker>/<code>.mp4`` (``.wav`` where voices are all that is asked for) and
``<speaker>/<code>.align``, beside ``manifest.json`` and ``clips.jsonl``.
``.rows/`` keeps one row a finished clip; it is written after the clip's files, so a clip with a row of the planned
digest is whole, and a run that was killed goes on where it stopped.
"""

from __future__ import annotations

import functools
import json
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import asdict, dataclass
from fractions import Fraction
from importlib.metadata import version
from pathlib import Path
from typing import Any

from dubflow.atomic import PARTIAL, sweep, write_json
from dubflow.config import validated
from dubflow.corpora.align_file import write_align
from dubflow.corpora.manifest import HEADER, ClipRow, CorpusHeader, CorpusManifest, EventMark
from dubflow.errors import WrongUse
from dubflow.locking import alone_in
from dubflow.media.digest import sha256_file
from dubflow.media.encode import write_audio, write_clip
from dubflow.parallel import default_workers, map_unordered
from dubflow.progress import Progress, reporting
from dubflow.speech.espeak import Synthesizer, default_synthesizer
from dubflow.talkers.performance import perform
from dubflow.talkers.picture import paint_clip
from dubflow.talkers.scenes import FRAME_RATE, WORLD_VERSION, ClipPlan, plan_corpus
from dubflow.talkers.settings import AUDIBLE_KINDS, TalkerSettings
from dubflow.talkers.soundtrack import Soundtrack, soundtrack

LICENCE = "CC0-1.0"
_ROWS = ".rows"
_VIDEO, _SOUND = ".mp4", ".wav"


@dataclass(frozen=True)
class RenderReport:
    """What :func:`render_corpus` made.

    Attributes:
        out: the corpus folder. clips: clips in it. rendered: made by this run; the others were found finished.
        media_s: seconds of media in the corpus. rendered_media_s: of those, made by this run. wall_s: time it took.
        kinds, languages, splits: clips of each (a clip of several languages counts under each).
    """

    out: Path
    clips: int
    rendered: int
    media_s: float
    rendered_media_s: float
    wall_s: float
    kinds: dict[str, int]
    languages: dict[str, int]
    splits: dict[str, int]

    def as_dict(self) -> dict[str, Any]:
        """For ``--json``."""
        return {**asdict(self), "out": str(self.out)}


def render_corpus(
    out: Path,
    *,
    identities: int,
    clips: int,
    languages: Sequence[str],
    seed: int,
    settings: TalkerSettings | None = None,
    size: int | None = None,
    workers: int | None = None,
    progress: Progress | None = None,
) -> RenderReport:
    """Render ``identities`` times ``clips`` clips into ``out``, or what is missing there.

    Equal arguments give equal files, whatever ``workers`` is and however often the run was interrupted. A corpus can
    grow (more identities, more clips) without touching what is there; a clip whose plan changed is made again.

    Args:
        clips: clips an identity. size: picture height in pixels, in place of the settings'. workers: processes; by
            default one a core. progress: where to report; by default standard error.

    Raises:
        WrongUse: as :func:`dubflow.talkers.scenes.plan_corpus`; ``talkers.other_corpus`` when ``out`` holds clips that
            this plan has not; ``talkers.already_rendering`` when another run is at work there.
    """
    settings = settings or TalkerSettings()
    if size is not None:
        settings = validated(TalkerSettings, {**settings.model_dump(), "size": size}, "size")
    plans = plan_corpus(identities=identities, clips=clips, languages=languages, seed=seed, settings=settings)
    header = CorpusHeader(
        name=f"talkers-{seed}",
        layout="talkers",
        world="embedded",
        clips=len(plans),
        made_with={
            "seed": seed,
            "identities": identities,
            "clips": clips,
            "languages": list(languages),
            "settings": settings.model_dump(mode="json"),
            "world_version": WORLD_VERSION,
            "espeakng_loader": version("espeakng-loader"),
        },
    )
    return render_plans(out, plans, header, workers=workers, progress=progress)


def render_plans(
    out: Path,
    plans: Sequence[ClipPlan],
    header: CorpusHeader,
    *,
    workers: int | None = None,
    progress: Progress | None = None,
) -> RenderReport:
    """Render clips that somebody has planned into the corpus ``out``, or what is missing there.

    Args:
        plans: with ids of the form ``speaker/name``, each once. header: what the corpus says of itself; equal headers
            and plans give equal files. workers, progress: as :func:`render_corpus`.

    Raises:
        WrongUse: ``talkers.nothing_to_render`` without plans, ``talkers.other_corpus``, ``talkers.already_rendering``.
        BadInput: ``corpora.duplicate_id``.
    """
    out, started = Path(out), time.monotonic()
    if not plans:
        raise WrongUse("talkers.nothing_to_render", "There are no plans to render.", "Give at least one.")
    header = header.model_copy(update={"clips": len(plans)})
    busy = WrongUse(
        "talkers.already_rendering",
        f"Another run is rendering into {out}.",
        "Wait for it, end it, or choose another folder.",
    )
    with alone_in(out, busy):
        _refuse_other_corpus(out, plans)
        rows = {plan.id: row for plan in plans if (row := _finished(plan, out)) is not None}
        missing = [plan for plan in plans if plan.id not in rows]
        if missing:
            (out / HEADER).unlink(missing_ok=True)  # a folder with a header is complete, and this one is not
        _render_missing(missing, out, rows, len(plans), workers, progress)
        if missing or not _is_announced(out, header):
            CorpusManifest(header, rows.values(), out).write()
    return _report(out, plans, missing, rows, time.monotonic() - started)


def render_clip(plan: ClipPlan, out: Path, synthesizer: Synthesizer) -> ClipRow:
    """Render one clip into the corpus folder ``out``: its video or sound, its ``.align`` and last its row."""
    # An older row must not vouch for files that this run may leave half replaced.
    _row_path(plan, out).unlink(missing_ok=True)
    for stale in {_VIDEO, _SOUND} - {_media_path(plan, out).suffix}:  # drawn earlier and not now, or the reverse
        _media_path(plan, out).with_suffix(stale).unlink(missing_ok=True)
    sound = soundtrack(plan, synthesizer)
    media, align = _media_path(plan, out), _media_path(plan, out).with_suffix(".align")
    if plan.voices_only:
        write_audio(media, sound.waveform, plan.sample_rate)
    else:
        pictures = paint_clip(plan, perform(plan, sound), sound.frames)
        write_clip(media, pictures, Fraction(FRAME_RATE), sound.waveform, plan.sample_rate, crf=plan.crf)
    write_align(align, sound.words(), sound.frames)
    row = _row(plan, sound, sha256_file(media))
    write_json(
        _row_path(plan, out),
        {"digest": plan.digest, "bytes": media.stat().st_size, "row": json.loads(row.model_dump_json())},
    )
    return row


def _render_missing(
    missing: Sequence[ClipPlan],
    out: Path,
    rows: dict[str, ClipRow],
    total: int,
    workers: int | None,
    progress: Progress | None,
) -> None:
    count = min(workers or default_workers(), max(1, len(missing)))
    with nullcontext(progress) if progress is not None else reporting("render", total, "clips") as report:
        if len(missing) < total:
            report.advance(total - len(missing), cached=True)
        try:
            work = functools.partial(_render_here, out=out)
            for plan, row in map_unordered(work, missing, workers=count, initializer=_prepare_worker):
                rows[plan.id] = row
                report.advance()
        finally:
            sweep(out, older_than_s=0.0)  # nobody else writes here: the lock is ours and the workers have ended


def _prepare_worker() -> None:
    import cv2

    cv2.setNumThreads(1)


def _render_here(plan: ClipPlan, out: Path) -> ClipRow:
    return render_clip(plan, out, default_synthesizer())


def _row(plan: ClipPlan, sound: Soundtrack, sha256: str) -> ClipRow:
    drawn = not plan.voices_only
    return ClipRow(
        id=plan.id,
        path=_media_path(plan, Path()).as_posix(),
        sha256=sha256,
        transcript=" ".join(turn.script.text for turn in plan.turns),
        language=plan.turns[0].script.language,
        speaker=plan.people[plan.turns[0].person].speaker,
        licence=LICENCE,
        split=plan.split,
        duration=sound.duration,
        frames=sound.frames if drawn else None,
        fps=Fraction(FRAME_RATE) if drawn else None,
        sample_rate=plan.sample_rate,
        words=sound.words(),
        phones=sound.phones_of(),
        stresses=sound.stresses(),
        segments=sound.segments(plan),
        events=tuple(EventMark(kind=e.kind, frame=e.frame, time=e.frame / FRAME_RATE) for e in plan.events),
        tags=_tags(plan),
        source=_sorted({"digest": plan.digest, "plan": plan.model_dump(mode="json")}),
    )


def _tags(plan: ClipPlan) -> tuple[str, ...]:
    """What kind of clip it is and what is said; of a clip that is not drawn, only what can be heard."""
    kind = "plain" if plan.voices_only and plan.kind not in AUDIBLE_KINDS else plan.kind
    tags = [kind, "grid" if plan.is_grid else "salad" if plan.turns[0].script.is_salad else "free"]
    tags += [f"occluder_{plan.occluder}"] if kind == "occluded" else []
    tags += [plan.figure] if kind == "non_human" else []
    tags += ["background_events"] if plan.events else []
    tags += ["voices_only"] if plan.voices_only else []
    return tuple(tags)


def _sorted(value: dict[str, Any]) -> dict[str, Any]:
    """``value`` with sorted keys throughout, as the kept row has them: a resumed run writes the same manifest."""
    ordered: dict[str, Any] = json.loads(json.dumps(value, sort_keys=True))
    return ordered


def _media_path(plan: ClipPlan, out: Path) -> Path:
    return out / f"{plan.id}{_SOUND if plan.voices_only else _VIDEO}"


def _row_path(plan: ClipPlan, out: Path) -> Path:
    return out / _ROWS / f"{plan.id}.json"


def _finished(plan: ClipPlan, out: Path) -> ClipRow | None:
    """The row of a clip that is whole and of this plan, else None."""
    try:
        kept: Mapping[str, Any] = json.loads(_row_path(plan, out).read_text(encoding="utf-8"))
        media = _media_path(plan, out)
        whole = media.stat().st_size == kept["bytes"] and media.with_suffix(".align").is_file()
        return ClipRow.model_validate(kept["row"]) if whole and kept["digest"] == plan.digest else None
    except (OSError, ValueError, KeyError):
        return None  # never made, removed, or written by another version: make it again


def _refuse_other_corpus(out: Path, plans: Sequence[ClipPlan]) -> None:
    planned = {plan.id for plan in plans}
    # A run that was killed while it wrote a row leaves a partial file beside it, which is no row.
    rows = (path for path in (out / _ROWS).glob("*/*.json") if PARTIAL not in path.name)
    strangers = sorted({path.relative_to(out / _ROWS).with_suffix("").as_posix() for path in rows} - planned)
    foreign = (out / HEADER).is_file() and not (out / _ROWS).is_dir()
    if strangers or foreign:
        what = f"{len(strangers)} clips that this one has not ({strangers[0]}, …)" if strangers else "another manifest"
        raise WrongUse(
            "talkers.other_corpus",
            f"{out} holds another corpus: {what}.",
            "Render into a new folder, or give the seed, languages and at least the counts of the corpus there.",
        )


def _is_announced(out: Path, header: CorpusHeader) -> bool:
    try:
        return CorpusHeader.model_validate_json((out / HEADER).read_text(encoding="utf-8")) == header
    except (OSError, ValueError):
        return False


def _report(
    out: Path, plans: Sequence[ClipPlan], missing: Sequence[ClipPlan], rows: Mapping[str, ClipRow], wall_s: float
) -> RenderReport:
    spoken = (language for plan in plans for language in {turn.script.language for turn in plan.turns})
    return RenderReport(
        out=out,
        clips=len(plans),
        rendered=len(missing),
        media_s=sum(row.duration for row in rows.values()),
        rendered_media_s=sum(rows[plan.id].duration for plan in missing),
        wall_s=wall_s,
        kinds=dict(sorted(Counter(plan.kind for plan in plans).items())),
        languages=dict(sorted(Counter(spoken).items())),
        splits=dict(sorted(Counter(plan.split for plan in plans).items())),
    )
