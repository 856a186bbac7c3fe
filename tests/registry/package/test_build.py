"""Packing: the same model is the same package, whole or not at all, with its licences for people to read."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dubflow.errors import BadInput, WrongUse
from dubflow.registry.package.build import pack
from dubflow.registry.package.differences import differences
from dubflow.registry.package.manifest import CARD, WEIGHTS, PackageManifest, PartLicence, digest_of
from dubflow.registry.package.opening import read_package
from registry.packages import BARRED, contents, facts, packed


def test_the_same_model_is_the_same_package_and_any_change_is_another(tmp_path: Path) -> None:
    first, again = packed(tmp_path / "a"), packed(tmp_path / "b")
    assert first.manifest == again.manifest
    others = [
        packed(tmp_path / "weights", seed=1),
        packed(tmp_path / "facts", steps=4),
        packed(tmp_path / "licences", licences=BARRED),
        packed(tmp_path / "name", name="other"),
    ]
    assert len({first.digest, *(one.digest for one in others)}) == 5


def test_packing_again_finds_it_and_never_replaces_another(tmp_path: Path) -> None:
    first = packed(tmp_path)
    before = {path: path.stat().st_mtime_ns for path in first.folder.rglob("*")}
    assert packed(tmp_path).digest == first.digest
    assert {path: path.stat().st_mtime_ns for path in first.folder.rglob("*")} == before
    with pytest.raises(WrongUse) as caught:
        packed(tmp_path, seed=1)
    assert caught.value.code == "registry.package_exists"
    assert read_package(first.folder).digest == first.digest
    (tmp_path / "stranger").mkdir()
    with pytest.raises(WrongUse):
        pack(contents(tmp_path / "sources"), tmp_path / "stranger", None)


def test_it_appears_whole_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*args: object, **options: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(shutil, "copyfile", full)
    with pytest.raises(OSError, match="No space"):
        packed(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["sources"]


def test_links_among_the_sources_are_not_followed(tmp_path: Path) -> None:
    made = contents(tmp_path / "sources")
    (tmp_path / "link").symlink_to(made.files[WEIGHTS])
    linked = replace(made, files={**made.files, WEIGHTS: tmp_path / "link"})
    with pytest.raises(BadInput) as caught:
        pack(linked, tmp_path / "linked", None)
    assert caught.value.code == "registry.package_symlink"
    assert not (tmp_path / "linked").exists()


@pytest.mark.parametrize("name", ["", "Mine", "../outside", "a/b", "a b", ".hidden", "a" * 101, "ä"])
def test_names_that_lead_elsewhere_are_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(WrongUse) as caught:
        packed(tmp_path / "in", name=name)
    assert caught.value.code == "registry.bad_name"
    assert [path.name for path in (tmp_path / "in").iterdir()] == ["sources"]
    assert [path.name for path in tmp_path.iterdir()] == ["in"]


def test_the_card_names_every_licence(tmp_path: Path) -> None:
    text = (packed(tmp_path, licences=BARRED).folder / CARD).read_text()
    assert text.startswith("# A small model\n")
    for part in BARRED:
        assert f"| {part.part} | {part.licence} |" in text


def test_a_package_can_be_moved_and_copied(tmp_path: Path) -> None:
    first = packed(tmp_path)
    shutil.copytree(first.folder, tmp_path / "elsewhere")
    first.folder.rename(tmp_path / "moved")
    assert read_package(tmp_path / "elsewhere").manifest == read_package(tmp_path / "moved").manifest


@given(
    st.sampled_from(["name", "facts", "licences", "files"]),
    st.text(alphabet="abcdef", min_size=1, max_size=5),
)
@settings(deadline=None, max_examples=30)
def test_the_digest_stands_for_everything_in_the_list(field: str, text: str) -> None:
    content = {
        "format": "dubflow.package/1",
        "name": "small",
        "facts": facts().model_dump(mode="json"),
        "licences": [PartLicence(part="weights", licence="MIT").model_dump()],
        "files": [
            {"path": path, "sha256": "ab" * 32, "bytes": 1}
            for path in ("card.md", "lineage.json", "model.json", "model.safetensors")
        ],
    }
    whole = PackageManifest.model_validate({**content, "digest": digest_of(content)})
    changed = {**content, field: {"other": text}}
    assert digest_of(changed) != whole.digest
    with pytest.raises(ValueError, match="digest"):
        PackageManifest.model_validate({**content, "name": f"{text}x", "digest": whole.digest})


def test_differences_are_named(tmp_path: Path) -> None:
    left = packed(tmp_path / "a").manifest
    right = packed(tmp_path / "b", seed=1, steps=9, licences=BARRED).manifest
    found = {name: (one, other) for name, one, other in differences(left, right)}
    assert found["steps"] == (3, 9)
    assert found["licence.corpus lectures"] == (None, ["CC-BY-NC-4.0"])
    assert f"file.{WEIGHTS}" in found
    assert "width" not in found
    assert differences(left, left) == ()
