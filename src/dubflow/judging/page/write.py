"""Writing the page: one HTML file, and beside it the clips that it plays.

The file is a :mod:`~dubflow.judging.page.document`: it works from disk without a network. Equal arguments give equal
bytes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from dubflow.atomic import write_text
from dubflow.errors import WrongUse
from dubflow.faces.landmarks import Landmarker
from dubflow.judging.card.rows import Metric, ScoreCard
from dubflow.judging.gate.verdict import Verdict
from dubflow.judging.page.clips import clips_section
from dubflow.judging.page.document import document
from dubflow.judging.page.exhibit import ClipMedia, Exhibit, Unshowable, exhibit, sweep_copies
from dubflow.judging.page.metrics import metrics_section
from dubflow.judging.page.player import Shown
from dubflow.judging.page.protocol import protocol_section
from dubflow.judging.page.regressions import Regression, worst_first
from dubflow.judging.page.side_by_side import ROLES, regressions_section
from dubflow.judging.page.sides import both_sides
from dubflow.judging.page.slices import slices_section
from dubflow.judging.page.summary import header, metric_parts, provenance_section, verdict_section
from dubflow.progress import Progress

PAGE = "index.html"
SHOWN = 12

__all__ = ["PAGE", "ClipMedia", "write_page"]


def write_page(
    out_folder: Path,
    challenger: ScoreCard,
    champion: ScoreCard | None,
    verdict: Verdict,
    media: Mapping[str, ClipMedia],
    *,
    landmarker: Landmarker | None = None,
    signed_by: str | None = None,
    shown: int = SHOWN,
    progress: Progress | None = None,
) -> Path:
    """Write the evidence for ``verdict`` into ``out_folder`` and return the page's path.

    The page is written last; a page that was there is replaced, with the clips that only it showed.

    Args:
        champion: None where nothing is in use yet. Under another protocol its figures are shown, never held against.
        media: files and text of each clip, by clip id; clips without are shown by their figures alone.
        landmarker: measures the mouths of the clips shown; None leaves their curves out, and the page says so.
        signed_by: fingerprint of the key that signed the verdict; None where nobody did.
        shown: how many of the worst clips are shown with their media. progress: is told of each.

    Raises:
        WrongUse: ``judging.other_cards`` where the verdict is of other cards, ``judging.bad_count``.
    """
    if shown < 0:
        raise WrongUse("judging.bad_count", f"{shown} clips cannot be shown.", "Give zero or more.")
    out_folder = Path(out_folder)
    _check_cards(challenger, champion, verdict)
    sides = both_sides(challenger, champion)
    comparable = champion is not None and champion.protocol.id == challenger.protocol.id
    parts = metric_parts(verdict)
    metrics = _ordered(challenger.metrics, parts)
    found = worst_first(challenger, champion if comparable else None, set(parts))
    exhibits = _exhibits(out_folder, found[:shown], media, landmarker, progress)
    judged = [metric for metric in metrics if metric.name in parts] or metrics
    ranked = sides if comparable else sides[:1]
    page = document(
        f"Evidence: {challenger.system}" + (" (embedded world)" if challenger.world == "embedded" else ""),
        header(sides),
        [
            verdict_section(verdict, sides, comparable=comparable),
            metrics_section(sides, metrics, parts),
            slices_section(sides, judged, comparable=comparable),
            regressions_section(found, shown, ranked, media, exhibits, mouths=landmarker is not None),
            clips_section(sides, metrics, media),
            protocol_section(sides),
            provenance_section(verdict, sides, signed_by),
        ],
    )
    target = out_folder / PAGE
    write_text(target, page)
    sweep_copies(out_folder, {one.address for one in exhibits.values() if isinstance(one, Exhibit)})
    return target


def _exhibits(
    folder: Path,
    found: Sequence[Regression],
    media: Mapping[str, ClipMedia],
    landmarker: Landmarker | None,
    progress: Progress | None,
) -> dict[tuple[str, str], Shown]:
    """What there is of each clip that is shown, by clip and role; a file that plays several roles is drawn once."""
    drawn: dict[Path, Shown] = {}
    exhibits: dict[tuple[str, str], Shown] = {}
    if progress is not None:
        progress.expect(len(found))
    for one in found:
        for role in ROLES:
            path: Path | None = getattr(media.get(one.clip), role, None)
            if path is None:
                continue
            if path not in drawn:
                try:
                    drawn[path] = exhibit(Path(path), folder, landmarker)
                except Unshowable as why:
                    drawn[path] = str(why)
            exhibits[one.clip, role] = drawn[path]
        if progress is not None:
            progress.advance()
    return exhibits


def _ordered(metrics: Sequence[Metric], parts: Mapping[str, Sequence[str]]) -> list[Metric]:
    """The verdict's metrics in its order, then the card's others in theirs."""
    places = {name: place for place, name in enumerate(parts)}
    return sorted(metrics, key=lambda metric: places.get(metric.name, len(places)))


def _check_cards(challenger: ScoreCard, champion: ScoreCard | None, verdict: Verdict) -> None:
    named = (verdict.challenger.card, None if verdict.champion is None else verdict.champion.card)
    if named != (challenger.digest, None if champion is None else champion.digest):
        raise WrongUse(
            "judging.other_cards",
            "The verdict was not made from these score cards.",
            "Give the cards that it names, challenger first, or judge these with `dubflow gate`.",
        )
