"""Fitting, encoding, decoding and converting by the verbs a person types."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from dubflow.cli import main as program
from dubflow.corpora.manifest import read_manifest
from dubflow.corpora.prepared import PreparedSet
from dubflow.media.decode import read_audio
from dubflow.speech.codecs import load_npz
from dubflow.speech.codecs.world.storage import read_card
from verbs import Answer

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def speech(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A corpus of enough speech to fill the books."""
    out = tmp_path_factory.mktemp("speech") / "talkers"
    words = ["--identities", "2", "--clips", "8", "--languages", "en,de", "--seed", "5", "--size", "64"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sys.argv", ["dubflow", "talkers", "render", "--out", str(out), *words, "--workers", "1"])
        assert program._run() == 0
    return out


@pytest.fixture(scope="module")
def codec(speech: Path) -> Path:
    out = speech.parent / "codec"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sys.argv", ["dubflow", "codec", "fit", str(speech), "--out", str(out), "--seed", "4"])
        assert program._run() == 0
    return out


@pytest.mark.slow
def test_fit_says_what_it_made_and_what_it_loses(codec: Path, speech: Path, answer: Answer) -> None:
    card = read_card(codec)
    assert card.origin.speakers == 2
    assert card.origin.seed == 4
    assert 0 < card.origin.recordings < len(read_manifest(speech)) + 1
    assert "codec fit" in card.origin.command
    assert [loss.stage for loss in card.losses] == ["all six books", "prosody and content"]
    assert answer("codec", "fit", speech, "--out", codec, exit_code=2)["error"]["code"] == "speech.codec_folder_exists"


@pytest.mark.slow
def test_fit_twice_gives_the_same_codec(codec: Path, speech: Path, tmp_path: Path, answer: Answer) -> None:
    again = answer("codec", "fit", speech, "--out", tmp_path / "again", "--seed", "4")
    assert again["id"] == read_card(codec).id
    for path in codec.iterdir():
        if path.suffix == ".safetensors":
            assert path.read_bytes() == (tmp_path / "again" / path.name).read_bytes()


def test_encode_and_decode_a_clip(codec: Path, speech: Path, tmp_path: Path, answer: Answer) -> None:
    manifest = read_manifest(speech)
    clip = manifest.media_path(manifest.rows[0])
    encoded = answer("codec", "encode", "--codec", codec, clip, "--out", tmp_path / "t.npz")
    samples = read_audio(clip).size
    assert encoded["tokens"] == len(load_npz(tmp_path / "t.npz")) == -(-samples // 200)
    assert encoded["codec"] == read_card(codec).id
    decoded = answer("codec", "decode", "--codec", codec, tmp_path / "t.npz", "--out", tmp_path / "o.wav")
    assert decoded["samples"] == 200 * encoded["tokens"] == read_audio(tmp_path / "o.wav").size
    assert np.abs(read_audio(tmp_path / "o.wav")).max() > 0.01


def test_tokens_that_are_none_and_folders_without_a_codec_are_typed_errors(
    codec: Path, tmp_path: Path, answer: Answer
) -> None:
    (tmp_path / "t.npz").write_bytes(b"nothing")
    words = ("decode", "--codec", codec, tmp_path / "t.npz", "--out", tmp_path / "o.wav")
    assert answer("codec", *words, exit_code=3)["error"]["code"] == "speech.bad_tokens"
    words = ("encode", "--codec", tmp_path, tmp_path / "x.wav", "--out", tmp_path / "t.npz")
    assert answer("codec", *words, exit_code=3)["error"]["code"] == "speech.not_a_codec"


def test_too_small_a_corpus_is_refused(corpus: Path, tmp_path: Path, answer: Answer) -> None:
    error = answer("codec", "fit", corpus, "--out", tmp_path / "codec", exit_code=3)["error"]
    assert error["code"] == "speech.too_little_speech"
    assert list(tmp_path.iterdir()) == []


def test_conversion_refuses_what_is_no_checkpoint(tmp_path: Path, answer: Answer) -> None:
    pytest.importorskip("torch")
    for name in ("encoder.bin", "decoder.bin"):
        (tmp_path / name).write_bytes(b"\x80\x04N.")
    words = ("--encoder", tmp_path / "encoder.bin", "--decoder", tmp_path / "decoder.bin", "--out", tmp_path / "out")
    error = answer("codec", "convert", "facodec", *words, exit_code=3)["error"]
    assert error["code"] == "speech.codec_checkpoint_unreadable"
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
def test_prepare_with_a_codec_keeps_its_tokens(codec: Path, corpus: Path, tmp_path: Path, answer: Answer) -> None:
    out = tmp_path / "prepared"
    words = ("prepare", corpus, "--out", out, "--codec", codec, "--workers", "2")
    assert answer(*words, "--dry-run")["to_do"] == 4
    assert answer(*words)["failed"] == 0
    prepared = PreparedSet(out)
    assert prepared.index.codec == read_card(codec).id
    for name in prepared:
        arrays, tokens = prepared[name], prepared.info(name).tokens
        assert arrays["prosody"].shape == (1, tokens)
        assert arrays["content"].shape == (2, tokens)
        assert arrays["acoustic"].shape == (3, tokens)
        assert int(arrays["token_durations"].sum()) == tokens
    assert answer("corpus", "check", corpus, "--prepared", out)["ok"]
    assert answer(*words)["done"] == 0
