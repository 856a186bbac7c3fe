"""The store: objects appear whole, shards are never changed, what is dead does not pile up."""

from __future__ import annotations

import resource
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays_of

from dubflow.corpora.cache import Store, content_key
from dubflow.corpora.tensorfile import TensorFile, write_tensors
from dubflow.errors import BadInput


def _key(name: str) -> str:
    return content_key({"name": name})


def _fill(store: Store, names: str, size: int = 100) -> list[str]:
    for name in names:
        store.put(_key(name), {"x": np.full(size, ord(name), np.int64)}, {"name": name})
    return [_key(name) for name in names]


def test_keys_depend_on_content_alone() -> None:
    assert content_key({"a": 1, "b": [2]}) == content_key({"b": [2], "a": 1})
    assert content_key({"a": 1}) != content_key({"a": 2})
    assert len(content_key({})) == 64


@settings(deadline=None, max_examples=30)
@given(
    array=arrays_of.arrays(
        dtype=st.sampled_from([np.bool_, np.uint8, np.int16, np.int64, np.float16, np.float32]),
        shape=arrays_of.array_shapes(min_dims=1, max_dims=3, min_side=0, max_side=5),
    )
)
def test_tensors_come_back_as_they_were(tmp_path_factory: pytest.TempPathFactory, array: np.ndarray) -> None:
    path = tmp_path_factory.mktemp("tensors") / "t.safetensors"
    write_tensors(path, {"one": array, "two": np.arange(3)}, {"note": "é"})
    file = TensorFile(path)
    assert file["one"].dtype == array.dtype
    assert file["one"].shape == array.shape
    assert file["one"].tobytes() == array.tobytes()
    assert file.metadata == {"note": "é"}
    if array.size:
        with pytest.raises(ValueError, match="read-only"):
            file["one"][...] = 0


def test_equal_content_gives_equal_bytes(tmp_path: Path) -> None:
    arrays = {"a": np.arange(3), "b": np.zeros(2, np.uint8)}
    notes = {str(number): "x" for number in range(20)}
    write_tensors(tmp_path / "1", arrays, notes)
    write_tensors(tmp_path / "2", dict(reversed(arrays.items())), dict(reversed(notes.items())))
    assert (tmp_path / "1").read_bytes() == (tmp_path / "2").read_bytes()


def test_the_library_reads_what_we_write(tmp_path: Path) -> None:
    from safetensors.numpy import load_file

    write_tensors(tmp_path / "t.safetensors", {"a": np.arange(6).reshape(2, 3)}, {})
    assert load_file(tmp_path / "t.safetensors")["a"].tolist() == [[0, 1, 2], [3, 4, 5]]


@pytest.mark.parametrize("damage", ["cut", "empty", "long_header", "garbage", "gone"])
def test_damaged_files_are_refused(tmp_path: Path, damage: str) -> None:
    path = tmp_path / "t.safetensors"
    write_tensors(path, {"a": np.arange(100)}, {})
    content = path.read_bytes()
    changed = {
        "cut": content[:-1],
        "empty": b"",
        "long_header": (2**62).to_bytes(8, "little") + content[8:],
        "garbage": bytes(reversed(content)),
    }
    path.unlink()
    if damage != "gone":
        path.write_bytes(changed[damage])
    with pytest.raises(BadInput, match=r"corpora\.bad_tensor_file"):
        TensorFile(path)


def test_packing_keeps_everything_and_only_what_is_wanted(tmp_path: Path) -> None:
    store = Store(tmp_path)
    keys = _fill(store, "abc")
    with store.packing():
        store.pack(keys, 10**9)
        store.clean(keys)
    assert len(list(tmp_path.glob("shards/*.safetensors"))) == 1
    assert list(tmp_path.glob("objects/*/*.safetensors")) == []
    for name, key in zip("abc", keys, strict=True):
        arrays, meta = store.read(key)
        assert arrays["x"].tolist() == [ord(name)] * 100
        assert meta == {"name": name}
    assert not store.has(_key("d"))


