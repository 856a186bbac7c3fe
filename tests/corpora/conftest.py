"""Small corpora made on the spot."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from corpora.samples import row_of, sound
from dubflow.corpora.manifest import ClipRow, CorpusHeader, CorpusManifest

MakeCorpus = Callable[..., CorpusManifest]


@pytest.fixture
def make_corpus(tmp_path: Path) -> MakeCorpus:
    """``make_corpus(n)`` writes a corpus of ``n`` tones by as many speakers below the test's folder."""

    def make(count: int = 3, name: str = "corpus", rows: Sequence[ClipRow] | None = None) -> CorpusManifest:
        root = tmp_path / name
        if rows is None:
            for index in range(count):
                sound(root / "media" / f"c{index}.wav", index)
            # A language that has neither phonemizer nor aligner: preparing is quick.
            rows = [
                row_of(root, f"media/c{index}.wav", f"c{index}", speaker=f"s{index}", language="nl")
                for index in range(count)
            ]
        header = CorpusHeader(name=name, layout="test", world="embedded", clips=len(rows))
        manifest = CorpusManifest(header, rows, root)
        manifest.write()
        return manifest

    return make
