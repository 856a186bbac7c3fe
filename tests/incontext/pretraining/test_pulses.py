"""Pulses: their number, their period, and that their spectrogram is the one that they are made from."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from dubflow.incontext.backbone.geometry import Geometry
from dubflow.incontext.backbone.mel import log_mel
from dubflow.incontext.pretraining.pulses import pulsed, pulses_a_hop

GEOMETRY = Geometry()
RATE = 24_000


def vowel(pitch: float, seconds: float = 1.0) -> np.ndarray:
    """Harmonics of a pitch that fall by 6 dB an octave."""
    time = np.arange(int(16_000 * seconds)) / 16_000
    tones = [np.sin(2 * np.pi * pitch * n * time) / n for n in range(1, int(7000 / pitch))]
    return (0.05 * np.sum(tones, axis=0)).astype(np.float32)


@pytest.mark.parametrize(("pitch", "count"), [(90, 1), (130, 1), (190, 2), (280, 3), (380, 3)])
def test_as_many_as_are_nearest_to_the_pitch(pitch: float, count: int) -> None:
    assert pulses_a_hop(vowel(pitch), GEOMETRY) == count


def test_one_where_nobody_speaks() -> None:
    assert pulses_a_hop(np.zeros(16_000, np.float32), GEOMETRY) == 1


@pytest.mark.parametrize("count", [1, 2, 3])
def test_of_a_frame_that_stays_they_repeat_with_the_hop(count: int) -> None:
    mel = log_mel(torch.from_numpy(vowel(100.0 * count)), GEOMETRY)
    sound = pulsed(mel[50:51].expand(60, -1), count, GEOMETRY, RATE)
    assert len(sound) == 60 * 240
    middle = sound[20 * 240 : 40 * 240]
    torch.testing.assert_close(middle[240:], middle[:-240], rtol=0, atol=1e-5)
    period = 240 // count
    if 240 % count == 0:
        torch.testing.assert_close(middle[period:], middle[:-period], rtol=0, atol=1e-5)


@pytest.mark.parametrize("count", [1, 2, 3])
def test_their_spectrogram_is_the_one_they_are_made_from(count: int) -> None:
    mel = log_mel(torch.from_numpy(vowel(100.0 * count)), GEOMETRY)
    sound = pulsed(mel, count, GEOMETRY, 16_000)
    again = log_mel(sound, GEOMETRY)[20:80]
    loud = mel[20:80] > mel[20:80].max() - 5
    assert (again - mel[20:80])[loud].mean().abs() < 0.4  # nepers, over all bands
    assert torch.corrcoef(torch.stack([again.mean(dim=0), mel[20:80].mean(dim=0)]))[0, 1] > 0.85


def test_louder_is_louder_by_as_much() -> None:
    mel = log_mel(torch.from_numpy(vowel(120.0)), GEOMETRY)[10:40]
    soft, loud = (pulsed(mel + more, 1, GEOMETRY, RATE) for more in (0.0, 1.0))
    torch.testing.assert_close(loud, float(np.e) * soft, rtol=1e-3, atol=1e-4)
