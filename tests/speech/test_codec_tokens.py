from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest

from dubflow.errors import BadInput
from dubflow.speech.codecs import Tokens, load_npz


def some_tokens(length: int = 7, **changes: object) -> Tokens:
    rng = np.random.default_rng(0)
    fields: dict[str, object] = {
        "prosody": rng.integers(0, 1024, (1, length)).astype(np.int16),
        "content": rng.integers(0, 1024, (2, length)),
        "acoustic": rng.integers(0, 1024, (3, length)).astype(np.uint16),
        "speaker": rng.normal(size=256),
    }
    return Tokens(**{**fields, **changes})  # type: ignore[arg-type]


def test_any_integers_are_widened() -> None:
    tokens = some_tokens()
    assert {tokens.prosody.dtype, tokens.content.dtype, tokens.acoustic.dtype} == {np.dtype(np.int64)}
    assert tokens.speaker.dtype == np.float32
    assert len(tokens) == 7


@pytest.mark.parametrize("length", [0, 1, 500])
def test_files_give_back_what_was_saved(tmp_path: Path, length: int) -> None:
    tokens = some_tokens(length)
    tokens.save_npz(tmp_path / "t.npz")
    assert load_npz(tmp_path / "t.npz") == tokens
    assert load_npz(tmp_path / "t.npz") != some_tokens(length, speaker=np.zeros(256, np.float32))
    with np.load(tmp_path / "t.npz") as arrays:
        assert sorted(arrays.files) == ["acoustic", "content", "prosody", "speaker"]


@pytest.mark.parametrize(
    "changes",
    [
        {"prosody": np.full((1, 7), 1024)},
        {"content": np.full((2, 7), -1)},
        {"content": np.zeros((2, 6), int)},
        {"acoustic": np.zeros((2, 7), int)},
        {"prosody": np.zeros(7, int)},
        {"acoustic": np.zeros((3, 7))},
        {"speaker": np.array([1.0, np.nan])},
        {"speaker": np.zeros((1, 256))},
        {"speaker": np.zeros(256, int)},
    ],
)
def test_what_is_no_tokens_is_refused(changes: dict[str, object]) -> None:
    with pytest.raises(BadInput) as caught:
        some_tokens(**changes)
    assert caught.value.code == "speech.bad_tokens"


def write_missing_book(path: Path) -> None:
    np.savez(path, prosody=np.zeros((1, 2), int))


def write_pickle(path: Path) -> None:
    np.savez(path, prosody=np.array([{}], dtype=object), content=[0], acoustic=[0], speaker=[0.0])


@pytest.mark.parametrize(
    "write",
    [
        write_missing_book,
        write_pickle,
        lambda path: path.write_bytes(b""),
        lambda path: path.write_bytes(b"PK\x03\x04 broken"),
        lambda path: path.write_bytes(pickle.dumps({"prosody": 1})),
        lambda path: np.save(path.open("wb"), np.zeros(3)),
    ],
)
def test_broken_and_hostile_files_are_refused(tmp_path: Path, write: object) -> None:
    path = tmp_path / "t.npz"
    write(path)  # type: ignore[operator]
    with pytest.raises(BadInput) as caught:
        load_npz(path)
    assert caught.value.code == "speech.bad_tokens"


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInput):
        load_npz(tmp_path / "none.npz")
