"""The pair manifest, and pairs from the tables of LTX trainers."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest

from dubflow.errors import BadInput
from dubflow.incontext.pairs.manifest import HEADER, ROWS, PairFile, PairHeader, PairManifest, PairRow, read_pairs
from dubflow.incontext.pairs.tables import pairs_of

DIGEST = "a" * 64
GOLDEN = (
    '{"id":"a/1","context":{"path":"c.mp4","sha256":"' + DIGEST + '"},"target":{"path":"t.mp4","sha256":"' + DIGEST
    + '"},"prompt":"say","qc":{"lmd":0.02},"rejected":["lips do not move"]}'
)  # fmt: skip


def row(name: str = "a/1", **changes: object) -> PairRow:
    files = {"context": PairFile(path="c.mp4", sha256=DIGEST), "target": PairFile(path="t.mp4", sha256=DIGEST)}
    return PairRow.model_validate({"id": name, "prompt": "say", **files, **changes})


def code_of(folder: Path) -> str:
    with pytest.raises(BadInput) as refused:
        read_pairs(folder)
    return refused.value.code


def test_what_was_written_is_read_and_is_as_it_always_was(tmp_path: Path) -> None:
    rows = [row("b"), row(qc={"lmd": 0.02}, rejected=("lips do not move",))]
    PairManifest(PairHeader(name="n", world="embedded"), rows, tmp_path).write()
    assert (tmp_path / ROWS).read_text().splitlines()[0] == GOLDEN
    found = read_pairs(tmp_path)
    assert [one.id for one in found] == ["a/1", "b"]
    assert found.rows == tuple(sorted(rows, key=lambda one: one.id))
    assert [one.id for one in found.accepted] == ["b"]
    assert found.header.pairs == 2


def test_unknown_fields_versions_and_places_are_refused(tmp_path: Path) -> None:
    assert code_of(tmp_path) == "incontext.no_pairs"
    PairManifest(PairHeader(name="n", world="real"), [row()], tmp_path).write()
    header = json.loads((tmp_path / HEADER).read_text())
    for broken in ({"format": "dubflow.pairs/2"}, {"pairs": 3}, {"more": 1}):
        (tmp_path / HEADER).write_text(json.dumps(header | broken))
        assert code_of(tmp_path) == "incontext.bad_pairs"
    (tmp_path / HEADER).write_text(json.dumps(header))
    for line in (GOLDEN.replace("c.mp4", "../c.mp4"), GOLDEN.replace('"qc"', '"q"'), "{", GOLDEN.replace(DIGEST, "b")):
        (tmp_path / ROWS).write_text(line + "\n")
        assert code_of(tmp_path) == "incontext.bad_pairs"
    with pytest.raises(BadInput) as twice:
        PairManifest(PairHeader(name="n", world="real"), [row(), row()], tmp_path)
    assert twice.value.code == "incontext.duplicate_pair"


def test_tables_of_ltx_trainers_become_pairs(tmp_path: Path) -> None:
    for name in ("in.mp4", "out.mp4", "face.mp4"):
        (tmp_path / name).write_bytes(name.encode())
    said = 'She is speaking French, saying: "bonjour"'
    rows = [
        {"caption": said, "media_path": "out.mp4", "reference_path": "in.mp4", "mask_path": "face.mp4"},
        {"caption": said, "media_path": "out.mp4"},
        {"caption": said, "media_path": "gone.mp4", "reference_path": "in.mp4"},
    ]
    (tmp_path / "dataset.json").write_text(json.dumps(rows))
    found = pairs_of(tmp_path)
    good, lone, gone = found
    assert found.header.licence == "LTX-2 Community License"
    assert good.prompt == said
    assert good.target_language == "fr"
    assert (good.context.path, good.target.path) == ("in.mp4", "out.mp4")
    assert good.mask is not None
    assert good.mask.path == "face.mp4"
    assert good.context.sha256 != good.target.sha256
    assert lone.rejected == ("no reference",)
    assert gone.rejected == ("gone.mp4 is missing",)
    assert found.accepted == (good,)

    with (tmp_path / "table.csv").open("w", newline="") as stream:
        writer = csv.DictWriter(stream, ["video", "caption", "reference_video"])
        writer.writeheader()
        writer.writerow({"video": "out.mp4", "caption": said, "reference_video": "in.mp4"})
    (tmp_path / "lines.jsonl").write_text(json.dumps(rows[0]) + "\n")
    for table in ("table.csv", "lines.jsonl"):
        assert [one.target for one in pairs_of(tmp_path, Path(table)).accepted] == [good.target]


@pytest.mark.parametrize("broken", ["[1]", '[{"caption": "x"}]', "[]", '[{"video": "a", "media_path": "b"}]'])
def test_broken_tables_are_refused(tmp_path: Path, broken: str) -> None:
    (tmp_path / "dataset.json").write_text(broken)
    with pytest.raises(BadInput) as refused:
        pairs_of(tmp_path)
    assert refused.value.code == "incontext.bad_pairs"


def test_a_table_may_not_lead_out_of_its_folder(tmp_path: Path) -> None:
    (tmp_path / "dataset.json").write_text('[{"media_path": "../x.mp4", "reference_path": "in.mp4"}]')
    with pytest.raises(BadInput) as refused:
        pairs_of(tmp_path)
    assert refused.value.code == "corpora.path_escapes"
