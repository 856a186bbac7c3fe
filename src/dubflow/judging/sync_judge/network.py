r"""Two towers that put five frames of a mouth and the 0.2 s of sound beside them into one space.

After Chung and Zisserman, "Out of time" (2016), far smaller: the mouth's tower looks at each frame by itself and then
at five in a row, the sound's tower at the log-mel spectrogram of the same 0.2 s. Embeddings have no negative parts and
length 1, so their distances lie between 0 and :math:`\sqrt 2`, and near 1 for what has nothing to do with each other:
there LSE's padding with zeros, which are at distance 1 from everything, changes the curve least.

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
        return _embedding(self.mouth_window(each.reshape(clips, frames, -1).transpose(1, 2)).transpose(1, 2))

    def hear(self, sounds: Tensor) -> Tensor:
        """``[B, V, D]`` of spectrograms ``[B, V, 80, 16]``."""
        clips, windows = sounds.shape[:2]
        each = self.sound_window(self.sound(sounds.reshape(-1, 1, MEL_BINS, MEL_FRAMES)))
        return _embedding(each.reshape(clips, windows, -1))


def _embedding(values: Tensor) -> Tensor:
    # Softplus instead of a rectifier: an embedding of nothing but zeros has no direction and no gradient.
    return normalize(nn.functional.softplus(values, beta=4.0), dim=-1)


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
