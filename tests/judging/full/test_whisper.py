"""Whisper with random weights in the layout that transformers reads."""

from __future__ import annotations

import pickle
import shutil
import socket
from pathlib import Path

import numpy as np
import pytest
from safetensors.torch import load_file, save_file

from dubflow.errors import BadInput
from dubflow.judging.card.functions import Measured
from dubflow.judging.card.items import BenchmarkItem, Subject
from dubflow.judging.full.emotion import AudioEncoder
from dubflow.judging.full.whisper import Whisper, WhisperWords, stretches
from dubflow.media.encode import write_audio

RATE = 16_000
LANGUAGES = ("en", "de")


@pytest.fixture(scope="module")
def whisper(whisper_folder: Path) -> Whisper:
    return Whisper(str(whisper_folder))


def test_the_same_sound_is_heard_the_same_whatever_came_before(whisper: Whisper, noise) -> None:
    first = whisper.hear(noise(2.0), "en")
    second = whisper.hear(noise(3.0, 4, 0.02), "en")
    assert first
    assert first != second
    assert whisper.hear(noise(2.0), "en") == first
    # It always sees 30 s, so silence after the sound is what it sees anyway.
    assert whisper.hear(np.pad(noise(2.0), (0, 5 * RATE)), "en") == first
    assert whisper.hear(np.zeros(0, np.float32), "en") == ""


def test_the_language_is_forced(whisper: Whisper, noise) -> None:
    sound = noise(2.0)
    assert sorted(whisper.languages) == sorted(LANGUAGES)
    by_language = {code: whisper.hear(sound, code) for code in LANGUAGES}
    assert len(set(by_language.values())) == 2
    found = whisper.detect_language(sound)
    assert whisper.hear(sound) == by_language[found]
    with pytest.raises(BadInput) as caught:
        whisper.hear(sound, "fr")
    assert caught.value.code == "judging.unknown_language"


def test_as_greedy_decoding_by_hand(whisper: Whisper, noise) -> None:
    """Start, language, task and no timestamps; then the likeliest of the letters, step by step."""
    import torch

    sound, network, tokenizer = noise(1.0, 2), whisper._network, whisper._tokenizer
    ids = tokenizer.convert_tokens_to_ids(["<|startoftranscript|>", "<|de|>", "<|transcribe|>", "<|notimestamps|>"])
    features = whisper._features(sound, sampling_rate=RATE, return_tensors="pt").input_features
    barred = network.generation_config.suppress_tokens
    end = tokenizer.convert_tokens_to_ids("<|endoftext|>")
    said: list[int] = []
    while len(said) < 20:  # the model's max_length, without the four
        with torch.no_grad():
            scores = (
                network(input_features=features, decoder_input_ids=torch.tensor([ids + said])).logits[0, -1].clone()
            )
        scores[barred] = -torch.inf
        if not said:
            scores[end] = -torch.inf
        said.append(int(scores.argmax()))
        if said[-1] == end:
            break
    assert whisper.hear(sound, "de") == tokenizer.decode(said, skip_special_tokens=True).strip()


def test_long_recordings_are_cut_where_they_are_quiet(whisper: Whisper, noise) -> None:
    sound = noise(70.0)
    pauses = (25.0, 50.0)
    for pause in pauses:
        sound[round((pause - 0.15) * RATE) : round((pause + 0.15) * RATE)] = 0
    parts = stretches(sound)
    np.testing.assert_array_equal(np.concatenate(parts), sound)
    ends = np.cumsum([part.size for part in parts])[:-1] / RATE
    np.testing.assert_allclose(ends, pauses, atol=0.06)
    assert all(part.size <= 30 * RATE for part in stretches(noise(100.0, 1)))
    assert stretches(sound[:0]) == []
    assert whisper.hear(sound[: 40 * RATE], "en") == " ".join(
        whisper.hear(part, "en") for part in stretches(sound[: 40 * RATE])
    )


def test_a_model_for_english_only(tmp_path: Path, save_whisper, noise) -> None:
    english = Whisper(str(save_whisper(tmp_path / "english", english_only=True)))
    assert english.languages == ("en",)
    assert english.detect_language(noise(1.0)) == "en"
    assert english.hear(noise(1.0), "en") == english.hear(noise(1.0))
    with pytest.raises(BadInput):
        english.hear(noise(1.0), "de")


def test_the_judge(whisper_folder: Path, whisper: Whisper, tmp_path: Path, noise) -> None:
    judge = pickle.loads(pickle.dumps(WhisperWords(str(whisper_folder))))
    assert judge.missing() is None
    assert [one.name for one in judge.metrics] == ["wer", "wer_mean", "wer_legacy", "cer"]
    assert all(one.judge == "whisper" for one in judge.metrics)
    sound = noise(1.5)
    write_audio(tmp_path / "clip.wav", sound, RATE)
    heard = whisper.hear(sound, "de")

    def asked(**fields: str) -> dict:
        return dict(judge.score(Subject(BenchmarkItem(id="one", **fields), tmp_path / "clip.wav", {})))

    exact = asked(transcript=heard.upper() + "!", language="de-AT")
    assert exact["wer"].value == exact["cer"].value == exact["wer_mean"].value == 0
    other = asked(transcript="a b c", language="de")
    assert isinstance(other["wer"], Measured)
    assert other["wer"].over >= 2
    assert other["wer"].under == 3
    for unasked in (asked(language="de"), asked(transcript="bonjour", language="fr")):
        assert {answer.blame for answer in unasked.values()} == {"item"}
    failed = judge.when_failed(BenchmarkItem(id="one", transcript="a b c"))
    assert failed == {"wer": Measured(1.0, 3.0, 3.0), "cer": Measured(1.0, 5.0, 5.0)}
    assert {one.blame for one in judge.when_failed(BenchmarkItem(id="one")).values()} == {"item"}


