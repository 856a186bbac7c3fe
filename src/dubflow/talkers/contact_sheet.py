"""A picture of a corpus to look at: a row for each speaker, moments of one clip across."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from dubflow.atomic import atomic_file
from dubflow.corpora.manifest import ClipRow, CorpusManifest
from dubflow.errors import BadInput
from dubflow.media.decode import read_clip

MARGIN = 4
_INK = (40, 40, 40)


def contact_sheet(
    manifest: CorpusManifest, path: Path, *, speakers: int = 8, moments: int = 6, height: int = 160
) -> Path:
    """Write a PNG with ``moments`` frames of one clip of each of the first ``speakers`` speakers.

    A plain clip is shown where a speaker has one. Frames are scaled to ``height`` pixels.

    Raises:
        BadInput: ``talkers.nothing_to_show`` when no clip has a picture.
    """
    chosen: dict[str, ClipRow] = {}
    for row in sorted(manifest, key=lambda row: "plain" not in row.tags):
        if row.frames is not None and row.speaker is not None:
            chosen.setdefault(row.speaker, row)
    if not chosen:
        raise BadInput(
            "talkers.nothing_to_show", f"No clip of {manifest.root} has a picture.", "Give a corpus of videos."
        )
    strips = [_strip(manifest, chosen[name], moments, height) for name in sorted(chosen)[:speakers]]
    width = max(strip.shape[1] for strip in strips)
    sheet = np.concatenate([np.pad(s, ((0, 0), (0, width - s.shape[1]), (0, 0)), constant_values=255) for s in strips])
    with atomic_file(path) as part:
        cv2.imwrite(str(part), cv2.cvtColor(sheet, cv2.COLOR_RGB2BGR))
    return path


def _strip(manifest: CorpusManifest, row: ClipRow, moments: int, height: int) -> NDArray[np.uint8]:
    """``moments`` frames side by side over a line of text, uint8 RGB ``[H, W, 3]``."""
    frames = read_clip(manifest.media_path(row), fps=row.fps or Fraction(25), audio=False).frames
    assert frames is not None
    picks = np.linspace(0, len(frames) - 1, moments + 2).round().astype(int)[1:-1]
    width = round(frames.shape[2] * height / frames.shape[1])
    pictures = [cv2.resize(frames[pick], (width, height), interpolation=cv2.INTER_AREA) for pick in picks]
    padded = [np.pad(p, ((MARGIN, 0), (MARGIN, 0), (0, 0)), constant_values=255) for p in pictures]
    strip = np.concatenate(padded, axis=1)
    caption = np.full((18, strip.shape[1], 3), 255, np.uint8)
    # OpenCV's built-in font has no letters beyond ASCII, so the caption names the clip, not what it says.
    text = f"{row.id}  {row.language or ''}  {row.duration:.2f} s"
    cv2.putText(caption, text, (MARGIN, 13), cv2.FONT_HERSHEY_SIMPLEX, 0.4, _INK, 1, cv2.LINE_AA)
    return np.concatenate([strip, caption])
