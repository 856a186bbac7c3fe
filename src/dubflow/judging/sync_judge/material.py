"""What the small judge is trained on: mouths and sound of a corpus of talkers, cut out once and kept."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dubflow.atomic import atomic_file
from dubflow.corpora.manifest import ClipRow, CorpusManifest, read_manifest
from dubflow.faces.landmarks import MediaPipeLandmarker
from dubflow.judging.recogniser import SAMPLE_RATE
from dubflow.judging.sync_judge.crops import mouth_crops
from dubflow.media.decode import read_clip
from dubflow.parallel import map_unordered
from dubflow.progress import Progress
from dubflow.speech.durations import FRAME_RATE


@dataclass(frozen=True, eq=False)
class SyncClip:
    """One clip. crops: uint8 ``[F, 64, 64]``; waveform: float32 ``[N]``, 16 kHz."""

    id: str
    speaker: str
    language: str
    crops: NDArray[np.uint8]
    waveform: NDArray[np.float32]


def cut_corpus(
    corpus: Path, cache: Path, rows: Sequence[ClipRow], *, workers: int | None = None, progress: Progress | None = None
) -> list[SyncClip]:
    """Cut the mouths out of clips of a corpus of talkers, or read what an earlier call cut. Clips without a face are
    left out; the order is that of ``rows``."""
    manifest = read_manifest(corpus)
    if progress is not None:
        progress.expect(len(rows))
    for _, cached in map_unordered(partial(_cut, manifest.root, cache), rows, workers=workers):
        if progress is not None:
            progress.advance(cached=cached)
    return [clip for row in rows if (clip := _read(cache, row)) is not None]


def cut_file(path: Path) -> tuple[NDArray[np.uint8], NDArray[np.float32]] | None:
    """Mouths ``[F, 64, 64]`` and sound ``[N]`` of a clip; None where it shows no face.

    Raises:
        BadInput: as ``media.decode.read_clip``.
    """
    clip = read_clip(path, fps=FRAME_RATE, sample_rate=SAMPLE_RATE)
    assert clip.frames is not None
    assert clip.waveform is not None
    tracks = MediaPipeLandmarker().landmarks(clip.frames)
    return (mouth_crops(clip.frames, tracks.main), clip.waveform) if tracks.tracks else None


def rows_of(manifest: CorpusManifest, split: str) -> list[ClipRow]:
    """Rows of a split with one visible speaker."""
    return [row for row in manifest if row.split == split and row.frames is not None]


def _path(cache: Path, row: ClipRow) -> Path:
    return cache / row.sha256[:2] / f"{row.sha256}.npz"


def _cut(root: Path, cache: Path, row: ClipRow) -> bool:
    """Whether it was there already."""
    path = _path(cache, row)
    if path.is_file():
        return True
    found = cut_file(root / row.path)
    crops, waveform = (np.zeros((0, 0, 0), np.uint8), np.zeros(0, np.float32)) if found is None else found
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_file(path) as part, open(part, "wb") as file:
        np.savez(file, crops=crops, waveform=waveform)
    return False


def _read(cache: Path, row: ClipRow) -> SyncClip | None:
    with np.load(_path(cache, row), allow_pickle=False) as kept:
        crops, waveform = kept["crops"], kept["waveform"]
    return SyncClip(row.id, row.speaker or "", row.language or "", crops, waveform) if len(crops) else None
