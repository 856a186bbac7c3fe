from __future__ import annotations

import numpy as np
import pytest

from dubflow.errors import BadInput
from dubflow.speech.espeak import EspeakSynthesizer
from dubflow.speech.prosody import SILENCE_DB, energy, pitch
from dubflow.speech.voices import Voice

pytest.importorskip("pyworld")
MIDDLE = np.arange(0.2, 0.8, 0.04)


def tone(hz: float, seconds: float = 1.0, rate: int = 16000, shape: str = "sine") -> np.ndarray:
    phase = np.arange(round(seconds * rate)) / rate * hz
    wave = np.sin(2 * np.pi * phase) if shape == "sine" else 2 * (phase % 1) - 1
    return (0.5 * wave).astype(np.float32)


@pytest.mark.parametrize("shape", ["sine", "sawtooth"])
@pytest.mark.parametrize("hz", [80.0, 123.4, 220.0, 400.0])
@pytest.mark.parametrize("rate", [16000, 22050])
def test_pitch_of_known_tones(hz: float, rate: int, shape: str) -> None:
    found = pitch(tone(hz, rate=rate, shape=shape), rate, MIDDLE)
    assert found.voiced.all()
    assert np.abs(found.hz / hz - 1).max() < 0.02
    assert np.median(np.abs(found.hz / hz - 1)) < 0.008


def test_pitch_follows_a_glide() -> None:
    times = np.arange(32000) / 16000
    wave = np.sin(2 * np.pi * np.cumsum(100 + 50 * times) / 16000)
    at = np.arange(0.3, 1.7, 0.1)
    assert np.abs(pitch(wave, 16000, at).hz - (100 + 50 * at)).max() < 3


def test_noise_and_silence_are_unvoiced() -> None:
    noise = np.random.default_rng(0).normal(0, 0.1, 16000)
    assert pitch(noise, 16000, MIDDLE).voiced.mean() < 0.2
    silent = pitch(np.zeros(16000), 16000, MIDDLE)
    assert not silent.voiced.any()
    assert not silent.hz.any()
    assert not silent.continuous().any()


@pytest.mark.parametrize("length", [0, 1, 10, 79, 80, 400, 1601])
def test_short_audio_is_answered(length: int) -> None:
    found = pitch(np.full(length, 0.1), 16000, [0.0, 0.01, 1.0])
    assert found.hz.shape == (3,)
    assert np.isfinite(found.hz).all()
    assert np.isfinite(energy(np.full(length, 0.1), 16000, [0.0, 0.01, 1.0])).all()


def test_times_outside_the_audio_are_unvoiced_and_silent() -> None:
    wave = tone(200)
    assert pitch(wave, 16000, [-1.0, 0.5, 1.5]).voiced.tolist() == [False, True, False]
    assert energy(wave, 16000, [-1.0, 1.5]).tolist() == [SILENCE_DB, SILENCE_DB]
    assert pitch(wave, 16000, []).hz.size == 0


def test_continuous_pitch_bridges_the_gap() -> None:
    wave = np.concatenate([tone(100, 0.4), np.zeros(3200, np.float32), tone(400, 0.4)])
    found = pitch(wave, 16000, np.arange(0.1, 0.9, 0.1))
    assert not found.voiced.all()
    bridged = found.continuous()
    assert (bridged > 0).all()
    assert np.array_equal(bridged[found.voiced], found.hz[found.voiced])
    assert 150 < bridged[~found.voiced].mean() < 270


def test_energy_of_known_signals() -> None:
    assert energy(2 * tone(200), 16000, MIDDLE) == pytest.approx(-3.01, abs=0.05)
    assert energy(np.full(16000, 0.1), 16000, MIDDLE) == pytest.approx(-20.0)
    assert (energy(np.zeros(16000), 16000, MIDDLE) == SILENCE_DB).all()
    halves = energy(np.repeat([0.1, 0.01], 8000), 16000, [0.25, 0.75])
    assert halves == pytest.approx([-20, -40])


def test_a_higher_voice_is_measured_higher(synthesizer: EspeakSynthesizer) -> None:
    medians = []
    for height in (20, 80):
        said = synthesizer.synthesize("We were away a year ago, you and I.", Voice(pitch=height))
        vowels = [(p.start + p.end) / 2 for p in said.phones if p.label and p.label[0] in "aeiouɑɔəɪʊ"]
        found = pitch(said.waveform, said.sample_rate, vowels)
        assert found.voiced.mean() > 0.8
        medians.append(np.median(found.hz[found.voiced]))
        pauses = [(p.start + p.end) / 2 for p in said.phones if p.silent and p.duration > 0.1]
        levels = energy(said.waveform, said.sample_rate, vowels)
        assert (energy(said.waveform, said.sample_rate, pauses) < levels.min() - 20).all()
    assert medians[1] > 1.5 * medians[0]


@pytest.mark.parametrize("wave", [np.zeros((2, 100)), np.array([0.0, np.nan]), np.array([np.inf])])
def test_bad_audio_is_refused(wave: np.ndarray) -> None:
    for measure in (pitch, energy):
        with pytest.raises(BadInput) as caught:
            measure(wave, 16000, [0.0])
        assert caught.value.code == "speech.bad_waveform"
        with pytest.raises(BadInput):
            measure(np.zeros(10), 16000, [float("nan")])
