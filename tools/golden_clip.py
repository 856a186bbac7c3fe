"""Make the golden clip again that servers dub to see that a version speaks: a drawn head, cut to two seconds.

usage: python tools/golden_clip.py [OUT]
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from dubflow.media.decode import read_clip
from dubflow.media.encode import write_clip
from dubflow.serving.golden import CLIP
from dubflow.talkers.render import render_corpus
from dubflow.talkers.settings import TalkerSettings

FIRST, STOP = 4, 54
"""Frames of the rendered clip that are kept, at 25 a second: a little before speech begins and until it has ended."""


def main(out: Path) -> None:
    with tempfile.TemporaryDirectory() as folder:
        corpus = Path(folder) / "corpus"
        settings = TalkerSettings(size=128)
        render_corpus(corpus, identities=1, clips=3, languages=["en"], seed=11, settings=settings, workers=1)
        clip = read_clip(corpus / "s1" / "lbwf5a.mp4", sample_rate=16000)
    assert clip.frames is not None
    assert clip.waveform is not None
    rate = clip.sample_rate // 25
    sound = clip.waveform[FIRST * rate : STOP * rate]
    out.parent.mkdir(parents=True, exist_ok=True)
    write_clip(out, clip.frames[FIRST:STOP], 25, sound, clip.sample_rate, crf=23)


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else CLIP)
