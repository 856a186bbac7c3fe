r"""Two towers that put five frames of a mouth and the 0.2 s of sound beside them into one space.

After Chung and Zisserman, "Out of time" (2016), far smaller: the mouth's tower looks at each frame by itself and then
at five in a row, the sound's tower at the log-mel spectrogram of the same 0.2 s. Embeddings have length 1. LSE pads
with zeros, which are at distance 1 from everything; so that padding changes no curve, what has nothing to do with each
other should be at distance 1 too: exactly so where embeddings are centred (:func:`_centred`), roughly where they merely
have no negative parts.

Shapes: B clips, F frames, ``V = F - 4`` windows, D numbers.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

from dubflow.judging.sync_judge.crops import HEIGHT, MEL_FRAMES, WIDTH
from dubflow.judging.sync_judge.facts import SyncSettings
from dubflow.judging.syncnet import WINDOW
from dubflow.speech.mel import MEL_BINS

STILL = 0.1
"""Squared length of what moves in an embedding that counts as little."""


class SyncNetwork(nn.Module):
    """Both towers. Normalisation is over channels within one example, so a batch changes nothing."""

    def __init__(self, settings: SyncSettings) -> None:
        super().__init__()
        self.settings = settings
        mouth, sound = settings.mouth_channels, settings.sound_channels
        self.mouth = _steps(mouth, first=5)
        rows, columns = _after(HEIGHT, len(mouth)), _after(WIDTH, len(mouth))
        self.mouth_frame = nn.Sequential(
            nn.Flatten(), nn.Linear(mouth[-1] * rows * columns, settings.mouth_width), nn.ReLU()
        )
        self.mouth_window = nn.Sequential(
            nn.Conv1d(settings.mouth_width, settings.joined, WINDOW),
            nn.ReLU(),
            nn.Conv1d(settings.joined, settings.dimensions, 1),
        )
        self.sound = _steps(sound, first=3)
        rows, columns = _after(MEL_BINS, len(sound)), _after(MEL_FRAMES, len(sound))
        self.sound_window = nn.Sequential(
            nn.Flatten(),
            nn.Linear(sound[-1] * rows * columns, settings.joined),
            nn.ReLU(),
            nn.Linear(settings.joined, settings.dimensions),
        )
        self.sharpness = nn.Parameter(torch.tensor(2.5))
        """Logarithm of the factor that turns distances into logits; training alone uses it."""

    def see(self, mouths: Tensor) -> Tensor:
        """``[B, V, D]`` of mouths ``[B, F, 48, 56]``."""
        clips, frames = mouths.shape[:2]
        each = self.mouth_frame(self.mouth(mouths.reshape(-1, 1, HEIGHT, WIDTH)))
        return self._embedding(self.mouth_window(each.reshape(clips, frames, -1).transpose(1, 2)).transpose(1, 2), 0)

    def hear(self, sounds: Tensor) -> Tensor:
        """``[B, V, D]`` of spectrograms ``[B, V, 80, 16]``."""
        clips, windows = sounds.shape[:2]
        each = self.sound_window(self.sound(sounds.reshape(-1, 1, MEL_BINS, MEL_FRAMES)))
        return self._embedding(each.reshape(clips, windows, -1), 1)

    def _embedding(self, values: Tensor, tower: int) -> Tensor:
        return _centred(values, tower) if self.settings.centred else _embedding(values)


def _embedding(values: Tensor) -> Tensor:
    # Softplus instead of a rectifier: an embedding of nothing but zeros has no direction and no gradient.
    return normalize(nn.functional.softplus(values, beta=4.0), dim=-1)


def _centred(values: Tensor, tower: int) -> Tensor:
    """Half of the squared length is what differs from the clip's mean, half a number that all embeddings share, so two
    that have nothing to do with each other are at distance 1. What the first half lacks (a sound that never changes)
    goes to a number of the tower's own, which the other tower has at 0."""
    moving = values - values.mean(dim=1, keepdim=True)
    moving = moving * (2.0 * (moving.square().sum(dim=-1, keepdim=True) + STILL)).rsqrt()
    lacking = (0.5 - moving.square().sum(dim=-1, keepdim=True)).clamp_min(1e-9).sqrt()
    own = [lacking, torch.zeros_like(lacking)]
    return torch.cat([moving, torch.full_like(lacking, 0.5**0.5), own[tower], own[1 - tower]], dim=-1)


def _steps(channels: tuple[int, ...], first: int) -> nn.Sequential:
    """Convolutions that halve both sides."""
    layers: list[nn.Module] = []
    before, kernel = 1, first
    for count in channels:
        layers += [nn.Conv2d(before, count, kernel, 2, kernel // 2), nn.GroupNorm(1, count), nn.ReLU()]
        before, kernel = count, 3
    return nn.Sequential(*layers)


def _after(side: int, steps: int) -> int:
    for _ in range(steps):
        side = (side + 1) // 2
    return side
