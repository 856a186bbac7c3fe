"""Checkpoints keep any tree of plain things and tensors, find damage, and need no pickle."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from dubflow.atomic import PARTIAL
from dubflow.errors import BadInput, OurFault
from dubflow.training.checkpoints import (
    DAMAGED,
    SafetensorsCheckpoints,
    checkpoint_path,
    checkpoints,
    latest_checkpoint,
    step_of,
)

FILES = SafetensorsCheckpoints()
DTYPES = (torch.float32, torch.float64, torch.bfloat16, torch.int64, torch.bool, torch.uint8)


def tensor(shape: list[int], dtype: torch.dtype, seed: int) -> torch.Tensor:
    noise = torch.Generator().manual_seed(seed)
    return (100 * torch.randn(shape, generator=noise)).to(dtype)


tensors = st.builds(tensor, st.lists(st.integers(0, 3), max_size=3), st.sampled_from(DTYPES), st.integers(0, 1000))
scalars = st.none() | st.booleans() | st.integers(-(2**60), 2**60) | st.floats() | st.text(max_size=8)
keys = st.text(max_size=5) | st.integers() | st.booleans() | st.tuples(st.integers(), st.text(max_size=3))
trees = st.recursive(
    scalars | tensors,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(keys, inner, max_size=3) | st.lists(inner, max_size=3).map(tuple)
    ),
    max_leaves=12,
)


def bytes_of(tensor: torch.Tensor) -> torch.Tensor:
    return tensor.contiguous().reshape(-1).view(torch.uint8)


def same(one: Any, other: Any) -> bool:
    if isinstance(one, torch.Tensor):
        bits = one.dtype == other.dtype and one.shape == other.shape
        return bits and torch.equal(bytes_of(one), bytes_of(other))
    if type(one) is not type(other):
        return False
    if isinstance(one, dict):
        pairs = zip(one.items(), other.items(), strict=True)
        return len(one) == len(other) and all(same(a, c) and same(b, d) for (a, b), (c, d) in pairs)
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, float):
        return one.hex() == other.hex()  # which tells -0.0 from 0.0, and takes every nan for one
    return bool(one == other)


@settings(deadline=None, max_examples=60)
@given(tree=st.dictionaries(keys, trees, max_size=4))
def test_a_tree_comes_back_as_it_was(tmp_path_factory: pytest.TempPathFactory, tree: dict[Any, Any]) -> None:
    path = tmp_path_factory.getbasetemp() / "tree" / "step-00000001.safetensors"
    FILES.save_checkpoint(tree, path)
    assert same(FILES.load_checkpoint(path), tree)
    assert [each.name for each in path.parent.iterdir()] == [path.name]


def test_two_names_of_one_memory_and_views_are_kept(tmp_path: Path) -> None:
    weight = torch.arange(12.0).reshape(3, 4)
    FILES.save_checkpoint({"a": weight, "b": weight, "column": weight[:, 1], "turned": weight.T}, tmp_path / "x")
    read = FILES.load_checkpoint(tmp_path / "x")
    assert same(read, {"a": weight, "b": weight, "column": weight[:, 1], "turned": weight.T})


@pytest.mark.parametrize("thing", [object(), {1, 2}, b"bytes", 1j])
def test_what_is_no_plain_thing_is_refused_and_nothing_is_written(tmp_path: Path, thing: object) -> None:
    with pytest.raises(OurFault) as refused:
        FILES.save_checkpoint({"deep": [thing]}, tmp_path / "x")
    assert refused.value.code == "training.cannot_checkpoint"
    assert not list(tmp_path.iterdir())


def damaged_ways() -> dict[str, Any]:
    def flipped(content: bytes) -> bytes:
        middle = len(content) - 20
        return content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :]

    return {
        "cut short": lambda content: content[:-7],
        "empty": lambda content: b"",
        "one bit of a weight": flipped,
        "one bit of a number": lambda content: content.replace(b'"global_step', b'"gl0bal_step', 1),
        "another format": lambda content: content.replace(b"dubflow.checkpoint/1", b"dubflow.checkpoint/7"),
        "noise": lambda content: bytes(range(256)) * 4,
    }


@pytest.mark.parametrize("way", damaged_ways())
def test_a_damaged_file_is_told_put_aside_and_the_one_before_it_serves(tmp_path: Path, way: str) -> None:
    for step in (3, 6, 9):
        FILES.save_checkpoint({"global_step": step, "weight": torch.randn(64)}, checkpoint_path(tmp_path, step))
    newest = checkpoint_path(tmp_path, 9)
    content = newest.read_bytes()
    newest.write_bytes(damaged_ways()[way](content))
    assert newest.read_bytes() != content
    with pytest.raises(BadInput) as refused:
        FILES.load_checkpoint(newest)
    assert refused.value.code == "training.bad_checkpoint"
    assert latest_checkpoint(tmp_path) == checkpoint_path(tmp_path, 6)
    assert newest.exists(), "only a look"
    told: list[str] = []
    assert latest_checkpoint(tmp_path, told.append) == checkpoint_path(tmp_path, 6)
    assert len(told) == 1
    assert newest.name in told[0]
    assert [step_of(path) for path in checkpoints(tmp_path)] == [3, 6]
    assert newest.with_name(newest.name + DAMAGED).exists()


def test_all_damaged_or_none_there_means_the_beginning(tmp_path: Path) -> None:
    assert latest_checkpoint(tmp_path / "none") is None
    checkpoint_path(tmp_path, 5).write_bytes(b"x")
    told: list[str] = []
    assert latest_checkpoint(tmp_path, told.append) is None
    assert len(told) == 1


def test_half_a_file_of_a_killed_run_is_no_checkpoint(tmp_path: Path) -> None:
    FILES.save_checkpoint({"global_step": 3}, checkpoint_path(tmp_path, 3))
    (tmp_path / f".step-00000006.0123abcd{PARTIAL}.safetensors").write_bytes(b"half")
    assert latest_checkpoint(tmp_path) == checkpoint_path(tmp_path, 3)


def test_checkpoints_are_ordered_by_step_beyond_eight_digits(tmp_path: Path) -> None:
    for step in (100_000_000, 99_999_999, 7):
        checkpoint_path(tmp_path, step).touch()
    assert [step_of(path) for path in checkpoints(tmp_path)] == [7, 99_999_999, 100_000_000]
