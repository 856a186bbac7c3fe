"""Clips of the embedded world for the small judge: people whom it never saw, and mouths that are a dark spot."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from dubflow.judging.sync_judge.crops import CUT
from dubflow.judging.sync_judge.material import SyncClip
from dubflow.media.encode import write_clip
from dubflow.speech.espeak import EspeakSynthesizer
from dubflow.talkers.performance import perform
from dubflow.talkers.picture import paint_clip
from dubflow.talkers.scenes import plan_corpus
from dubflow.talkers.settings import TalkerSettings
from dubflow.talkers.soundtrack import soundtrack


def spot_clip(number: int, frames: int = 60) -> SyncClip:
    """A spot that grows with the loudness of a hum."""
    rng = np.random.default_rng([7, number])
    level = np.repeat(rng.random(frames // 3), 3)
    loud = np.repeat(level, 640)
    hum = np.sin(np.arange(frames * 640) * 2 * np.pi * rng.uniform(200, 400) / 16_000)
    y, x = np.mgrid[:CUT, :CUT] - CUT / 2
    open_ = np.hypot(y * 2, x)[None] < 4 + 22 * level[:, None, None]
    return SyncClip(
        str(number), f"s{number}", "en", np.where(open_, 40, 160).astype(np.uint8), (hum * loud).astype("f4")
    )


@pytest.fixture(scope="session")
def spots() -> list[SyncClip]:
    """Sixteen of them."""
    return [spot_clip(number) for number in range(16)]


@pytest.fixture(scope="session")
def strangers(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """``0.mp4`` to ``2.mp4``: one sentence each of the starter world's test speakers, whom no model was trained on, and
    ``nobody.mp4`` with the sound of the first."""
    folder = tmp_path_factory.mktemp("strangers")
    settings = TalkerSettings(size=128, mix={"plain": 1.0}, event_share=0.0, grid_share=0.0)
    plans = plan_corpus(identities=28, clips=1, languages=("en",), seed=11, settings=settings)
    with EspeakSynthesizer() as synthesizer:
        for number, plan in enumerate(plan for plan in plans if plan.split == "test"):
            sound = soundtrack(plan, synthesizer)
            frames = list(paint_clip(plan, perform(plan, sound), sound.frames))
            write_clip(folder / f"{number}.mp4", frames, 25, sound.waveform, crf=12)
            if number == 0:
                write_clip(folder / "nobody.mp4", [np.full_like(frames[0], 90)] * len(frames), 25, sound.waveform)
    return folder


@pytest.fixture(scope="session")
def moved_clip() -> Callable[[Path, Path, int], Path]:
    """Writes a clip again with its sound so many frames later."""
    from dubflow.judging.sync_judge.measure import moved
    from dubflow.media.decode import read_clip

    def write(clip: Path, to: Path, late: int) -> Path:
        read = read_clip(clip)
        assert read.frames is not None
        assert read.waveform is not None
        write_clip(to, list(read.frames), 25, moved(read.waveform, late), crf=12)
        return to

    return write
