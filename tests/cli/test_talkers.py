"""Voices without pictures, from rendering to tokens, by the verbs a person types."""

from __future__ import annotations

from pathlib import Path

import pytest

from dubflow.cli import main as program
from dubflow.corpora.manifest import read_manifest
from dubflow.corpora.prepared import PreparedSet
from dubflow.speech.codecs.world.storage import read_card
from verbs import Answer

PRESET = """
talkers: {mix: {plain: 1.0}, grid_share: 0.2, salad_share: 0.5, event_share: 0.0}
"""


@pytest.fixture(scope="module")
def voices(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six persons, the third of them for validation and the fourth for the test."""
    folder = tmp_path_factory.mktemp("voices")
    (folder / "preset.yaml").write_text(PRESET, "utf-8")
    words = ["--identities", "6", "--clips", "6", "--languages", "en,de,ru", "--seed", "5", "--workers", "1"]
    with pytest.MonkeyPatch.context() as patch:
        preset = ["--preset", str(folder / "preset.yaml"), "--voices-only"]
        patch.setattr("sys.argv", ["dubflow", "talkers", "render", "--out", str(folder / "corpus"), *words, *preset])
        assert program._run() == 0
    return folder / "corpus"


@pytest.fixture(scope="module")
def codec(voices: Path) -> Path:
    out = voices.parent / "codec"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sys.argv", ["dubflow", "codec", "fit", str(voices), "--out", str(out), "--seed", "4"])
        assert program._run() == 0
    return out


@pytest.mark.slow
def test_the_codec_is_fitted_to_the_train_split_alone(voices: Path, codec: Path) -> None:
    train = [row for row in read_manifest(voices) if row.split == "train"]
    origin = read_card(codec).origin
    assert origin.speakers == len({row.speaker for row in train}) == 4
    assert origin.recordings == len(train) - -(-len(train) // 10)  # one of ten measures the loss
    assert origin.seconds < sum(row.duration for row in train)


def test_a_corpus_with_nobody_to_learn_from_is_refused(voices: Path, tmp_path: Path, answer: Answer) -> None:
    manifest = read_manifest(voices)
    held_out = type(manifest)(manifest.header, [row for row in manifest if row.split != "train"], manifest.root)
    held_out.write(tmp_path / "held_out")
    words = ("codec", "fit", tmp_path / "held_out", "--out", tmp_path / "codec")
    assert answer(*words, exit_code=3)["error"]["code"] == "speech.too_little_speech"


@pytest.mark.slow
def test_prepared_voices_have_everything_but_a_face(voices: Path, codec: Path, tmp_path: Path, answer: Answer) -> None:
    out = tmp_path / "prepared"
    report = answer("prepare", voices, "--out", out, "--codec", codec, "--workers", "1")
    assert (report["failed"], report["reasons"]) == (0, {})
    rows = {row.id: row for row in read_manifest(voices)}
    prepared = PreparedSet(out)
    assert set(prepared) == set(rows)
    for name in prepared:
        arrays, info = prepared[name], prepared.info(name)
        assert set(arrays) == {
            "phones", "stress", "frame_durations", "token_durations", "pitch", "energy", "waveform",
            "prosody", "content", "acoustic", "speaker",
        }  # fmt: skip
        assert info.alignment == "given"
        assert info.frames == round(25 * rows[name].duration)
        assert int(arrays["frame_durations"].sum()) == info.frames
        assert int(arrays["token_durations"].sum()) == info.tokens == arrays["content"].shape[1]
        assert len(arrays["phones"]) == len(rows[name].phones)
        assert tuple(arrays["stress"]) == rows[name].stresses
    assert prepared.verify() == ()
    assert answer("corpus", "check", voices, "--prepared", out)["ok"]
