"""The page of two cards as they lie on disk: whose clips it plays, and who vouches for its verdict."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from dubflow.faces.landmarks import Landmarker, MediaPipeLandmarker
from dubflow.judging.card.files import CARD
from dubflow.judging.card.media_list import CardMedia, read_media
from dubflow.judging.card.rows import ScoreCard
from dubflow.judging.gate.signing import SignedVerdict, fingerprint
from dubflow.judging.page.exhibit import ClipMedia
from dubflow.judging.page.write import SHOWN, write_page
from dubflow.judging.pins import why_missing
from dubflow.progress import Progress


def page_of_cards(
    out_folder: Path,
    cards: tuple[ScoreCard, ScoreCard | None],
    folders: tuple[Path, Path | None],
    signed: SignedVerdict,
    *,
    shown: int = SHOWN,
    progress: Progress | None = None,
) -> Path:
    """Write the evidence for a verdict, with the clips that the cards' folders list; returns the page's path.

    Mouths are measured where MediaPipe is installed. Where a card has no list, or files are gone, the page lacks those
    clips and nothing else.

    Args:
        cards, folders: challenger and champion; a folder may be named by its ``card.json``.

    Raises:
        BadInput: ``judging.bad_media_list``, ``judging.unknown_format``.
        WrongUse: ``judging.other_cards``, ``judging.bad_count``.
    """
    challenger, champion = (_listed(folder) for folder in folders)
    landmarker: Landmarker | None = None if why_missing("mediapipe") else MediaPipeLandmarker()
    return write_page(
        out_folder,
        *cards,
        signed.verdict,
        clip_media(challenger, champion),
        landmarker=landmarker,
        signed_by=None if signed.signature is None else fingerprint(signed.signature),
        shown=shown,
        progress=progress,
    )


def clip_media(challenger: Mapping[str, CardMedia], champion: Mapping[str, CardMedia]) -> dict[str, ClipMedia]:
    """What the page shows of each clip, by its id; source and text are the challenger's where both have them."""
    found = {}
    for name in sorted({*challenger, *champion}):
        ours, theirs = challenger.get(name, CardMedia()), champion.get(name, CardMedia())
        found[name] = ClipMedia(
            source=ours.source or ours.reference or theirs.source or theirs.reference,
            champion=theirs.clip,
            challenger=ours.clip,
            text=ours.text or theirs.text,
        )
    return found


def _listed(folder: Path | None) -> dict[str, CardMedia]:
    if folder is None:
        return {}
    return read_media(folder.parent if folder.name == CARD else folder)
