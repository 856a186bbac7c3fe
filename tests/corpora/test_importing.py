"""An imported corpus is a folder of our own: links or copies, manifest, coverage, splits."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from corpora.samples import row_of, sound, video
from dubflow.corpora.importing import import_corpus, survey_corpus
from dubflow.corpora.listing import ReadOptions
from dubflow.corpora.manifest import CorpusHeader, CorpusManifest, read_manifest
from dubflow.corpora.splits import SplitOptions
from dubflow.errors import BadInput, WrongUse
from dubflow.speech.intervals import Interval


@pytest.fixture
def grid(tmp_path: Path) -> Path:
    """A GRID folder of three speakers and one clip that is no GRID clip."""
    root = tmp_path / "grid"
    for index, speaker in enumerate(("s1", "s2", "s3")):
        video(root / speaker / "bbaf2n.mp4", index)
        video(root / speaker / "swwp2s.mp4", index + 5)
    video(root / "s1" / "other.mp4", 9)
    return root


def test_import_writes_links_manifest_and_coverage(grid: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    manifest, coverage = import_corpus("grid", grid, out)
    assert (coverage.listed, coverage.found) == (7, 6)
    assert json.loads((out / "coverage.json").read_text())["by_code"] == {"corpora.grid_not_a_code": 1}
    again = read_manifest(out)
    assert again.rows == manifest.rows
    assert (again.header.world, again.header.layout, again.header.name) == ("real", "grid", "grid")
    for row in again:
        assert row.path == f"media/{row.id}.mp4"
        assert again.media_path(row).is_symlink()
        assert again.media_path(row).resolve() == (grid / row.source["path"]).resolve()
    assert {row.split for row in again} == {"train", "val", "test"}


def test_copies_stand_alone(grid: Path, tmp_path: Path) -> None:
    manifest, _ = import_corpus("grid", grid, tmp_path / "out", placing="copy")
    row = manifest.rows[0]
    assert not manifest.media_path(row).is_symlink()
    assert manifest.media_path(row).read_bytes() == (grid / row.source["path"]).read_bytes()


def test_importing_twice_is_the_same_and_a_clip_that_went_leaves_no_link(grid: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    import_corpus("grid", grid, out)
    first = (out / "clips.jsonl").read_bytes()
    import_corpus("grid", grid, out)
    assert (out / "clips.jsonl").read_bytes() == first
    (grid / "s2" / "swwp2s.mp4").unlink()
    manifest, _ = import_corpus("grid", grid, out)
    assert "s2/swwp2s" not in {row.id for row in manifest}
    assert not (out / "media" / "s2" / "swwp2s.mp4").is_symlink()


def test_an_imported_corpus_can_be_imported_as_talkers(grid: Path, tmp_path: Path) -> None:
    first, _ = import_corpus("grid", grid, tmp_path / "a")
    second, coverage = import_corpus("talkers", tmp_path / "a", tmp_path / "b")
    assert coverage.problems == []
    assert [(row.id, row.sha256, row.words, row.split) for row in second] == [
        (row.id, row.sha256, row.words, row.split) for row in first
    ]


def test_everything_a_row_says_survives_an_import_as_talkers(tmp_path: Path) -> None:
    root = tmp_path / "a"
    sound(root / "media" / "c.wav", 1)
    phones = tuple(Interval(start=0.1 * n, end=0.1 * n + 0.1, label=label) for n, label in enumerate(("", "a", "b")))
    row = row_of(root, "media/c.wav", "c", phones=phones, stresses=(0, 1, 0), split="val", tags=("plain",))
    CorpusManifest(CorpusHeader(name="a", layout="test", world="embedded", clips=1), [row], root).write()
    again, _ = import_corpus("talkers", root, tmp_path / "b")
    kept = again.rows[0].model_copy(update={"source": {}})
    assert kept == row


def test_names_and_fields_that_are_no_utf8_are_accounted_for(tmp_path: Path) -> None:
    root = tmp_path / "grid"
    video(root / "s1" / "bbaf2n.mp4", 1)
    video(root / "s1" / "swwp2s.mp4", 2)
    for name in (b"caf\xe9.mp4", b"caf\xe9-swwp2s.wav"):
        (root / "s1" / os.fsdecode(name)).touch()
    _, coverage = import_corpus("grid", root, tmp_path / "out")
    assert (coverage.listed, coverage.found) == (3, 1)
    written = json.loads((tmp_path / "out" / "coverage.json").read_text("utf-8"))
    assert written["by_code"] == {"corpora.bad_row": 1, "corpora.grid_not_a_code": 1}


def test_left_overs_of_a_killed_import_are_swept(grid: Path, tmp_path: Path) -> None:
    left = tmp_path / "out" / "media" / ".bbaf2n.0123abcd.partial.mp4"
    left.parent.mkdir(parents=True)
    left.touch()
    os.utime(left, (0, 0))
    import_corpus("grid", grid, tmp_path / "out", placing="copy")
    assert not left.exists()


def test_files_that_belong_to_a_clip_come_with_it(tmp_path: Path) -> None:
    root = tmp_path / "pairs"
    for index, name in enumerate(("sub/t.mp4", "r.mp4")):
        video(root / name, index)
    (root / "dataset.json").write_text(
        json.dumps([{"caption": "x", "media_path": "sub/t.mp4", "reference_path": "r.mp4"}])
    )
    manifest, _ = import_corpus("justdubit", root, tmp_path / "out")
    (row,) = manifest.rows
    reference = row.source["files"]["reference_video"]
    assert reference["path"] == "media/sub/t.reference_video.mp4"
    assert (manifest.root / reference["path"]).resolve() == (root / "r.mp4").resolve()


def test_what_the_layout_does_not_tell_can_be_said(tmp_path: Path) -> None:
    root = tmp_path / "lists"
    sound(root / "a.wav", 1)
    (root / "train.txt").write_text("a|a.wav|P|hello\n")
    manifest, _ = import_corpus("chem", root, tmp_path / "out", options=ReadOptions(licence="CC0"), name="mine")
    assert (manifest.rows[0].licence, manifest.header.name) == ("CC0", "mine")


def test_wrong_use_and_empty_folders_are_refused(grid: Path, tmp_path: Path) -> None:
    with pytest.raises(WrongUse, match=r"corpora\.unknown_layout"):
        import_corpus("nope", grid, tmp_path / "out")
    for out in (grid, grid / "imported"):
        with pytest.raises(WrongUse, match=r"corpora\.out_is_root"):
            import_corpus("grid", grid, out)
    (tmp_path / "empty").mkdir()
    with pytest.raises(BadInput, match=r"corpora\.nothing_found") as caught:
        import_corpus("grid", tmp_path / "empty", tmp_path / "out")
    assert caught.value.details["listed"] == 0
    assert (tmp_path / "out" / "coverage.json").is_file()


def test_a_survey_says_the_same_and_writes_nothing(grid: Path, tmp_path: Path) -> None:
    surveyed = survey_corpus("grid", grid)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["grid"]
    _, coverage = import_corpus("grid", grid, tmp_path / "out")
    assert surveyed == coverage
    with pytest.raises(WrongUse, match=r"corpora\.unknown_layout"):
        survey_corpus("nope", grid)


def test_lineage_says_how_it_was_made(grid: Path, tmp_path: Path) -> None:
    manifest, _ = import_corpus("grid", grid, tmp_path / "out", splits=SplitOptions(by="speaker", seed=3))
    assert manifest.header.made_with == {
        "layout": "grid",
        "lists": {},
        "placing": "link",
        "splits": {"by": "speaker", "val": 0.1, "test": 0.1, "seed": 3},
    }
