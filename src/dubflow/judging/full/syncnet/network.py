"""The two streams of SyncNet v2 in the layout of its published weights (``syncnet_v2.model``).

Chung and Zisserman, "Out of time: automated lip sync in the wild", 2016, figure 3, as their second release has it
(colour, 224 pixels, 1024 numbers). Shapes (N windows, F frames):

    heard: [N, 1, 13, 20] -> [N, 512, 1, 1] -> [N, 1024]
    seen: [1, 3, F, 224, 224], BGR, 0 to 255 -> [1, 512, F - 4, 1, 1] -> [F - 4, 1024]

Only the first convolution of the picture looks along time, over 5 frames and without padding, so a whole stretch goes
through at once and every window of five frames comes out as it would alone.
"""

from __future__ import annotations

from torch import Tensor, nn

DIMENSIONS = 1024
_HIDDEN = 512


class SyncNet(nn.Module):
    """Names and order of the parameters are the published ones."""

    def __init__(self) -> None:
        super().__init__()
        self.netcnnaud = nn.Sequential(
            *_heard(1, 64),
            nn.MaxPool2d(1, 1),
            *_heard(64, 192),
            nn.MaxPool2d(3, (1, 2)),
            *_heard(192, 384),
            *_heard(384, 256),
            *_heard(256, 256),
            nn.MaxPool2d(3, 2),
            nn.Conv2d(256, _HIDDEN, (5, 4)),
            nn.BatchNorm2d(_HIDDEN),
            nn.ReLU(),
        )
        self.netfcaud = _head()
        self.netcnnlip = nn.Sequential(
            *_seen(3, 96, (5, 7, 7), stride=2),
            nn.MaxPool3d((1, 3, 3), (1, 2, 2)),
            *_seen(96, 256, (1, 5, 5), stride=2, padding=1),
            nn.MaxPool3d((1, 3, 3), (1, 2, 2), (0, 1, 1)),
            *_seen(256, 256, (1, 3, 3), padding=1),
            *_seen(256, 256, (1, 3, 3), padding=1),
            *_seen(256, 256, (1, 3, 3), padding=1),
            nn.MaxPool3d((1, 3, 3), (1, 2, 2)),
            *_seen(256, _HIDDEN, (1, 6, 6)),
        )
        self.netfclip = _head()

    def hear(self, cepstra: Tensor) -> Tensor:
        """``[N, 1024]`` of windows ``[N, 1, 13, 20]``."""
        found: Tensor = self.netfcaud(self.netcnnaud(cepstra).flatten(1))
        return found

    def see(self, frames: Tensor) -> Tensor:
        """``[F - 4, 1024]`` of one stretch ``[1, 3, F, 224, 224]``."""
        found: Tensor = self.netfclip(self.netcnnlip(frames)[0, :, :, 0, 0].T)
        return found


def _heard(before: int, channels: int) -> tuple[nn.Module, ...]:
    return nn.Conv2d(before, channels, 3, padding=1), nn.BatchNorm2d(channels), nn.ReLU()


def _seen(
    before: int, channels: int, kernel: tuple[int, int, int], stride: int = 1, padding: int = 0
) -> tuple[nn.Module, ...]:
    convolution = nn.Conv3d(before, channels, kernel, (1, stride, stride), (0, padding, padding))
    return convolution, nn.BatchNorm3d(channels), nn.ReLU()


def _head() -> nn.Sequential:
    return nn.Sequential(
        nn.Linear(_HIDDEN, _HIDDEN), nn.BatchNorm1d(_HIDDEN), nn.ReLU(), nn.Linear(_HIDDEN, DIMENSIONS)
    )
