"""Weights that come with the package: only safetensors, small, and each says how it is made again."""

from __future__ import annotations

from pathlib import Path

MOST_BYTES = 40_000_000


def weights(repository: Path) -> list[Path]:
    return sorted((repository / "src").rglob("*.safetensors"))


def test_they_are_small_together(repository: Path) -> None:
    sizes = {path.relative_to(repository).as_posix(): path.stat().st_size for path in weights(repository)}
    assert sizes
    assert sum(sizes.values()) < MOST_BYTES, sizes


def test_no_other_file_holds_any(repository: Path) -> None:
    others = {".bin", ".ckpt", ".npz", ".npy", ".onnx", ".pickle", ".pkl", ".pt", ".pth"}
    assert [path for path in (repository / "src").rglob("*") if path.suffix in others] == []


def test_a_card_beside_or_above_each_says_what_made_it(repository: Path) -> None:
    for path in weights(repository):
        folders = [folder for folder in path.parents if repository in folder.parents]
        cards = [folder / "card.md" for folder in folders if (folder / "card.md").is_file()]
        assert cards, path
        assert "Made by" in cards[0].read_text("utf-8"), cards[0]
        assert (cards[0].parent / "lineage.json").is_file(), path
