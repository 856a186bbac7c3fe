"""A corpus prepared in parts and joined is the corpus prepared at once."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from corpora.conftest import MakeCorpus
from dubflow.corpora.manifest import ClipRow, CorpusHeader, CorpusManifest
from dubflow.corpora.parts import Part
from dubflow.corpora.prepare import PrepareReport, prepare_corpus
from dubflow.corpora.prepared import PreparedSet
from dubflow.corpora.settings import PrepareSettings
from dubflow.errors import BadInput, WrongUse
from dubflow.progress import Silent

GIVEN = PrepareSettings(align="given", shard_mib=1)


def _prepare(
    manifest: CorpusManifest, out: Path, part: Part | None = None, earlier: tuple[Path, ...] = ()
) -> PrepareReport:
    return prepare_corpus(manifest.root, out, GIVEN, workers=1, part=part, earlier=earlier, report=Silent())


@given(count=st.integers(1, 9), clips=st.integers(0, 40))
def test_every_clip_is_in_exactly_one_part(count: int, clips: int) -> None:
    header = CorpusHeader(name="n", layout="l", world="real", clips=0)
    row = {"path": "a.wav", "sha256": "0" * 64, "transcript": None, "language": None, "speaker": None, "licence": None}
    rows = [ClipRow.model_validate({"id": f"c{n:02d}", "duration": 1.0, **row}) for n in range(clips)]
    whole = CorpusManifest(header, rows, Path("nowhere"))
    parts = [Part(index, count).of(whole) for index in range(count)]
    assert sorted(one.id for part in parts for one in part) == [one.id for one in whole]
    sizes = [len(part) for part in parts]
    assert max(sizes) - min(sizes) <= 1
    assert all(part.header.clips == len(part) for part in parts)


def test_joined_parts_are_the_whole(make_corpus: MakeCorpus, tmp_path: Path) -> None:
    manifest = make_corpus(5)
    _prepare(manifest, tmp_path / "whole")
    folders = []
    for index in range(2):
        folder = tmp_path / f"part{index}"
        report = _prepare(manifest, folder, Part(index, 2))
        assert report.done == report.clips == (3, 2)[index]
        folders.append(folder)
    joined = _prepare(manifest, tmp_path / "joined", earlier=tuple(folders))
    assert (joined.done, joined.found) == (0, 5)
    whole, other = PreparedSet(tmp_path / "whole"), PreparedSet(tmp_path / "joined")
    assert other.verify() == ()
    strip = {"shard"}
    assert {name: clip.model_dump(exclude=strip) for name, clip in whole.index.clips.items()} == {
        name: clip.model_dump(exclude=strip) for name, clip in other.index.clips.items()
    }


def test_a_damaged_part_is_refused_and_a_missing_one_is_done(make_corpus: MakeCorpus, tmp_path: Path) -> None:
    manifest = make_corpus(3)
    _prepare(manifest, tmp_path / "part", Part(0, 2))
    joined = _prepare(manifest, tmp_path / "joined", earlier=(tmp_path / "part",))
    assert (joined.done, joined.found) == (1, 2)
    shard = next((tmp_path / "part" / "shards").glob("*.safetensors"))
    content = bytearray(shard.read_bytes())
    content[-1] ^= 1
    shard.write_bytes(content)
    with pytest.raises(WrongUse, match="shard_changed"):
        _prepare(manifest, tmp_path / "again", earlier=(tmp_path / "part",))
    with pytest.raises(BadInput, match="not_prepared"):
        _prepare(manifest, tmp_path / "again", earlier=(tmp_path / "nothing",))


@pytest.mark.parametrize("text", ["", "1", "2/2", "-1/2", "a/b", "0/0", "1/2/3"])
def test_a_part_that_there_is_not(text: str) -> None:
    with pytest.raises(WrongUse, match="bad_part"):
        Part.parse(text)
