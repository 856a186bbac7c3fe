"""Laws of the network and of what it is shown, whatever its weights are."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from dubflow.errors import BadInput
from dubflow.judging.phone_judge.facts import PhoneNetworkSettings
from dubflow.judging.phone_judge.hearing import RANGE_DB, spectrogram
from dubflow.judging.phone_judge.network import STRIDE, PhoneNetwork, best_path

SMALL = PhoneNetworkSettings(width=16, blocks=2, kernel=5)


@pytest.fixture(scope="module")
def network() -> PhoneNetwork:
    torch.manual_seed(3)
    return PhoneNetwork(SMALL, 7).eval()


def speechlike(samples: int, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    tones = np.sin(2 * np.pi * np.cumsum(rng.uniform(100, 3000, samples // 800 + 1).repeat(800)[:samples]) / 16_000)
    return (0.3 * tones * rng.uniform(0, 1, samples // 800 + 1).repeat(800)[:samples]).astype(np.float32)


def test_probabilities_of_every_frame_sum_to_one(network: PhoneNetwork) -> None:
    told, lengths = network(torch.randn(2, 80, 31), torch.tensor([31, 20]))
    assert told.shape == (2, 16, 7)
    assert lengths.tolist() == [16, 10]
    torch.testing.assert_close(told.exp().sum(-1), torch.ones(2, 16))


def test_an_item_is_heard_the_same_whatever_lies_beside_and_behind_it(network: PhoneNetwork) -> None:
    one, other = torch.randn(1, 80, 41), torch.randn(1, 80, 90)
    alone, lengths = network(one, torch.tensor([41]))
    padded = torch.full((2, 80, 90), 9.0)
    padded[0, :, :41], padded[1] = one[0], other[0]
    together, _ = network(padded, torch.tensor([41, 90]))
    torch.testing.assert_close(together[0, : lengths[0]], alone[0], atol=1e-5, rtol=1e-4)


def test_the_best_path() -> None:
    path = torch.tensor([0, 3, 3, 0, 3, 1, 1, 0, 0, 2])
    assert best_path(torch.nn.functional.one_hot(path, 4).float()) == [3, 3, 1, 2]
    assert best_path(torch.zeros(0, 4)) == []


@pytest.mark.parametrize("gain", [0.02, 0.5, 3.0])
def test_level_is_taken_out_as_long_as_there_is_something(gain: float) -> None:
    wave = speechlike(12_000)
    np.testing.assert_allclose(spectrogram(wave * np.float32(gain)), spectrogram(wave), atol=0.02)


def test_near_silence_is_not_raised() -> None:
    rng = np.random.default_rng(1)
    loud, faint = (spectrogram((level * rng.standard_normal(8_000)).astype(np.float32)) for level in (0.1, 1e-5))
    assert faint.max() < loud.max() - 1
    assert np.ptp(spectrogram(np.zeros(8_000, np.float32))) == 0
    assert np.ptp(loud) <= RANGE_DB


@pytest.mark.parametrize("samples", [0, 1, 199, 200, 201, 4_001])
def test_frames_of_any_length(network: PhoneNetwork, samples: int) -> None:
    picture = spectrogram(speechlike(samples))
    assert picture.shape == (80, -(-samples // 200))
    if samples:
        told, lengths = network(torch.from_numpy(picture)[None], torch.tensor([picture.shape[1]]))
        assert told.shape[1] == lengths[0] == -(-picture.shape[1] // STRIDE)


def test_bad_audio_is_refused() -> None:
    with pytest.raises(BadInput) as caught:
        spectrogram(np.array([0.0, np.nan], np.float32))
    assert caught.value.code == "judging.bad_waveform"


def test_an_even_kernel_has_no_middle() -> None:
    with pytest.raises(ValueError, match="odd"):
        PhoneNetworkSettings(kernel=4)
