"""Folders between steps: equal content is one work folder, and what is placed is whole."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dubflow.errors import BadInput
from dubflow.platform.steps.artifacts import digest_of, place, work_folder


def folder_of(root: Path, files: dict[str, bytes]) -> Path:
    root.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return root


NAMES = st.sampled_from(["a", "b/c", "model.json", "card.json", "index.json", "b/d.txt"])


@given(files=st.dictionaries(NAMES, st.binary(max_size=20), min_size=1))
def test_equal_content_has_one_digest_wherever_it_lies(
    tmp_path_factory: pytest.TempPathFactory, files: dict[str, bytes]
) -> None:
    one, other = (folder_of(tmp_path_factory.mktemp("f"), files) for _ in range(2))
    assert digest_of(one) == digest_of(other)


@pytest.mark.parametrize(
    "files",
    [
        {"manifest.json": b"1", "clips.jsonl": b"2"},
        {"index.json": b"1"},
        {"model.json": b"1", "model.safetensors": b"2"},
        {"anything": b"1", "else": b"2"},
    ],
)
def test_a_changed_file_that_tells_changes_the_digest(tmp_path: Path, files: dict[str, bytes]) -> None:
    folder = folder_of(tmp_path / "f", files)
    before = digest_of(folder)
    for name in files:
        (folder / name).write_bytes(b"other")
        assert digest_of(folder) != before
        (folder / name).write_bytes(files[name])
    assert digest_of(folder) == before


def test_no_folder_is_said(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="no_artifact"):
        digest_of(tmp_path / "nothing")


def test_work_depends_on_every_input(tmp_path: Path) -> None:
    parts = {"data": "d", "seed": 1, "preset": "tiny"}
    places = {work_folder(tmp_path, "train", parts)}
    places |= {work_folder(tmp_path, "train", parts | {name: "other"}) for name in parts}
    places |= {work_folder(tmp_path, "prepare", parts)}
    assert len(places) == 5
    assert work_folder(tmp_path, "train", dict(reversed(parts.items()))) in places


def test_what_is_placed_is_linked_whole_and_stays(tmp_path: Path) -> None:
    made = folder_of(tmp_path / "made", {"clips.jsonl": b"x", "media/a.mp4": b"y", ".locks": b"", "objects/ab/c": b"z"})
    (made / "media" / "link.mp4").symlink_to(made / "media" / "a.mp4")
    artifact = place(made, tmp_path / "artifacts" / "corpus")
    found = sorted(path.relative_to(artifact).as_posix() for path in artifact.rglob("*") if path.is_file())
    assert found == ["clips.jsonl", "media/a.mp4", "media/link.mp4"]
    assert not (artifact / "media" / "link.mp4").is_symlink()
    assert (artifact / "clips.jsonl").samefile(made / "clips.jsonl")
    (made / "clips.jsonl").unlink()
    assert (place(made, artifact) / "clips.jsonl").read_bytes() == b"x", "an artifact that is there stays"


def test_a_file_is_placed_as_a_file(tmp_path: Path) -> None:
    made = tmp_path / "page.html"
    made.write_text("x")
    assert place(made, tmp_path / "out" / "page").read_text() == "x"
    assert digest_of(made) == digest_of(tmp_path / "out" / "page")
