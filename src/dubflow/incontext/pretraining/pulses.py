r"""The sound that a vocoder is taught: pulse after pulse, each with the magnitudes of its spectrogram's frame.

A vocoder that sees nothing but a spectrogram cannot know where in its period a voice is: while a vowel stands still,
what it says must repeat with the spectrogram's hop. Taught with recordings, a small one therefore learns to whisper. So
it is taught sound that does repeat with the hop, pulses of zero phase,

.. math:: y(t) = \sum_k \sum_{j<p} h_k(t - k H - j H / p), \quad h_k = \mathcal{F}^{-1}\{\bar m_k\},

one, two or three a hop *H* of 10 ms, whichever is nearest to the speaker's voice, with magnitudes smoothed over the
distance of their harmonics. Voices keep their timbre and their register and lose their melody. Sound that is linear in
magnitudes is learnt quickly; pulses of minimum phase, with noise where nobody's voice sounds, were not learnt in 350
steps.
"""

from __future__ import annotations

import math
from functools import cache

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from dubflow.incontext.backbone.geometry import Geometry
from dubflow.incontext.backbone.mel import FLOOR, TRANSFORM, mel_filters
from dubflow.speech.prosody import pitch

MOST_A_HOP = 3
LOUDNESS = 1.2
"""With which the sound has the spectrogram that it is made from, on average; measured."""
_HIGHEST_HZ = 400.0
_LEAST_VOICED = 5
_QUIETEST = -14.0
_FALL = 0.25
"""Nepers of a bin above the highest band."""


def pulses_a_hop(sound: NDArray[np.float32], geometry: Geometry) -> int:
    """How many pulses a hop are nearest to the pitch of a voice: 1 to 3. ``sound`` at ``geometry.sample_rate``."""
    hop_s = geometry.hop / geometry.sample_rate
    times = np.arange(len(sound) // geometry.hop) * hop_s
    found = pitch(sound, geometry.sample_rate, times, highest_hz=_HIGHEST_HZ)
    voiced = found.hz[found.voiced]
    if len(voiced) < _LEAST_VOICED:
        return 1
    return int(np.clip(round(float(np.median(voiced)) * hop_s), 1, MOST_A_HOP))


def pulsed(mel: Tensor, count: int, geometry: Geometry, rate: int) -> Tensor:
    """The sound of a log-mel spectrogram ``[T, bins]``: ``[T * hop]`` samples at ``rate``, ``count`` pulses a hop."""
    hop = geometry.hop * rate // geometry.sample_rate
    size = TRANSFORM * rate // geometry.sample_rate
    response = torch.fft.fftshift(torch.fft.irfft(_magnitudes(mel, geometry, size, count), size), dim=-1)
    response = response * torch.hann_window(size, dtype=response.dtype)
    frames = len(mel)
    sound = torch.zeros(frames * hop + 2 * size, dtype=response.dtype)
    for pulse in range(count):
        first = pulse * hop // count + size - size // 2
        whole = torch.nn.functional.fold(
            response.T[None], (1, (frames - 1) * hop + size), (1, size), stride=(1, hop)
        ).flatten()
        sound[first : first + len(whole)] += whole
    return (LOUDNESS * sound[size : size + frames * hop]).float()


def _magnitudes(mel: Tensor, geometry: Geometry, size: int, count: int) -> Tensor:
    """Magnitudes ``[T, size // 2 + 1]``: straight lines of logarithms between bands, without the voice's harmonics."""
    filters = mel_filters(geometry.mel_bins, TRANSFORM, geometry.sample_rate).double()
    levels = mel.double().clamp(min=math.log(FLOOR)) - filters.sum(dim=1).log()
    magnitudes = (levels @ _lines(geometry, size).T + _falling(size)).clamp(min=_QUIETEST).exp()
    reach = round(count * TRANSFORM / geometry.hop / 2)
    around = torch.nn.functional.pad(magnitudes[:, None], (reach, reach), mode="replicate")
    return torch.nn.functional.avg_pool1d(around, 2 * reach + 1, stride=1)[:, 0]


@cache
def _lines(geometry: Geometry, size: int) -> Tensor:
    filters = mel_filters(geometry.mel_bins, TRANSFORM, geometry.sample_rate).double().numpy()
    centres = filters @ np.arange(filters.shape[1]) / filters.sum(axis=1)
    bins = np.arange(size // 2 + 1)
    each = [np.interp(bins, centres, row) for row in np.eye(geometry.mel_bins)]
    return torch.from_numpy(np.stack(each, axis=1))


@cache
def _falling(size: int) -> Tensor:
    above = torch.arange(size // 2 + 1, dtype=torch.float64) - (TRANSFORM // 2 - 8)
    return -_FALL * above.clamp(min=0).clamp(max=24)
