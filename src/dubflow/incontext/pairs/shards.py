"""Pairs of many prompts, by several processes at once, each prompt once, however often they are killed.

Prompts are spread over parts; any number of processes may work on any parts in one folder or in several. An item is
claimed before it is made and appears whole, so a killed run loses only what it was just making. When every prompt has
its item, whoever sees it writes the pair manifest: items are brought together in the order of their keys, and what
hangs on all of them (thresholds by percentile) is decided then. The result hangs on neither order nor interruptions,
but for the seconds in its cost.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dubflow.atomic import sweep
from dubflow.corpora.cache import STALE_S, Store, content_key
from dubflow.corpora.parts import Part
from dubflow.errors import BadInput
from dubflow.incontext.pairs.engine import PairEngine, check_switch
from dubflow.incontext.pairs.engine_cost import pass_flops, totals
from dubflow.incontext.pairs.engine_items import (
    ITEM,
    Item,
    adopt_items,
    item_folder,
    item_key,
    read_item,
    rows_of,
    write_item,
)
from dubflow.incontext.pairs.manifest import PairHeader, PairManifest
from dubflow.incontext.pairs.prompts.structure import Prompt
from dubflow.incontext.pairs.quality.verdicts import reason_of
from dubflow.progress import Progress, Silent

WHOLE = Part(0, 1)


@dataclass(frozen=True)
class SynthesisReport:
    """What a run did and what there is now.

    Attributes:
        prompts: of all parts. done: items made now. found: items of this part found made, or made by others meanwhile.
        missing: prompts of other parts that have no item here yet; 0 once the manifest is written.
        pairs, kept: in the manifest, and those that are not rejected; None while prompts are missing.
        failed: prompts without a pair, by the code of the last try's refusal. rejected: pairs by reason.
        cost: see :func:`cost_of`.
    """

    prompts: int
    done: int
    found: int
    missing: int
    pairs: int | None
    kept: int | None
    failed: dict[str, int]
    rejected: dict[str, int]
    cost: dict[str, float]
    wall_s: float

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {name: getattr(self, name) for name in self.__dataclass_fields__} | {"wall_s": round(self.wall_s, 3)}


def nothing_kept(report: SynthesisReport) -> BadInput:
    """The refusal of a finished run without a pair to train with: ``incontext.nothing_kept``."""
    reasons = {**report.failed, **report.rejected}
    told = ", ".join(f"{reason} ({number})" for reason, number in sorted(reasons.items()))
    return BadInput(
        "incontext.nothing_kept",
        f"None of {report.prompts} prompts became a pair that is kept: {told}.",
        "Take a base that speaks these languages, more prompts, or other limits in the preset.",
        prompts=report.prompts,
        pairs=report.pairs,
        reasons=reasons,
    )


def plan(engine: PairEngine, prompts: Sequence[Prompt], seed: int) -> dict[str, Prompt]:
    """Prompts by the keys of their items, sorted.

    Raises:
        BadInput: ``incontext.no_prompts``; ``incontext.not_a_switch``.
    """
    if not prompts:
        raise BadInput("incontext.no_prompts", "There is no prompt to make pairs from.", "Give --prompts or --count.")
    for prompt in prompts:
        check_switch(prompt)
    return dict(sorted((item_key(engine, prompt, seed), prompt) for prompt in prompts))


def synthesize(
    engine: PairEngine,
    prompts: Sequence[Prompt],
    out: Path,
    seed: int,
    *,
    name: str = "synthesised",
    licence: str | None = None,
    part: Part = WHOLE,
    earlier: Iterable[Path] = (),
    progress: Progress | None = None,
) -> SynthesisReport:
    """Make the pairs of ``part`` of the prompts in ``out``; with the last of them the manifest is written.

    Args:
        prompts: of all parts, the same in every process. seed: the run's.
        licence: of what is made: that of the base. earlier: folders whose items are taken as they are.

    Raises:
        BadInput: as :func:`plan`; ``incontext.no_items``, ``incontext.bad_item``.
    """
    started, progress, out = time.monotonic(), progress or Silent(), Path(out)
    planned = plan(engine, prompts, seed)
    for folder in earlier:
        adopt_items(folder, out, planned)
    mine = list(planned)[part.index :: part.count]
    progress.expect(len(mine))
    sweep(out, older_than_s=STALE_S)
    with closing(Store(out)) as store:
        run = _Run(engine, store, planned, seed, out, progress)
        # What another process is just making is left to it; should it be killed, it is made here after all.
        late = [key for key in mine if not run.settle(key, wait=False)]
        for key in late:
            run.settle(key, wait=True)
    items = {key: item for key in planned if (item := read_item(out, key)) is not None}
    missing = len(planned) - len(items)
    manifest = None
    if not missing:
        manifest = merged(engine, list(items.values()), out, seed, name=name, licence=licence)
        manifest.write()
    failed = Counter(item.refused[-1].code for item in items.values() if not item.rows)
    reasons = Counter(reason_of(told) for row in manifest or () for told in row.rejected)
    kept = None if manifest is None else len(manifest.accepted)
    return SynthesisReport(
        prompts=len(planned),
        done=run.done,
        found=len(mine) - run.done,
        missing=missing,
        pairs=None if manifest is None else len(manifest),
        kept=kept,
        failed=dict(sorted(failed.items())),
        rejected=dict(sorted(reasons.items())),
        cost=cost_of(list(items.values()), kept),
        wall_s=time.monotonic() - started,
    )


def merged(
    engine: PairEngine, items: Sequence[Item], root: Path, seed: int, *, name: str, licence: str | None
) -> PairManifest:
    """The pairs of all items in one manifest, with the reasons that hang on all of them."""
    found = [row for item in items for row in item.rows]
    reasons: dict[str, tuple[str, ...]] = {}
    if engine.quality is not None and found:
        verdicts = engine.quality.verdicts([row.qc for row in found])
        reasons = {row.id: verdict for row, verdict in zip(found, verdicts, strict=True)}
    rows = [row for item in items for row in rows_of(item, reasons)]
    kept = sum(not row.rejected for row in rows)
    header = PairHeader(
        name=name,
        world="embedded" if engine.backbone.world == "embedded" else "real",
        licence=licence,
        made_with={
            **engine.identity,
            "verdicts": None if engine.quality is None else engine.quality.id,
            "seed": seed,
            "prompts": {"count": len(items), "digest": content_key({"ids": sorted(item.prompt_id for item in items)})},
            "without_pair": {item.prompt_id: item.refused[-1].code for item in items if not item.rows},
            "cost": cost_of(items, kept),
        },
    )
    return PairManifest(header, rows, root)


def cost_of(items: Sequence[Item], kept: int | None) -> dict[str, float]:
    """What items took: ``seconds`` of wall clock, ``device_seconds`` of them by the base, ``tries``; and the same for
    each pair that was ``kept``, where any was."""
    cost = {"seconds": 0.0, "device_seconds": 0.0, "tries": float(sum(item.tries for item in items))}
    for item in items:
        for what, value in totals(item.seconds).items():
            cost[what] += value
    cost |= {f"{what}_per_kept": value / kept for what, value in cost.items()} if kept else {}
    return {what: round(value, 3) for what, value in cost.items()}


def survey(engine: PairEngine, prompts: Sequence[Prompt], out: Path, seed: int, part: Part = WHOLE) -> dict[str, Any]:
    """What :func:`synthesize` would do and about what it would cost; writes nothing.

    Counted: prompts, passes of the transformer (guidance counts twice), and of the longest clip its tokens and the
    operations of all passes. Where every first try succeeds; seconds are those of items that are there, else None.
    """
    planned = plan(engine, prompts, seed)
    mine = list(planned)[part.index :: part.count]
    items = [item for key in mine if (item := read_item(Path(out), key)) is not None]
    to_do = [planned[key] for key in mine if not item_folder(Path(out), key).is_dir()]
    settings, geometry = engine.settings, engine.backbone.geometry
    steps = len(settings.sampling.levels()) - 1
    denoisings = 1 + 2 * (2 if settings.augment else 1)
    frames = max(prompt.clip_frames or 0 for prompt in planned.values())
    each = sum(totals(item.seconds)["seconds"] for item in items) / len(items) if items else None
    passes = denoisings * steps * (1 if settings.guidance == 1 else 2) * len(to_do)
    return {
        "prompts": len(planned),
        "part": f"{part.index}/{part.count}",
        "found": len(items),
        "to_do": len(to_do),
        "pairs_at_most": 2 * len(to_do),
        "denoisings": denoisings * len(to_do),
        "passes": passes,
        "tokens": geometry.video_tokens(frames, settings.height, settings.width),
        "flops": passes * pass_flops(engine.backbone, frames, settings.height, settings.width),
        "tries_at_most": settings.tries,
        "seconds": None if each is None else round(each * len(to_do), 1),
    }


@dataclass
class _Run:
    """One process at its part."""

    engine: PairEngine
    store: Store
    planned: dict[str, Prompt]
    seed: int
    out: Path
    progress: Progress
    done: int = 0

    def settle(self, key: str, *, wait: bool) -> bool:
        """See that the item is there, made now if need be; False when another process is just making it."""
        if self._there(key):
            return True
        with self.store.claim(key, wait=wait) as held:
            if not held:
                return False
            if self._there(key):
                return True
            made = self.engine.make(self.planned[key], self.seed)
            item = write_item(self.out, key, made, self.engine.settings)
        self.done += 1
        self.progress.advance()
        if not item.rows:
            last = item.refused[-1]
            self.progress.note(f"{item.prompt_id[:12]}: no pair in {item.tries} tries: {last.reason} [{last.code}]")
        return True

    def _there(self, key: str) -> bool:
        found = (item_folder(self.out, key) / ITEM).is_file()
        if found:
            self.progress.advance(cached=True)
        return found
