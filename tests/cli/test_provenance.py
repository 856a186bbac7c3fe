"""``dubflow provenance``, as typed."""

from __future__ import annotations

from pathlib import Path

import pytest

from dubbing.room import Room, shared_room
from dubflow.cli import main as program
from dubflow.dubbing.provenance.certificates import TRUST
from verbs import Answer


@pytest.fixture
def room(tmp_path_factory: pytest.TempPathFactory, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Room:
    monkeypatch.setenv("DUBFLOW_HOME", str(tmp_path / "home"))
    return shared_room(tmp_path_factory)


def test_a_dub_says_where_it_comes_from_until_it_is_changed(
    room: Room, answer: Answer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "o.mp4"
    words = ["dub", room.clip(), "--language", "en", "--reference", room.clip(1), "--model", room.model, "--nfe", "2"]
    (result,) = answer(*words, "--text", "red", "--out", out)["results"]
    trust = tmp_path / "home" / "serve" / "signing" / TRUST
    document = answer("provenance", out, "--trust", trust)
    assert (document["sha256"], document["signer"]["trusted"]) == (result["out_sha256"], True)
    facts = document["facts"]
    assert (facts["request"], facts["voice"]["kind"], facts["job"]) == (result["request"], "unrecorded", None)

    monkeypatch.setattr("sys.argv", ["dubflow", "provenance", str(out)])
    assert program._run() == 0
    printed = capsys.readouterr().out
    assert "nobody recorded a consent" in printed
    assert "trainedAlgorithmicMedia" in printed

    content = bytearray(out.read_bytes())
    content[-100] ^= 1
    out.write_bytes(bytes(content))
    assert answer("provenance", out, exit_code=3)["error"]["code"] == "dubbing.provenance_broken"
    assert answer("provenance", room.clip(), exit_code=3)["error"]["code"] == "dubbing.no_provenance"
