"""Objects in a storage: the same in a folder and in S3, whole or not there, and never outside."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from dubflow.errors import BadInput, OurFault, WrongUse
from dubflow.storage import Objects
from fake_s3 import running


@pytest.fixture(params=["folder", "s3"])
def objects(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Objects]:
    if request.param == "folder":
        yield Objects((tmp_path / "store").as_uri())
        return
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "tests")
    with running() as server:
        yield Objects(server.uri("bucket/store"))


def test_an_object_comes_back_as_it_was(objects: Objects, tmp_path: Path) -> None:
    (tmp_path / "clip.mp4").write_bytes(b"clip")
    fact = objects.put("uploads/a/clip.mp4", tmp_path / "clip.mp4")
    assert fact == {"sha256": hashlib.sha256(b"clip").hexdigest(), "bytes": 4}
    objects.put("uploads/b/voice.wav", b"voice")
    found = objects.find("uploads/a/clip.mp4")
    assert found is not None
    assert (found.key, found.bytes) == ("uploads/a/clip.mp4", 4)
    assert [one.key for one in objects.listing("uploads")] == ["uploads/a/clip.mp4", "uploads/b/voice.wav"]
    assert objects.local("uploads/a/clip.mp4", tmp_path / "scratch").read_bytes() == b"clip"
    objects.get("uploads/a/clip.mp4", tmp_path / "back", fact["sha256"])
    with pytest.raises(BadInput, match=r"storage\.object_damaged"):
        objects.get("uploads/b/voice.wav", tmp_path / "other", fact["sha256"])
    assert not (tmp_path / "other").exists()


def test_what_is_removed_is_gone_and_may_be_removed_again(objects: Objects, tmp_path: Path) -> None:
    for key in ("jobs/j/1/video.mp4", "jobs/j/1/audio.wav", "jobs/j/2/video.mp4"):
        objects.put(key, b"x")
    for _ in range(2):
        objects.remove_below("jobs/j/1")
        objects.remove("jobs/j/3/video.mp4")
        assert [one.key for one in objects.listing("jobs")] == ["jobs/j/2/video.mp4"]
    assert objects.listing("nothing") == []
    assert objects.find("jobs/j/1/video.mp4") is None
    with pytest.raises(BadInput, match=r"storage\.object_missing"):
        objects.local("jobs/j/1/video.mp4", tmp_path)
    with pytest.raises(BadInput, match=r"storage\.object_missing"):
        objects.get("jobs/j/1/video.mp4", tmp_path / "out")


@pytest.mark.parametrize("key", ["", "/etc/passwd", "../x", "a/../../x", "a//b", "a/.", "a\\b", "a\nb", "a\0b", "a/"])
def test_a_key_leads_nowhere_else(key: str, tmp_path: Path) -> None:
    objects = Objects((tmp_path / "store").as_uri())
    for use in (objects.find, objects.path, objects.remove, objects.remove_below, lambda k: objects.put(k, b"")):
        with pytest.raises(WrongUse, match=r"storage\.bad_key"):
            use(key)


def test_an_object_that_could_not_be_written_leaves_the_old_one(tmp_path: Path) -> None:
    objects = Objects((tmp_path / "store").as_uri())
    objects.put("a/b", b"old")
    with pytest.raises(FileNotFoundError):
        objects.put("a/b", tmp_path / "gone")
    assert objects.local("a/b", tmp_path).read_bytes() == b"old"
    with pytest.raises(OurFault, match=r"storage\.failed"):
        objects.put("a/b/c", b"below a file")
    assert [one.key for one in objects.listing("a")] == ["a/b"]
