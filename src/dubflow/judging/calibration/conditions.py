"""Systems whose worth is known: a benchmark's own references, spoilt in one way each.

Every condition becomes a folder of clips, as a system would deliver them, so that an evaluation judges it like any
other. Where the sound is spoilt the picture's packets stay as they are; ``again`` has the sound of ``truth`` encoded
again, so that what the encoder does is not taken for the spoiling.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import Literal

from dubflow.atomic import atomic_file, sweep, write_text
from dubflow.corpora.cache import content_key
from dubflow.errors import BadInput, WrongUse
from dubflow.faces.frames import Picture
from dubflow.judging.calibration import spoilt
from dubflow.judging.calibration.donors import Donor, donors
from dubflow.judging.calibration.spoilt import Wave
from dubflow.judging.card.evaluate import SUFFIXES
from dubflow.judging.card.items import Benchmark, BenchmarkItem
from dubflow.judging.recogniser import SAMPLE_RATE
from dubflow.media.decode import read_audio, read_clip
from dubflow.media.encode import replace_audio, write_audio, write_clip
from dubflow.parallel import map_unordered
from dubflow.progress import Progress, Silent
from dubflow.speech.durations import FRAME_RATE

VERSION = 1
"""Of what the conditions do; another one makes every clip again."""
SHIFTS = (1, 2, 5, 10)
SNRS_DB = (20, 10, 0, -5)
LONGER_S = 0.5
_FRAME = SAMPLE_RATE // FRAME_RATE
_CRF = 12  # of pictures that are encoded again; as the embedded world's own

Kind = Literal["files", "sound", "picture"]


@dataclass(frozen=True)
class Condition:
    """One way of being wrong, or right.

    Attributes:
        name: of the folder. what: in words, for tables. kind: what is spoilt: whole files, the sound, the picture.
    """

    name: str
    what: str
    kind: Kind


def _snr_name(snr_db: int) -> str:
    return f"noise_{snr_db}" if snr_db >= 0 else f"noise_minus_{-snr_db}"


CONDITIONS: tuple[Condition, ...] = (
    Condition("truth", "the reference itself", "files"),
    Condition("missing", "every third clip not delivered", "files"),
    Condition("again", "its sound encoded again", "sound"),
    *(Condition(f"early_{n}", f"sound {n} frames early", "sound") for n in SHIFTS),
    *(Condition(f"late_{n}", f"sound {n} frames late", "sound") for n in SHIFTS),
    Condition("longer", f"{LONGER_S} s of silence at the end", "sound"),
    Condition("shorter", f"the last {LONGER_S} s cut off", "sound"),
    *(Condition(_snr_name(snr), f"white noise, {snr} dB", "sound") for snr in SNRS_DB),
    Condition("wrong_text", "another sentence of the same speaker", "sound"),
    Condition("other_voice", "another speaker, the same sentence where there is one", "sound"),
    Condition("silence", "no sound", "sound"),
    Condition("blurred", "out of focus", "picture"),
    Condition("dark", "a third of the light", "picture"),
    Condition("frozen", "the first frame, all the time", "picture"),
    Condition("other_face", "another person's picture", "picture"),
)


@dataclass(frozen=True)
class _Job:
    item: BenchmarkItem
    root: Path
    condition: Condition
    target: Path
    donor: Donor | None

    @property
    def key(self) -> str:
        donor = None if self.donor is None else self.donor.sha256
        return content_key(
            {"version": VERSION, "item": self.item.digest, "condition": self.condition.name, "donor": donor}
        )

    @property
    def reference(self) -> Path:
        assert self.item.reference is not None  # checked before any job is made
        return self.root / self.item.reference.path


def make_conditions(
    benchmark: Benchmark,
    root: Path,
    out: Path,
    *,
    lenders: Benchmark | None = None,
    chosen: Sequence[str] | None = None,
    workers: int | None = None,
    progress: Progress | None = None,
) -> dict[str, Path]:
    """Folders of clips by condition, below ``out``; what was made before from the same files is kept.

    Args:
        root: the benchmark's folder.
        lenders: whose references lend another sentence, voice or face, below the same ``root``; the benchmark itself
            unless said otherwise.
        chosen: names of conditions; all of :data:`CONDITIONS` unless said otherwise.

    Raises:
        WrongUse: ``judging.unknown_condition``.
        BadInput: ``judging.no_reference`` for an item without one, ``judging.no_donor`` where nobody could lend another
            sentence, voice or face; what ``media`` says of files that cannot be read.
    """
    wanted = _wanted(chosen)
    lacking = [item.id for item in benchmark.items if item.reference is None]
    if lacking:
        raise BadInput(
            "judging.no_reference",
            f"{len(lacking)} items have no true recording to spoil: {', '.join(lacking[:3])}.",
            "Calibrate on items whose reference says the transcript.",
        )
    report = progress or Silent()
    sweep(out)
    pool = benchmark if lenders is None else lenders
    jobs = [job for condition in wanted for job in _jobs(benchmark, pool, root, out / condition.name, condition)]
    for condition in wanted:
        (out / condition.name).mkdir(parents=True, exist_ok=True)
    report.expect(len(jobs))
    todo = [job for job in jobs if not _made(job)]
    report.advance(len(jobs) - len(todo), cached=True)
    for _ in map_unordered(_make, todo, workers=workers):
        report.advance()
    return {condition.name: out / condition.name for condition in wanted}


def _wanted(chosen: Sequence[str] | None) -> tuple[Condition, ...]:
    if chosen is None:
        return CONDITIONS
    known = {one.name: one for one in CONDITIONS}
    odd = [name for name in chosen if name not in known]
    if odd:
        raise WrongUse(
            "judging.unknown_condition", f"There is no condition {', '.join(odd)}.", f"Known: {', '.join(known)}."
        )
    return tuple(one for one in CONDITIONS if one.name in chosen)


def _jobs(benchmark: Benchmark, lenders: Benchmark, root: Path, folder: Path, condition: Condition) -> list[_Job]:
    items = benchmark.items
    if condition.name == "missing":
        items = tuple(item for place, item in enumerate(items) if place % 3)
    lent = donors(benchmark, lenders, root, condition.name)
    return [_Job(item, root, condition, folder / item.id, lent.get(item.id)) for item in items]


def _record(job: _Job) -> Path:
    return job.target.with_name(f"{job.target.name}.key")


def _made(job: _Job) -> bool:
    try:
        known = _record(job).read_text(encoding="utf-8") == job.key
    except OSError:
        return False
    return known and len(_clips(job)) == 1


def _clips(job: _Job) -> list[Path]:
    there = sorted(job.target.parent.glob(f"{job.target.name}.*"))
    return [path for path in there if path.stem == job.target.name and path.suffix in SUFFIXES]


def _make(job: _Job) -> None:
    _record(job).unlink(missing_ok=True)
    for old in _clips(job):
        old.unlink()
    if job.condition.kind == "files":
        with atomic_file(job.target.with_name(f"{job.target.name}{job.reference.suffix}")) as part:
            part.write_bytes(job.reference.read_bytes())
    elif job.condition.kind == "sound":
        _write_sound(job)
    else:
        _write_picture(job)
    write_text(_record(job), job.key)


def _write_sound(job: _Job) -> None:
    true = read_audio(job.reference, SAMPLE_RATE)
    name, seed = job.condition.name, int(sha256(job.item.id.encode()).hexdigest()[:8], 16)
    ways: dict[str, Callable[[], Wave]] = {
        "again": lambda: true,
        "longer": lambda: spoilt.fitted(true, true.size + round(LONGER_S * SAMPLE_RATE)),
        "shorter": lambda: true[: max(1, true.size - round(LONGER_S * SAMPLE_RATE))],
        "silence": lambda: spoilt.fitted(true[:0], true.size),
        "wrong_text": lambda: spoilt.fitted(_lent(job), true.size),
        "other_voice": lambda: spoilt.fitted(_lent(job), true.size),
    }
    ways |= {f"early_{n}": partial(spoilt.shifted, true, -n * _FRAME) for n in SHIFTS}
    ways |= {f"late_{n}": partial(spoilt.shifted, true, n * _FRAME) for n in SHIFTS}
    ways |= {_snr_name(snr): partial(spoilt.noisy, true, snr, seed) for snr in SNRS_DB}
    if job.reference.suffix.lower() == ".wav":
        write_audio(job.target.with_name(f"{job.target.name}.wav"), ways[name](), SAMPLE_RATE)
    else:
        replace_audio(job.reference, ways[name](), SAMPLE_RATE, job.target.with_name(f"{job.target.name}.mp4"))


def _write_picture(job: _Job) -> None:
    true = read_clip(job.reference, fps=FRAME_RATE, sample_rate=SAMPLE_RATE)
    assert true.frames is not None  # asked for, so there or an error
    frames: Picture = true.frames
    ways: dict[str, Callable[[], Picture]] = {
        "blurred": lambda: spoilt.blurred(frames),
        "dark": lambda: spoilt.darkened(frames),
        "frozen": lambda: spoilt.frozen(frames),
        "other_face": lambda: spoilt.repeated(_lent_picture(job), len(frames)),
    }
    target = job.target.with_name(f"{job.target.name}.mp4")
    write_clip(target, ways[job.condition.name](), FRAME_RATE, true.waveform, SAMPLE_RATE, crf=_CRF)


def _lent(job: _Job) -> Wave:
    assert job.donor is not None  # there, or donors() would have refused
    return read_audio(job.donor.path, SAMPLE_RATE)


def _lent_picture(job: _Job) -> Picture:
    assert job.donor is not None  # there, or donors() would have refused
    frames = read_clip(job.donor.path, fps=FRAME_RATE, audio=False).frames
    assert frames is not None  # asked for, so there or an error
    return frames