def test_a_full_shard_is_left_alone_and_small_ones_are_merged(tmp_path: Path) -> None:
    store = Store(tmp_path)
    limit = 1000  # one array of 100 int64 is 800 bytes: a shard each
    keys = _fill(store, "abc")
    with store.packing():
        store.pack(keys, limit)
        store.clean(keys)
    before = {path.name: path.stat().st_mtime_ns for path in tmp_path.glob("shards/*.safetensors")}
    assert len(before) == 3
    keys += _fill(store, "de", size=20)
    for added in (keys[:4], keys):
        with store.packing():
            store.pack(added, limit)
            store.clean(added)
    after = {path.name: path.stat().st_mtime_ns for path in tmp_path.glob("shards/*.safetensors")}
    assert len(after) == 4
    assert {name: after[name] for name in before} == before


@settings(deadline=None, max_examples=20)
@given(rounds=st.lists(st.sets(st.sampled_from("abcdefghij"), min_size=1), min_size=1, max_size=6))
def test_whatever_comes_and_goes_the_wanted_are_there_and_waste_is_bounded(
    tmp_path_factory: pytest.TempPathFactory, rounds: list[set[str]]
) -> None:
    root = tmp_path_factory.mktemp("store")
    store = Store(root)
    for names in rounds:
        new = "".join(name for name in sorted(names) if not store.has(_key(name)))
        _fill(store, new)
        wanted = [_key(name) for name in names]
        with store.packing():
            store.pack(wanted, 2000)
            store.clean(wanted)
        fresh = Store(root)
        for name in names:
            assert fresh.has(_key(name))
            assert fresh.read(_key(name))[0]["x"][0] == ord(name)
        fresh.close()
        on_disk = sum(TensorFile(path).bytes_of(one) for path in root.glob("shards/*") for one in TensorFile(path))
        assert on_disk <= 2 * 800 * len(names) + 2000
    store.close()


def test_what_another_run_removed_is_seen_when_packing_begins(tmp_path: Path) -> None:
    store = Store(tmp_path)
    (key,) = _fill(store, "a")
    with store.packing():
        store.pack([key], 1000)
        store.clean([key])
    assert store.has(key)
    other = Store(tmp_path)
    (theirs,) = _fill(other, "b")
    with other.packing():
        other.pack([theirs], 1000)
        other.clean([theirs])
    with store.packing():
        assert not store.has(key), "its shard is gone: it must be made again"


def test_a_shard_may_hold_more_clips_than_a_process_may_open_files(tmp_path: Path) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    store = Store(tmp_path)
    keys = _fill(store, "".join(chr(1000 + number) for number in range(200)), size=2)
    resource.setrlimit(resource.RLIMIT_NOFILE, (len(list(Path("/proc/self/fd").iterdir())) + 50, hard))
    try:
        with store.packing():
            store.pack(keys, 10**9)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert len({store.shard_of(key) for key in keys}) == 1


def test_a_claim_excludes_other_processes_and_ends_with_its_owner(tmp_path: Path) -> None:
    import subprocess
    import sys

    holder = subprocess.Popen(
        [sys.executable, "-c", _HOLD, str(tmp_path), _key("a")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert holder.stdout is not None
    assert holder.stdout.readline().strip() == "held"
    store = Store(tmp_path)
    with store.claim(_key("a"), wait=False) as held:
        assert not held
    with store.claim(_key("b"), wait=False) as held:
        assert held
    holder.kill()
    holder.wait()
    with store.claim(_key("a"), wait=False) as held:
        assert held
    store.close()


_HOLD = """
import sys
from pathlib import Path
from dubflow.corpora.cache import Store
with Store(Path(sys.argv[1])).claim(sys.argv[2], wait=True):
    print("held", flush=True)
    sys.stdin.read()
"""
