"""Log-mel spectrograms as LTX-2's audio autoencoder wants them.

16 kHz, Hann window and transform of 1024, hop 160, centred with reflected edges; magnitudes (power 1) through
triangular filters from 0 to 8000 Hz on Slaney's mel scale (linear to 1 kHz, logarithmic above), each of unit area;
natural logarithm of at least 1e-5 (LTX-2, ``audio_vae/ops``). Another scale and another grid than
:mod:`dubflow.speech.mel`.
"""

from __future__ import annotations

import math
from functools import cache

import torch
from torch import Tensor

from dubflow.incontext.backbone.geometry import Geometry

TRANSFORM = 1024
FLOOR = 1e-5
_LINEAR_HZ = 200.0 / 3.0  # of one mel below the break
_BREAK_HZ = 1000.0
_BREAK_MEL = _BREAK_HZ / _LINEAR_HZ
_LOG_STEP = math.log(6.4) / 27.0


def log_mel(waveform: Tensor, geometry: Geometry) -> Tensor:
    """Log-mel spectrogram of ``waveform`` ``[..., N]`` at ``geometry.sample_rate``: ``[..., 1 + N // hop, bins]``."""
    samples = waveform.to(torch.float32)
    flat = samples.reshape(-1, samples.shape[-1])
    window = torch.hann_window(TRANSFORM, device=flat.device)
    spectrum = torch.stft(
        flat, TRANSFORM, geometry.hop, TRANSFORM, window, center=True, pad_mode="reflect", return_complex=True
    )
    filters = mel_filters(geometry.mel_bins, TRANSFORM, geometry.sample_rate).to(flat.device)
    mel = spectrum.abs().transpose(1, 2) @ filters.T
    return mel.clamp(min=FLOOR).log().reshape(*samples.shape[:-1], mel.shape[1], mel.shape[2])


@cache
def mel_filters(bins: int, transform: int, sample_rate: int) -> Tensor:
    """Triangular filters of unit area on Slaney's scale, ``[bins, transform // 2 + 1]`` float32."""
    top = _mel(sample_rate / 2)
    corners = torch.tensor([_hz(top * index / (bins + 1)) for index in range(bins + 2)], dtype=torch.float64)
    hz = torch.linspace(0.0, sample_rate / 2, transform // 2 + 1, dtype=torch.float64)
    rising = (hz - corners[:-2, None]) / (corners[1:-1] - corners[:-2])[:, None]
    falling = (corners[2:, None] - hz) / (corners[2:] - corners[1:-1])[:, None]
    area = 2.0 / (corners[2:] - corners[:-2])
    return (torch.minimum(rising, falling).clamp(min=0.0) * area[:, None]).to(torch.float32)


def _mel(hz: float) -> float:
    return hz / _LINEAR_HZ if hz < _BREAK_HZ else _BREAK_MEL + math.log(hz / _BREAK_HZ) / _LOG_STEP


def _hz(mel: float) -> float:
    return mel * _LINEAR_HZ if mel < _BREAK_MEL else _BREAK_HZ * math.exp((mel - _BREAK_MEL) * _LOG_STEP)
