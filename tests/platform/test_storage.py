"""Sets of files in a storage: whole or not there, by addresses without keys in them."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from dubflow.errors import BadInput, OurFault, WrongUse
from dubflow.platform.steps.training import CHECKPOINTS, mirror_of
from dubflow.platform.storage import Storage
from dubflow.storage import below
from fake_s3 import running


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("s3://bucket/runs?scheme=http&endpoint_override=minio:9000", "s3://bucket/runs/a%20b/c?scheme=http&endpoint_override=minio:9000"),
        ("s3://bucket?region=eu-west-1", "s3://bucket/a%20b/c?region=eu-west-1"),
        ("file:///folder/", "file:///folder/a%20b/c"),
    ],
)  # fmt: skip
def test_what_lies_below_an_address(address: str, expected: str) -> None:
    assert below(address, "a b", "c") == expected
    Storage(expected)


def test_each_run_of_a_pipeline_has_a_place_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(CHECKPOINTS, raising=False)
    assert mirror_of(Path("/workspace/train_tts-1")) == ""
    monkeypatch.setenv(CHECKPOINTS, "s3://bucket/runs?region=eu-west-1")
    assert mirror_of(Path("/workspace/train_tts-1")) == "s3://bucket/runs/train_tts-1?region=eu-west-1"


@pytest.mark.parametrize(
    ("address", "code"),
    [
        ("s3://key:secret@bucket/runs", "storage.secret_in_address"),
        ("https://bucket/runs", "storage.bad_address"),
        ("/folder", "storage.bad_address"),
        ("s3://bucket/a b", "storage.bad_address"),
        ("s3://bucket?unknown=1", "storage.bad_address"),
    ],
)
def test_addresses_that_are_none(address: str, code: str) -> None:
    with pytest.raises(WrongUse) as refused:
        Storage(address)
    assert refused.value.code == code
    assert "secret@" not in str(refused.value)


def test_a_set_is_not_there_before_it_is_whole(tmp_path: Path) -> None:
    storage = Storage((tmp_path / "storage").as_uri())
    assert storage.names() == []
    (tmp_path / "a").write_bytes(b"first")
    storage.put("set", {"x/a": tmp_path / "a", "b": b""})
    assert storage.names() == ["set"]
    assert storage.manifest("set") == {
        "x/a": {"sha256": hashlib.sha256(b"first").hexdigest(), "bytes": 5},
        "b": {"sha256": hashlib.sha256(b"").hexdigest(), "bytes": 0},
    }
    with pytest.raises(FileNotFoundError):
        storage.put("set", {"b": b"second", "x/a": tmp_path / "gone"})
    assert storage.names() == [], "half of it is the second's"
    assert storage.manifest("set") is None
    storage.remove("set")
    storage.remove("set")


def test_a_file_in_parts_comes_back_as_it_was_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "tests")
    content = bytes(range(256)) * 60_000  # 15 MB: more than one part
    (tmp_path / "big").write_bytes(content)
    with running() as server:
        storage = Storage(server.uri("bucket/runs"))
        storage.put("set", {"big": tmp_path / "big"})
        assert sum(line == "PUT /bucket/runs/set/big" for line in server.seen) > 1
        fact = (storage.manifest("set") or {})["big"]
        storage.get("set", "big", fact, tmp_path / "back")
        assert (tmp_path / "back").read_bytes() == content
        server.objects["bucket/runs/set/big"] = content[:-1] + b"?"
        with pytest.raises(BadInput, match=r"platform\.stored_set_damaged"):
            storage.get("set", "big", fact, tmp_path / "other")
        assert not (tmp_path / "other").exists()
        server.refusing = 1
        with pytest.raises(OurFault, match="AccessDenied"):
            storage.put("other", {"a": b"1"})
        assert storage.names() == ["set"]
        storage.remove("set")
        assert storage.names() == []
