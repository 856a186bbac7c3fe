"""Two speakers with two sentences each: squares that wander over bursts of tone."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from dubflow.judging.card.items import Benchmark, BenchmarkItem, item_file
from dubflow.judging.card.rows import Tags
from dubflow.media.encode import write_clip

FRAMES, RATE = 50, 16_000
SENTENCES = {"a/1": ("bin blue", 300), "a/2": ("set red", 340), "b/1": ("bin blue", 700), "b/2": ("lay green", 760)}


def speech(hz: int, seed: int) -> NDArray[np.float32]:
    """Two seconds of syllables: bursts of a tone at uneven moments, quiet at both ends."""
    rng = np.random.default_rng(seed)
    times = np.arange(FRAMES * RATE // 25) / RATE
    envelope = np.zeros_like(times)
    for start in 0.5 + 0.2 * np.arange(5) + rng.uniform(0, 0.08, 5):
        envelope += np.exp(-(((times - start) / 0.04) ** 2))
    return (0.4 * envelope * np.sin(2 * np.pi * hz * times)).astype(np.float32)


@pytest.fixture(scope="session")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("references")
    for place, (name, (_, hz)) in enumerate(SENTENCES.items()):
        frames = np.full((FRAMES, 48, 64, 3), 40 * place, np.uint8)
        for index, frame in enumerate(frames):
            frame[8:40, index : index + 12] = 220
        (folder / name).parent.mkdir(exist_ok=True)
        write_clip(folder / f"{name}.mp4", frames, 25, speech(hz, place), RATE, crf=8)
    return folder


@pytest.fixture(scope="session")
def benchmark(root: Path) -> Benchmark:
    items = []
    for name, (text, _) in SENTENCES.items():
        file = item_file(root / f"{name}.mp4", root)
        tags = Tags(speaker=name[0], language_pair="en-en")
        items.append(BenchmarkItem(id=name, source=file, reference=file, transcript=text, language="en", tags=tags))
    return Benchmark(name="bursts", world="embedded", items=tuple(items))
