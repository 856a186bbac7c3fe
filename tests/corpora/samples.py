"""Tones and coloured pictures, and rows about them, so that no test waits for a face or a voice."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dubflow.corpora.gather import media_facts
from dubflow.corpora.manifest import ClipRow
from dubflow.media.encode import write_audio, write_clip


def tone(seconds: float, hz: float, sample_rate: int = 16000) -> NDArray[np.float32]:
    """A sine that swells and fades."""
    times = np.arange(round(seconds * sample_rate)) / sample_rate
    swell = np.sin(np.pi * times / seconds)
    return (0.3 * swell * np.sin(2 * np.pi * hz * times)).astype(np.float32)


def pictures(count: int, seed: int, size: tuple[int, int] = (48, 64)) -> list[NDArray[np.uint8]]:
    """Frames in which a bright square wanders over a plain ground."""
    ground = np.random.default_rng(seed).integers(0, 200, 3)
    frames = []
    for index in range(count):
        frame = np.empty((*size, 3), np.uint8)
        frame[:] = ground
        column = (index * 3 + seed * 7) % (size[1] - 12)
        frame[10:22, column : column + 12] = 255
        frames.append(frame)
    return frames


def video(path: Path, seed: int, frames: int = 12) -> Path:
    """A small video with sound at ``path``."""
    path.parent.mkdir(parents=True, exist_ok=True)
    write_clip(path, pictures(frames, seed), Fraction(25), tone(frames / 25, 200 + 30 * seed), 16000)
    return path


def sound(path: Path, seed: int, seconds: float = 0.6) -> Path:
    """A small wav at ``path``."""
    path.parent.mkdir(parents=True, exist_ok=True)
    write_audio(path, tone(seconds, 150 + 20 * seed), 16000)
    return path


def row_of(root: Path, path: str, clip_id: str, **fields: Any) -> ClipRow:
    """A row of the file ``path`` with harmless facts."""
    facts = media_facts(root / path)
    known = {"transcript": "la la la", "language": "en", "speaker": "one", "licence": "CC0", **fields}
    measured = {name: getattr(facts, name) for name in ("sha256", "duration", "frames", "fps", "sample_rate")}
    return ClipRow(id=clip_id, path=path, **{**measured, **known})
