"""The prepared set's contract: old sets stay readable, what is unknown or damaged is refused or found."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from dubflow.corpora.cache import Store, content_key
from dubflow.corpora.prepared import (
    FailedClip,
    PreparedClip,
    PreparedIndex,
    PreparedSet,
    ShardFacts,
    read_index,
    write_index,
)
from dubflow.errors import BadInput

GOLDEN = Path(__file__).parent / "golden" / "prepared"
KEY = content_key({"clip": "golden"})


def _arrays() -> dict[str, NDArray[Any]]:
    return {
        "phones": np.array([1, 40, 1], np.int64),
        "stress": np.array([0, 1, 0], np.int64),
        "frame_durations": np.array([1, 1, 1], np.int64),
        "token_durations": np.array([3, 4, 3], np.int64),
        "pitch": np.linspace(100, 110, 10, dtype=np.float32),
        "energy": np.full(10, -20, np.float32),
        "mouth_opening": np.array([0.1, np.nan, 0.2], np.float32),
        "face_found": np.array([True, False, True]),
        "prosody": np.arange(10, dtype=np.int16)[None],
    }


def _write(root: Path) -> PreparedIndex:
    """The set of one clip that the golden folder holds."""
    meta = {"frames": 3, "tokens": 10, "phones": 3, "alignment": "given", "reasons": ["no_face"]}
    store = Store(root)
    store.put(KEY, _arrays(), meta)
    with store.packing():
        store.pack([KEY], 10**6)
        name = store.shard_of(KEY)
        facts = ShardFacts(sha256=store.digest(name), bytes=store.shard_path(name).stat().st_size)
        store.clean([KEY])
    store.close()
    index = PreparedIndex(
        corpus="golden",
        world="embedded",
        transform_version=1,
        preset={"lip_features": "embedded"},
        extractors={"landmarker": "m", "lip": "l", "face": "f"},
        codec="none",
        clips={
            "a": PreparedClip(
                key=KEY,
                shard=name,
                clip_sha256="ab" * 32,
                frames=3,
                tokens=10,
                phones=3,
                alignment="given",
                reasons=("no_face",),
                transcript="ah",
                language="en",
                speaker="s1",
                split="train",
            )
        },
        failed={"b": FailedClip(key="cd" * 32, code="media.no_audio", reason="It is silent.", retry=False)},
        shards={name: facts},
    )
    write_index(root, index)
    return index


def test_the_golden_set_reads_as_it_was_written(tmp_path: Path) -> None:
    golden = PreparedSet(GOLDEN)
    assert golden.verify() == ()
    assert list(golden) == ["a"]
    assert golden.info("a").tokens == 10
    for name, array in _arrays().items():
        assert np.array_equal(golden["a"][name], array, equal_nan=array.dtype.kind == "f")
        assert golden["a"][name].dtype == array.dtype
    assert _write(tmp_path) == golden.index
    (shard,) = golden.index.shards
    for name in ("index.json", f"shards/{shard}.safetensors"):
        assert (tmp_path / name).read_bytes() == (GOLDEN / name).read_bytes()


def test_arrays_are_views_of_the_file(tmp_path: Path) -> None:
    _write(tmp_path)
    pitch = PreparedSet(tmp_path)["a"]["pitch"]
    assert not pitch.flags.writeable
    base: Any = pitch
    while base.base is not None and not isinstance(base, np.memmap):
        base = base.base
    assert isinstance(base, np.memmap)


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"format": "dubflow.prepared/2"}, "corpora.unknown_format"),
        ({"format": None}, "corpora.unknown_format"),
        ({"colour": 1}, "corpora.bad_index"),
        ({"clips": {"a": {"key": "short"}}}, "corpora.bad_index"),
    ],
)
def test_indexes_of_another_kind_are_refused(tmp_path: Path, change: dict[str, Any], code: str) -> None:
    _write(tmp_path)
    content = json.loads((tmp_path / "index.json").read_text())
    (tmp_path / "index.json").write_text(json.dumps(content | change))
    with pytest.raises(BadInput) as caught:
        read_index(tmp_path)
    assert caught.value.code == code


def test_folders_without_an_index_and_clips_not_in_it_are_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"corpora\.not_prepared"):
        PreparedSet(tmp_path)
    _write(tmp_path)
    prepared = PreparedSet(tmp_path)
    assert "z" not in prepared
    with pytest.raises(BadInput, match=r"no such clip.*corpora\.unknown_clip"):
        prepared["z"]
    with pytest.raises(BadInput, match=r"media\.no_audio.*corpora\.unknown_clip"):
        prepared["b"]


@pytest.mark.parametrize(("damage", "code"), [("gone", "shard_missing"), ("flipped", "shard_changed")])
def test_damaged_shards_are_found(tmp_path: Path, damage: str, code: str) -> None:
    index = _write(tmp_path)
    (name,) = index.shards
    path = tmp_path / "shards" / f"{name}.safetensors"
    if damage == "gone":
        path.unlink()
    else:
        content = bytearray(path.read_bytes())
        content[-1] ^= 1
        path.write_bytes(content)
    (finding,) = PreparedSet(tmp_path).verify()
    assert finding.code == f"corpora.{code}"


@pytest.mark.parametrize(
    ("name", "array", "code"),
    [
        ("mouth_opening", np.zeros(4, np.float32), "frames_disagree"),
        ("pitch", np.zeros(9, np.float32), "tokens_disagree"),
        ("prosody", np.zeros((1, 11), np.int16), "tokens_disagree"),
        ("waveform", np.zeros(5, np.int16), "samples_disagree"),
        ("stress", np.zeros(2, np.int64), "phones_disagree"),
        ("frame_durations", np.array([1, 1, 2], np.int64), "durations_disagree"),
        ("token_durations", np.array([1, 1, 2], np.int64), "durations_disagree"),
    ],
)
def test_arrays_of_a_wrong_length_are_found(tmp_path: Path, name: str, array: NDArray[Any], code: str) -> None:
    from dubflow.corpora.prepared import shape_findings

    info = _write(tmp_path).clips["a"]
    assert [*shape_findings("a", info, _arrays())] == []
    found = [one.code for one in shape_findings("a", info, _arrays() | {name: array})]
    assert found == [f"corpora.{code}"]


def test_a_token_count_that_is_not_the_frames_is_found(tmp_path: Path) -> None:
    from dubflow.corpora.prepared import shape_findings

    info = _write(tmp_path).clips["a"].model_copy(update={"frames": 4})
    assert "corpora.tokens_disagree" in {one.code for one in shape_findings("a", info, {})}
