"""The manifest's contract: what is written comes back, what is unknown is refused, and old files stay readable."""

from __future__ import annotations

import json
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from dubflow.corpora.manifest import ClipRow, CorpusHeader, CorpusManifest, EventMark, Segment, read_manifest
from dubflow.errors import BadInput
from dubflow.speech.intervals import Interval

GOLDEN = Path(__file__).parent / "golden" / "corpus"


def _rows() -> list[ClipRow]:
    base: dict[str, Any] = {"sha256": "ab" * 32, "language": "en", "licence": "CC BY 4.0", "duration": 2.002}
    return [
        ClipRow(
            id="s1/full",
            path="media/s1/full.mp4",
            transcript="hello there",
            speaker="s1",
            split="train",
            frames=60,
            fps=Fraction(30000, 1001),
            sample_rate=48000,
            words=(Interval(start=0.1, end=0.5, label="hello"), Interval(start=0.5, end=1.0, label="there")),
            phones=(Interval(start=0.1, end=0.2, label="h"), Interval(start=0.2, end=0.3, label="")),
            segments=(Segment(start=0.0, end=1.0, speaker="s1", language="en", text="hello there"),),
            events=(EventMark(kind="door", frame=30, time=1.001),),
            tags=("profile",),
            source={"align": None},
            **base,
        ),
        ClipRow(id="bare", path="media/bare.wav", transcript=None, speaker=None, **base),
    ]


def _manifest(root: Path) -> CorpusManifest:
    header = CorpusHeader(name="golden", layout="test", world="embedded", clips=2, made_with={"seed": 1})
    return CorpusManifest(header, _rows(), root)


def test_golden_corpus_reads_as_it_was_written(tmp_path: Path) -> None:
    read = read_manifest(GOLDEN)
    assert read.rows == _manifest(GOLDEN).rows
    assert read.header == _manifest(GOLDEN).header
    written = _manifest(tmp_path).write()
    for name in ("manifest.json", "clips.jsonl"):
        assert (written / name).read_text(encoding="utf-8") == (GOLDEN / name).read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"format": "dubflow.corpus/2"}, "corpora.unknown_format"),
        ({"colour": "red"}, "corpora.bad_manifest"),
        ({"clips": 3}, "corpora.bad_manifest"),
        ({"world": "other"}, "corpora.bad_manifest"),
    ],
)
def test_unknown_headers_are_refused(tmp_path: Path, change: dict[str, Any], code: str) -> None:
    _manifest(tmp_path).write()
    header = json.loads((tmp_path / "manifest.json").read_text())
    (tmp_path / "manifest.json").write_text(json.dumps(header | change))
    with pytest.raises(BadInput) as caught:
        read_manifest(tmp_path)
    assert caught.value.code == code


@pytest.mark.parametrize("line", ['{"id": "x"}', "not json", '{"id": "x", "colour": 1}'])
def test_bad_rows_are_named_by_line(tmp_path: Path, line: str) -> None:
    _manifest(tmp_path).write()
    with open(tmp_path / "clips.jsonl", "a", encoding="utf-8") as file:
        file.write(line + "\n")
    with pytest.raises(BadInput, match=r"line 3.*corpora\.bad_row"):
        read_manifest(tmp_path)


def test_a_folder_without_rows_or_header_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"corpora\.no_manifest"):
        read_manifest(tmp_path)
    _manifest(tmp_path).write()
    (tmp_path / "clips.jsonl").unlink()
    with pytest.raises(BadInput, match=r"corpora\.bad_manifest"):
        read_manifest(tmp_path)


def test_ids_are_unique_and_paths_stay_inside(tmp_path: Path) -> None:
    rows = _rows()
    with pytest.raises(BadInput, match=r"corpora\.duplicate_id"):
        CorpusManifest(CorpusHeader(name="x", layout="t", world="real", clips=0), [rows[0], rows[0]], tmp_path)
    for path in ("../x.wav", "/x.wav", "a/../../x.wav"):
        with pytest.raises(ValidationError):
            ClipRow.model_validate(rows[1].model_dump() | {"path": path})
    with pytest.raises(ValidationError):
        ClipRow.model_validate(rows[1].model_dump() | {"frames": 3})
    for files in (
        {"audio": {"path": "../x", "sha256": "0"}},
        {"audio": {"path": "/x", "sha256": "0"}},
        {"audio": 1},
        [],
    ):
        with pytest.raises(ValidationError):
            ClipRow.model_validate(rows[1].model_dump() | {"source": {"files": files}})
