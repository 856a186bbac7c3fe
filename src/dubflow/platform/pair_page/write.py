"""Writing the page of a run's pairs: one HTML file, and beside it the clips that it plays."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path

from dubflow.atomic import write_text
from dubflow.errors import BadInput, WrongUse
from dubflow.faces.landmarks import Landmarker
from dubflow.incontext.pairs.manifest import PairManifest, PairRow
from dubflow.incontext.pairs.quality.settings import QualitySettings
from dubflow.incontext.pairs.quality.verdicts import bounds_of
from dubflow.judging.page.document import document
from dubflow.judging.page.exhibit import Exhibit, Unshowable, exhibit, sweep_copies
from dubflow.judging.page.player import Shown
from dubflow.platform.pair_page.choice import chosen
from dubflow.platform.pair_page.gallery import ROLES, gallery_section
from dubflow.platform.pair_page.sections import figures_section, header, overview, pairs_section, reasons_section
from dubflow.platform.pair_page.stills import stills
from dubflow.progress import Progress

PAGE = "index.html"
SHOWN = 12


def write_pairs_page(
    out_folder: Path,
    manifest: PairManifest,
    settings: QualitySettings,
    *,
    landmarker: Landmarker | None = None,
    shown: int = SHOWN,
    progress: Progress | None = None,
) -> Path:
    """Write the page of ``manifest`` into ``out_folder`` and return its path.

    The page is written last; a page that was there is replaced, with the clips that only it showed.

    Args:
        settings: whose limits the histograms show; the run's own for its own verdicts.
        landmarker: measures the mouths of the clips shown; None leaves their curves out, and the page says so.
        shown: kept pairs, and refused ones, that are shown with their clips. progress: is told of each.

    Raises:
        WrongUse: ``platform.bad_count``.
    """
    if shown < 0:
        raise WrongUse("platform.bad_count", f"{shown} pairs cannot be shown.", "Give zero or more.")
    out_folder = Path(out_folder)
    rows = manifest.rows
    some = chosen(rows, shown)
    exhibits, pictures = _looked_at(out_folder, manifest, some, landmarker, progress)
    world = " (embedded world)" if manifest.header.world == "embedded" else ""
    package = files(__package__)
    page = document(
        f"Pairs: {manifest.header.name}{world}",
        header(manifest),
        [
            overview(manifest),
            reasons_section(manifest),
            figures_section(rows, bounds_of([row.qc for row in rows], settings)),
            gallery_section(some, len(rows), exhibits, pictures, mouths=landmarker is not None),
            pairs_section(rows),
        ],
        style=(package / "pair_page.css").read_text(encoding="utf-8"),
        script=(package / "pair_page.js").read_text(encoding="utf-8"),
    )
    target = out_folder / PAGE
    write_text(target, page)
    sweep_copies(out_folder, {one.address for one in exhibits.values() if isinstance(one, Exhibit)})
    return target


def _looked_at(
    folder: Path,
    manifest: PairManifest,
    rows: Sequence[PairRow],
    landmarker: Landmarker | None,
    progress: Progress | None,
) -> tuple[dict[tuple[str, str], Shown], dict[str, str | None]]:
    """What there is of every clip, by pair and role, and pictures of both, by pair."""
    exhibits: dict[tuple[str, str], Shown] = {}
    pictures: dict[str, str | None] = {}
    if progress is not None:
        progress.expect(len(rows))
    for row in rows:
        clips = {"context": manifest.path(row.context), "target": manifest.path(row.target)}
        for role in ROLES:
            try:
                exhibits[row.id, role] = exhibit(clips[role], folder, landmarker)
            except Unshowable as why:
                exhibits[row.id, role] = str(why)
        try:
            pictures[row.id] = stills(clips["context"], clips["target"])
        except BadInput:
            pictures[row.id] = None  # the players' places say why
        if progress is not None:
            progress.advance()
    return exhibits, pictures
