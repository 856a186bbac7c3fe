"""The benchmarks of two tiers, rendered in the embedded world (JUST-DUB-IT, section 4 and A.2).

*Standard*: plain scenes. *Challenging*: profile, something before the mouth, low light, two faces, non-human figures.
Each folder is a corpus of its own (``manifest.json``) with ``benchmark.json`` beside it. Real counterparts come from
imported corpora (:mod:`dubflow.judging.card.from_corpus`).
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final, get_args

from dubflow.corpora.manifest import ClipRow, CorpusHeader, CorpusManifest, read_manifest
from dubflow.errors import BadInput, WrongUse
from dubflow.judging.card.clip_items import lender_of, own_text_item, translation_item
from dubflow.judging.card.items import Benchmark, BenchmarkItem, read_benchmark, write_benchmark
from dubflow.platform.benchmark_people import STARTER_SEED, person_facts
from dubflow.platform.benchmark_plans import BenchmarkSettings, Slot, Tier, plan_tier
from dubflow.progress import Progress
from dubflow.speech.espeak import default_synthesizer
from dubflow.talkers.render import render_plans
from dubflow.talkers.scenes import WORLD_VERSION

__all__ = [
    "BENCHMARK",
    "BenchmarkSettings",
    "Built",
    "build_challenging",
    "build_standard",
    "build_tier",
    "open_benchmark",
    "summary",
]

BENCHMARK: Final = "benchmark.json"
_SLICES: Final = ("difficulty", "language_pair", "speaker", "length")


@dataclass(frozen=True)
class Built:
    """A benchmark that lies ready: its items, its folder, and how many of its clips this run made."""

    benchmark: Benchmark
    folder: Path
    rendered: int
    seconds: float

    @property
    def path(self) -> Path:
        """Its JSON file."""
        return self.folder / BENCHMARK


def build_standard(
    out: Path,
    settings: BenchmarkSettings | None = None,
    *,
    workers: int | None = None,
    progress: Progress | None = None,
) -> Built:
    """The tier of plain scenes; see :func:`build_tier`."""
    return build_tier("standard", out, settings, workers=workers, progress=progress)


def build_challenging(
    out: Path,
    settings: BenchmarkSettings | None = None,
    *,
    workers: int | None = None,
    progress: Progress | None = None,
) -> Built:
    """The tier of difficult scenes; see :func:`build_tier`."""
    return build_tier("challenging", out, settings, workers=workers, progress=progress)


def build_tier(
    tier: Tier,
    out: Path,
    settings: BenchmarkSettings | None = None,
    *,
    workers: int | None = None,
    progress: Progress | None = None,
) -> Built:
    """Render the clips that are missing in ``out`` and write the benchmark; a finished one is found.

    Equal settings give the same digest, whatever ``workers`` is and however often the run was interrupted.

    Raises:
        WrongUse: ``platform.other_benchmark`` where ``out`` holds one of other settings, ``talkers.other_corpus`` where
            it holds other clips, ``talkers.already_rendering``.
    """
    started = time.monotonic()
    out, settings = Path(out), settings or BenchmarkSettings()
    header = CorpusHeader(
        name=f"benchmark-{tier}-{settings.seed}",
        layout="talkers",
        world="embedded",
        clips=settings.items(tier),
        made_with={
            "tier": tier,
            "people_of_seed": STARTER_SEED,
            "settings": settings.model_dump(mode="json"),
            "world_version": WORLD_VERSION,
            "espeakng_loader": version("espeakng-loader"),
        },
    )
    found = _found(out, header)
    if found is not None:
        return Built(found, out, 0, time.monotonic() - started)
    _refuse_other_benchmark(out, header)
    slots = plan_tier(tier, settings, default_synthesizer())
    report = render_plans(out, [slot.plan for slot in slots], header, workers=workers, progress=progress)
    benchmark = Benchmark(name=tier, world="embedded", items=tuple(_items(slots, read_manifest(out))))
    write_benchmark(benchmark, out / BENCHMARK)
    return Built(benchmark, out, report.rendered, time.monotonic() - started)


def open_benchmark(
    name_or_path: str,
    home: Path,
    *,
    settings: BenchmarkSettings | None = None,
    workers: int | None = None,
    progress: Progress | None = None,
) -> tuple[Benchmark, Path]:
    """A benchmark and the folder that its paths are relative to.

    Args:
        name_or_path: ``standard`` or ``challenging``, built below ``home`` where it is absent; or a benchmark's folder
            or JSON file. settings: of a tier that is built.

    Raises:
        WrongUse: as :func:`build_tier`. BadInput: as :func:`~dubflow.judging.card.items.read_benchmark`.
    """
    for tier in get_args(Tier):
        if name_or_path == tier:
            folder = Path(home) / "benchmarks" / tier
            built = build_tier(tier, folder, settings, workers=workers, progress=progress)
            return built.benchmark, built.folder
    path = Path(name_or_path)
    path = path / BENCHMARK if path.is_dir() else path
    return read_benchmark(path), path.parent


def summary(benchmark: Benchmark) -> dict[str, Any]:
    """Counts of the items by task and by what they are counted under, and the digest."""
    return {
        "name": benchmark.name,
        "world": benchmark.world,
        "items": len(benchmark.items),
        "digest": benchmark.digest,
        "tasks": _counts(str(item.facts.get("task", "")) for item in benchmark.items),
        **{name: _counts(getattr(item.tags, name) for item in benchmark.items) for name in _SLICES},
    }


def _counts(names: Iterable[str]) -> dict[str, int]:
    return dict(sorted(Counter(names).items()))


def _items(slots: Sequence[Slot], manifest: CorpusManifest) -> list[BenchmarkItem]:
    rows = {row.id: row for row in manifest}
    return [_item(slot, rows[slot.plan.id], _clips_of(slot, manifest)) for slot in slots]


def _clips_of(slot: Slot, manifest: CorpusManifest) -> list[ClipRow]:
    return [row for row in manifest if row.speaker == slot.speaker.speaker]


def _item(slot: Slot, row: ClipRow, clips: Sequence[ClipRow]) -> BenchmarkItem:
    plan = slot.plan
    facts: dict[str, Any] = {
        **person_facts(slot.speaker),
        "code": slot.text.code,
        "speech": [row.words[0].start, row.words[-1].end],
        **({"occluder": plan.occluder} if plan.occluder != "none" else {}),
        **({"figure": plan.figure} if plan.figure != "human" else {}),
        **({"seat": ("left", "right")[plan.turns[0].person]} if plan.kind == "two_speakers" else {}),
    }
    if slot.task == "translation":
        return translation_item(row, slot.text.language, slot.text.text, facts=facts)
    # With too few clips for everybody to have two, a voice comes from the clip itself: an oracle, and named so.
    return own_text_item(row, lender_of(row, clips) or row, slot.text.text, facts=facts)


def _found(out: Path, header: CorpusHeader) -> Benchmark | None:
    """The benchmark of these settings that an earlier run finished, with all its clips."""
    try:
        if read_manifest(out).header != header:
            return None
        benchmark = read_benchmark(out / BENCHMARK)
    except BadInput:
        return None
    files = {file.path for item in benchmark.items for file in item.files.values()}
    return benchmark if all((out / path).is_file() for path in files) else None


def _refuse_other_benchmark(out: Path, header: CorpusHeader) -> None:
    """What was made with other settings is not written over; what another version made is made anew."""
    try:
        found = read_manifest(out).header.made_with
    except BadInput:
        return
    wanted = header.made_with
    if any(found.get(name) != wanted[name] for name in ("tier", "settings")):
        raise WrongUse(
            "platform.other_benchmark",
            f"{out} holds a benchmark of another tier, seed, count or other settings.",
            "Name another folder, or remove that one.",
        )