def test_a_pin_is_of_weights_and_words(whisper_folder: Path, tmp_path: Path) -> None:
    def pin(folder: Path) -> tuple:
        made = WhisperWords(str(folder)).pin
        return made.sha256, made.settings

    other = tmp_path / whisper_folder.name
    shutil.copytree(whisper_folder, other)
    assert pin(other) == pin(whisper_folder)
    assert pin(whisper_folder)[1]["decoding"] == "greedy"
    tokenizer = other / "tokenizer.json"
    tokenizer.write_text(tokenizer.read_text(encoding="utf-8") + " ", encoding="utf-8")
    assert pin(other)[0] == pin(whisper_folder)[0]
    assert pin(other)[1] != pin(whisper_folder)[1]


def test_what_is_not_there(
    tmp_path: Path, whisper_folder: Path, encoder_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    assert "full.whisper" in WhisperWords(None).missing()
    assert "no folder" in WhisperWords(str(tmp_path / "none")).missing()
    assert "offline" in WhisperWords("nobody/no-such-whisper").missing()
    (tmp_path / "empty").mkdir()
    assert "config.json and no model.safetensors" in WhisperWords(str(tmp_path / "empty")).missing()
    for model in ("nobody/no-such-whisper", str(tmp_path / "empty")):
        with pytest.raises(BadInput) as caught:
            WhisperWords(model).prepare()
        assert caught.value.code == "judging.no_model"
        with pytest.raises(BadInput) as caught:
            _ = WhisperWords(model).pin
        assert caught.value.code == "judging.no_model"
    with pytest.raises(BadInput) as caught:
        Whisper(str(encoder_folder))
    assert caught.value.code == "judging.unknown_encoder"


def test_a_folder_needs_no_network(
    whisper_folder: Path, encoder_folder: Path, monkeypatch: pytest.MonkeyPatch, noise
) -> None:
    """Also where fetching is allowed."""
    from huggingface_hub import constants

    asked: list[object] = []

    def refused(*arguments: object, **_: object) -> None:
        asked.append(arguments)
        raise OSError("no network in this test")

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(socket.socket, "connect", refused)
    monkeypatch.setattr(socket, "getaddrinfo", refused)
    assert Whisper(str(whisper_folder)).hear(noise(0.5), "en")
    assert AudioEncoder(str(encoder_folder)).embed(noise(0.5)).shape == (24,)
    assert [WhisperWords(str(whisper_folder)).pin.version] == ["whisper-tiny-random"]
    assert asked == []


def test_as_processors_and_shards_are_saved(whisper_folder: Path, whisper: Whisper, tmp_path: Path, noise) -> None:
    from transformers import (
        WhisperFeatureExtractor,
        WhisperForConditionalGeneration,
        WhisperProcessor,
        WhisperTokenizer,
    )

    parts = [one.from_pretrained(whisper_folder) for one in (WhisperFeatureExtractor, WhisperTokenizer)]
    WhisperProcessor(*parts).save_pretrained(tmp_path / "sharded")
    network = WhisperForConditionalGeneration.from_pretrained(whisper_folder)
    network.save_pretrained(tmp_path / "sharded", max_shard_size="20KB")
    shards = sorted((tmp_path / "sharded").glob("*.safetensors"))
    assert len(shards) > 1
    judge = WhisperWords(str(tmp_path / "sharded"))
    assert judge.missing() is None
    assert Whisper(str(tmp_path / "sharded")).hear(noise(1.0), "en") == whisper.hear(noise(1.0), "en")
    before = judge.pin.sha256
    assert before != WhisperWords(str(whisper_folder)).pin.sha256
    state = load_file(shards[-1])
    save_file({name: tensor + 1 for name, tensor in state.items()}, shards[-1], metadata={"format": "pt"})
    assert judge.pin.sha256 != before


def test_a_hub_id_from_the_cache_while_offline(
    whisper_folder: Path, whisper: Whisper, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, noise
) -> None:
    from huggingface_hub import constants

    kept = tmp_path / "models--nobody--tiny"
    (kept / "refs").mkdir(parents=True)
    (kept / "refs" / "main").write_text("0" * 40)
    shutil.copytree(whisper_folder, kept / "snapshots" / ("0" * 40))
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    judge = WhisperWords("nobody/tiny")
    assert judge.missing() is None
    assert judge.pin.version == "whisper-tiny"
    assert judge.pin.sha256 == WhisperWords(str(whisper_folder)).pin.sha256
    assert Whisper("nobody/tiny").hear(noise(1.0), "de") == whisper.hear(noise(1.0), "de")
