"""The mel spectrogram of the audio autoencoder, against another implementation and known values."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from dubflow.incontext.backbone.geometry import Geometry
from dubflow.incontext.backbone.mel import FLOOR, log_mel, mel_filters


def test_filters_are_slaneys() -> None:
    librosa = pytest.importorskip("librosa")
    theirs = librosa.filters.mel(sr=16000, n_fft=1024, n_mels=64, fmin=0.0, fmax=8000.0, norm="slaney", htk=False)
    np.testing.assert_allclose(mel_filters(64, 1024, 16000).numpy(), theirs, atol=1e-7)


@pytest.mark.slow
def test_a_spectrogram_is_librosas() -> None:
    librosa = pytest.importorskip("librosa")
    sound = np.random.default_rng(0).standard_normal(8000).astype(np.float32) * 0.1
    theirs = librosa.feature.melspectrogram(
        y=sound, sr=16000, n_fft=1024, hop_length=160, n_mels=64, fmax=8000.0, power=1.0, pad_mode="reflect"
    )
    ours = log_mel(torch.from_numpy(sound), Geometry())
    np.testing.assert_allclose(ours.numpy().T, np.log(np.maximum(theirs, FLOOR)), atol=2e-4)


def test_silence_is_the_floor_and_a_frame_is_ten_milliseconds() -> None:
    silence = log_mel(torch.zeros(2, 1600), Geometry())
    assert silence.shape == (2, 11, 64)
    torch.testing.assert_close(silence, torch.full_like(silence, math.log(FLOOR)))


def test_twice_as_loud_is_log_two_more() -> None:
    sound = torch.randn(4000)
    louder = log_mel(2 * sound, Geometry()) - log_mel(sound, Geometry())
    torch.testing.assert_close(louder, torch.full_like(louder, math.log(2.0)), atol=1e-4, rtol=0)
