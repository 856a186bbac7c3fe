"""Emo-SIM with an encoder of random weights, as transformers saves them."""

from __future__ import annotations

import json
import pickle
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from dubflow.errors import BadInput
from dubflow.judging.card.items import BenchmarkItem, Subject
from dubflow.judging.emotion import emotion_similarity
from dubflow.judging.full.emotion import AudioEncoder, EmotionLikeness
from dubflow.media.encode import write_audio

RATE = 16_000


@pytest.fixture(scope="module")
def encoder(encoder_folder: Path) -> AudioEncoder:
    return AudioEncoder(str(encoder_folder))


def changed(folder: Path, to: Path) -> Path:
    shutil.copytree(folder, to)
    return to


def test_the_mean_of_the_last_layer(encoder: AudioEncoder, encoder_folder: Path, noise) -> None:
    from transformers import Wav2Vec2Model

    sound = noise(0.8)
    scaled = (sound - sound.mean()) / np.sqrt(sound.var() + 1e-7)
    network = Wav2Vec2Model.from_pretrained(encoder_folder).eval()
    with torch.inference_mode():
        expected = network(torch.from_numpy(scaled)[None]).last_hidden_state[0].mean(dim=0)
    np.testing.assert_allclose(encoder.embed(sound), expected.numpy(), atol=1e-5)
    np.testing.assert_array_equal(encoder.embed(sound), encoder.embed(sound))


def test_level_and_offset_do_not_count(encoder: AudioEncoder, noise) -> None:
    sound = noise(0.8)
    assert emotion_similarity(sound, sound, encoder) == pytest.approx(1, abs=1e-6)
    assert emotion_similarity(sound, (0.3 * sound + 0.05).astype(np.float32), encoder) == pytest.approx(1, abs=1e-4)
    assert emotion_similarity(sound, np.sin(np.arange(RATE) / 9).astype(np.float32), encoder) < 0.9999
    with pytest.raises(BadInput) as caught:
        encoder.embed(sound[:399])
    assert caught.value.code == "judging.too_short"


def test_other_weights_are_another_judge(encoder: AudioEncoder, encoder_folder: Path, tmp_path: Path) -> None:
    other = changed(encoder_folder, tmp_path / "other")
    state = load_file(other / "model.safetensors")
    state["feature_projection.projection.bias"] += 1
    save_file(state, other / "model.safetensors", metadata={"format": "pt"})
    assert AudioEncoder(str(other)).id != encoder.id
    assert EmotionLikeness(str(other)).pin.sha256 != EmotionLikeness(str(encoder_folder)).pin.sha256


def test_weights_that_do_not_fit(encoder_folder: Path, tmp_path: Path) -> None:
    lacking = changed(encoder_folder, tmp_path / "lacking")
    state = load_file(lacking / "model.safetensors")
    mended = {name: tensor for name, tensor in state.items() if name != "encoder.layers.0.attention.q_proj.weight"}
    mended["feature_projection.projection.weight"] = torch.zeros(24, 17)
    save_file(mended, lacking / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(BadInput) as caught:
        AudioEncoder(str(lacking))
    assert caught.value.code == "judging.weights_do_not_fit"
    assert caught.value.details["missing"] == ["encoder.layers.0.attention.q_proj.weight"]
    assert caught.value.details["misshapen"] == ["feature_projection.projection.weight"]


def test_pickled_weights_are_refused(encoder_folder: Path, tmp_path: Path) -> None:
    pickled = changed(encoder_folder, tmp_path / "pickled")
    torch.save(load_file(pickled / "model.safetensors"), pickled / "pytorch_model.bin")
    (pickled / "model.safetensors").unlink()
    assert "no model.safetensors" in EmotionLikeness(str(pickled)).missing()
    with pytest.raises(BadInput) as caught:
        AudioEncoder(str(pickled))
    assert caught.value.code == "judging.no_model"


def test_models_that_are_no_such_encoder(encoder_folder: Path, whisper_folder: Path, tmp_path: Path) -> None:
    other_rate = changed(encoder_folder, tmp_path / "rate")
    settings = json.loads((other_rate / "preprocessor_config.json").read_text())
    (other_rate / "preprocessor_config.json").write_text(json.dumps(settings | {"sampling_rate": 8000}))
    for model in (whisper_folder, other_rate):
        with pytest.raises(BadInput) as caught:
            AudioEncoder(str(model))
        assert caught.value.code == "judging.unknown_encoder"
    own_code = changed(encoder_folder, tmp_path / "code")
    config = json.loads((own_code / "config.json").read_text())
    config |= {"model_type": "mine", "auto_map": {"AutoConfig": "mine.MyConfig", "AutoModel": "mine.MyModel"}}
    (own_code / "config.json").write_text(json.dumps(config))
    (own_code / "mine.py").write_text(f"open({str(tmp_path / 'run')!r}, 'w').close()\n")
    with pytest.raises(BadInput) as caught:
        AudioEncoder(str(own_code))
    assert caught.value.code == "judging.no_model"
    assert not (tmp_path / "run").exists()


def test_the_judge(encoder_folder: Path, tmp_path: Path, noise) -> None:
    judge = pickle.loads(pickle.dumps(EmotionLikeness(str(encoder_folder))))
    assert judge.missing() is None
    assert judge.pin.settings["pooling"] == "mean"
    write_audio(tmp_path / "clip.wav", noise(0.5), RATE)
    write_audio(tmp_path / "true.wav", noise(0.7, 5), RATE)
    write_audio(tmp_path / "tiny.wav", noise(0.02), RATE)

    def asked(clip: str, **files: str):
        subject = Subject(
            BenchmarkItem(id="one"), tmp_path / clip, {role: tmp_path / name for role, name in files.items()}
        )
        return judge.score(subject)["emo_sim"]

    assert asked("clip.wav", reference="clip.wav").value == pytest.approx(1, abs=1e-6)
    assert asked("clip.wav", reference="true.wav").value < 1
    assert asked("clip.wav", voice="true.wav").blame == "item"
    assert asked("clip.wav", reference="tiny.wav").blame == "item"
    assert asked("tiny.wav", reference="true.wav").blame == "clip"
    assert judge.when_failed(BenchmarkItem(id="one"))["emo_sim"].blame == "item"
    assert "full.emotion" in EmotionLikeness(None).missing()
