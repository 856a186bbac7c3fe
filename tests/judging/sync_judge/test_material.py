"""Mouths of a corpus, cut out once."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from dubflow.corpora.manifest import ClipRow, CorpusHeader, CorpusManifest
from dubflow.judging.sync_judge.crops import CUT, SAMPLES_PER_FRAME
from dubflow.judging.sync_judge.material import cut_corpus, rows_of
from dubflow.media.digest import sha256_file

pytestmark = pytest.mark.slow


class Counted:
    """A progress that counts what was found done."""

    def __init__(self) -> None:
        self.done: list[bool] = []

    def expect(self, total: int) -> None: ...

    def note(self, text: str) -> None: ...

    def advance(self, items: int = 1, *, cached: bool = False) -> None:
        self.done += [cached] * items


@pytest.fixture
def corpus(strangers: Path) -> CorpusManifest:
    """One of the strangers, and the clip that shows nobody."""

    def row(name: str, split: str) -> ClipRow:
        path = strangers / f"{name}.mp4"
        return ClipRow(
            id=name, path=path.name, sha256=sha256_file(path), transcript=None, language="en", speaker=f"s{name}",
            licence="CC0-1.0", split=split, duration=3.0, frames=75, fps=Fraction(25),
        )  # fmt: skip

    header = CorpusHeader(name="strangers", layout="talkers", world="embedded", clips=2)
    manifest = CorpusManifest(header, [row("0", "test"), row("nobody", "test")], strangers)
    manifest.write()
    return manifest


def test_mouths_are_cut_once_and_nobody_is_left_out(corpus: CorpusManifest, tmp_path: Path) -> None:
    first, second = Counted(), Counted()
    rows = rows_of(corpus, "test")
    assert len(rows) == 2
    assert rows_of(corpus, "train") == []
    clips = cut_corpus(corpus.root, tmp_path, rows, workers=1, progress=first)
    again = cut_corpus(corpus.root, tmp_path, rows, workers=1, progress=second)
    assert (first.done, second.done) == ([False, False], [True, True])
    assert [(clip.id, clip.speaker, clip.language) for clip in clips] == [("0", "s0", "en")]
    assert clips[0].crops.shape[1:] == (CUT, CUT)
    assert abs(clips[0].waveform.size - len(clips[0].crops) * SAMPLES_PER_FRAME) <= SAMPLES_PER_FRAME
    assert np.array_equal(clips[0].crops, again[0].crops)
    assert np.array_equal(clips[0].waveform, again[0].waveform)
