"""Two small systems judged on nine clips; one clip of the challenger broke."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from dubflow.judging.card.rows import ScoreCard
from dubflow.judging.gate.decide import judge
from dubflow.judging.gate.verdict import Verdict
from dubflow.judging.page.exhibit import ClipMedia
from dubflow.media.encode import write_audio, write_clip
from judging.page.sample import HOSTILE, POLICY, make_card, make_row


@pytest.fixture(scope="session")
def champion() -> ScoreCard:
    return make_card("champion <b>one</b>", [make_row(i, i % 3, 0.8 - 0.01 * i, i % 2) for i in range(9)])


@pytest.fixture(scope="session")
def challenger() -> ScoreCard:
    rows = [make_row(i, (i * 2) % 5, 0.75 + 0.01 * i, -(i % 3)) for i in range(7)]
    rows.append(make_row(7, 1, None, 0.0))
    rows.append(make_row(8, 0, 0.0, 0.0, broke=HOSTILE[0]))
    return make_card(HOSTILE[6], rows)


@pytest.fixture(scope="session")
def verdict(challenger: ScoreCard, champion: ScoreCard) -> Verdict:
    return judge(challenger, champion, POLICY)


Maker = Callable[[str, float], Path]


@pytest.fixture(scope="session")
def make_clip(tmp_path_factory: pytest.TempPathFactory) -> Maker:
    """A second of a grey square over a tone of so many Hz; sound alone where the name ends in .wav."""
    folder = tmp_path_factory.mktemp("clips")

    def make(name: str, hz: float) -> Path:
        path = folder / name
        tone = (0.4 * np.sin(2 * np.pi * hz * np.arange(16000) / 16000)).astype(np.float32)
        if path.suffix == ".wav":
            write_audio(path, tone, 16000)
            return path
        frames = np.zeros((25, 48, 64, 3), np.uint8)
        for index, frame in enumerate(frames):
            frame[8:40, index : index + 24] = 180
        write_clip(path, frames, 25, tone, 16000)
        return path

    return make


@pytest.fixture(scope="session")
def media(make_clip: Maker) -> dict[str, ClipMedia]:
    """Files and texts of most clips; the champion's file of one is missing, one file is damaged."""
    source, ours, theirs = (make_clip(f"{name}.mp4", hz) for name, hz in (("a b", 200), ("c'\"<d", 300), ("e", 400)))
    damaged = source.with_name("damaged.mp4")
    damaged.write_bytes(source.read_bytes()[:900])
    told = {
        f"clip{place}": ClipMedia(source=source, champion=theirs, challenger=ours, text=HOSTILE[place % len(HOSTILE)])
        for place in range(7)
    }
    told["clip7"] = ClipMedia(
        source=source, champion=None, challenger=damaged, text=f"Καλημέρα, мир, שלום {HOSTILE[7]}"
    )
    told["clip8"] = ClipMedia(source=make_clip("alone.wav", 250), champion=theirs.with_name("never_was.mp4"))
    return told
