"""``dubflow dub``, as typed."""

from __future__ import annotations

from pathlib import Path

import pytest

from dubbing.room import SAMPLES, Room, shared_room
from dubflow.cli import main as program
from dubflow.media.decode import read_audio
from dubflow.media.subtitles import Cue, write_subtitles
from verbs import Answer


@pytest.fixture(autouse=True)
def _home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DUBFLOW_HOME", str(tmp_path / "home"))  # where outputs' signing key is made


@pytest.fixture(scope="module")
def room(tmp_path_factory: pytest.TempPathFactory) -> Room:
    return shared_room(tmp_path_factory)


def words(room: Room, *more: str | Path) -> list[str | Path]:
    return ["dub", room.clip(), "--language", "en", "--reference", room.clip(1), "--model", room.model,
            "--nfe", "2", *more]  # fmt: skip


@pytest.mark.slow
def test_a_text_becomes_a_dubbed_clip(room: Room, answer: Answer, tmp_path: Path) -> None:
    document = answer(*words(room, "--text", "bin blue at f two now", "--out", tmp_path / "o.mp4"))
    (result,) = document["results"]
    assert (document["found"], document["failures"]) == (0, [])
    assert (result["options"]["steps"], result["duration_error_s"]) == (2, 0.0)
    assert read_audio(tmp_path / "o.mp4").shape == (SAMPLES,)
    assert (tmp_path / "o.dub.json").is_file()
    assert answer(*words(room, "--text", "bin blue at f two now", "--out", tmp_path / "o.mp4"))["found"] == 1


@pytest.mark.slow
def test_several_clips_with_a_folder_of_subtitles(room: Room, answer: Answer, tmp_path: Path) -> None:
    (tmp_path / "subs").mkdir()
    for number, ending in enumerate((".srt", ".vtt")):
        cues = [Cue(0.1, 0.5, "red"), Cue(0.7, 1.1, "blue")]
        write_subtitles(tmp_path / "subs" / f"{room.clip(number).stem}{ending}", cues)
    (tmp_path / "broken.mp4").write_bytes(b"no clip")
    write_subtitles(tmp_path / "subs" / "broken.srt", [Cue(0.0, 1.0, "red")])
    more = ["--subtitles", tmp_path / "subs", "--out", tmp_path / "out", room.clip(1), tmp_path / "broken.mp4"]
    document = answer(*words(room, *more), exit_code=3)
    assert [len(result["segments"]) for result in document["results"]] == [2, 2]
    assert [failure["clip"] for failure in document["failures"]] == ["broken.mp4"]
    assert {path.name for path in (tmp_path / "out").glob("*.mp4")} == {room.clip(n).name for n in range(2)}


def test_a_dry_run_writes_nothing(room: Room, answer: Answer, tmp_path: Path) -> None:
    document = answer(*words(room, "--text", "red", "--out", tmp_path / "o" / "o.mp4", "--dry-run"))
    (clip,) = document["clips"]
    assert (clip["duration_s"], clip["segments"][0]["end"]) == (1.2, 1.2)
    assert not (tmp_path / "o").exists()


def test_a_table_for_people(
    room: Room, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    typed = words(room, "--text", "red now", "--out", tmp_path / "o.mp4", "--reference", "self")
    monkeypatch.setattr("sys.argv", ["dubflow", *map(str, typed)])
    assert program._run() == 0
    shown = capsys.readouterr()
    assert "embedded world" in shown.out
    assert "oracle" in shown.out
    assert "1/1 clips" in shown.err


@pytest.mark.parametrize(
    ("more", "exit_code", "code"),
    [
        (["--out", "o.mp4"], 2, "cli.wrong_use"),
        (["--out", "o.mp4", "--text", "a", "--subtitles", "b.srt"], 2, "cli.wrong_use"),
        (["--out", "o.mp4", "--text", "red", "--engine", "magic"], 2, "cli.wrong_use"),
        (["--out", "o.mp4", "--text", "red", "--background", "music"], 2, "cli.wrong_use"),
        (["--out", "o.mp4", "--text", "red", "--no-face", "pray"], 2, "cli.wrong_use"),
        (["--out", "o.mp4", "--text", "red", "--model", "nowhere"], 3, "diflow.not_a_model"),
        (["--out", "o.mp4", "--text", "..."], 3, "dubbing.nothing_to_say"),
        (["--out", "o.mp4", "--text", "red", "--reference", "nowhere.wav"], 3, "media.missing"),
        (["--out", "o.mp4", "--text", "red", "--language", "xx"], 2, "speech.unknown_language"),
        (["--out", "o.mp4", "--text", "red", "other.mp4"], 2, "cli.wrong_use"),
    ],
)
def test_what_is_wrong_is_said(
    room: Room,
    answer: Answer,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    more: list[str],
    exit_code: int,
    code: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    assert answer(*words(room, *more), exit_code=exit_code)["error"]["code"] == code
