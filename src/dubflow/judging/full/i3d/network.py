"""I3D of RGB frames in the layout of pytorch-i3d (``rgb_imagenet.pt``), 400 classes of Kinetics.

Carreira and Zisserman, "Quo vadis, action recognition?", 2017: Inception v1 whose filters got a third axis. Shapes
(N stretches of F frames):

    [N, 3, F, 224, 224] in -1..1 -> [N, 1024, ceil(F / 8), 7, 7] -> mean over 2x7x7 -> logits, their mean over
    time -> [N, 400]

Padding is TensorFlow's ``SAME``: as much as makes ceil(length / stride) places, the odd one at the end.
"""

from __future__ import annotations

from typing import Final

import torch
from torch import Tensor, nn
from torch.nn import functional

DIMENSIONS = 400
SIDE = 224
SHORTEST = 9
"""Frames of which two places in time are left to take the mean over."""

Triple = tuple[int, int, int]
_MIXED: Final = {
    "3b": (192, (64, 96, 128, 16, 32, 32)),
    "3c": (256, (128, 128, 192, 32, 96, 64)),
    "4b": (480, (192, 96, 208, 16, 48, 64)),
    "4c": (512, (160, 112, 224, 24, 64, 64)),
    "4d": (512, (128, 128, 256, 24, 64, 64)),
    "4e": (512, (112, 144, 288, 32, 64, 64)),
    "4f": (528, (256, 160, 320, 32, 128, 128)),
    "5b": (832, (256, 160, 320, 32, 128, 128)),
    "5c": (832, (384, 192, 384, 48, 128, 128)),
}
"""Channels before each block, and of its six convolutions (Szegedy et al., 2015, table 1)."""


class I3d(nn.Module):
    """Names of the parameters are the published ones."""

    def __init__(self) -> None:
        super().__init__()
        self.Conv3d_1a_7x7 = _Unit(3, 64, 7, 2)
        self.Conv3d_2b_1x1 = _Unit(64, 64, 1)
        self.Conv3d_2c_3x3 = _Unit(64, 192, 3)
        for name, (before, channels) in _MIXED.items():
            self.add_module(f"Mixed_{name}", _Mixed(before, channels))
        self.logits = _Classifier(1024, DIMENSIONS)

    def forward(self, frames: Tensor) -> Tensor:
        maps = same_max_pool(self.Conv3d_1a_7x7(frames), (1, 3, 3), (1, 2, 2))
        maps = same_max_pool(self.Conv3d_2c_3x3(self.Conv3d_2b_1x1(maps)), (1, 3, 3), (1, 2, 2))
        maps = same_max_pool(self._mixed(maps, "3b", "3c"), (3, 3, 3), (2, 2, 2))
        maps = same_max_pool(self._mixed(maps, "4b", "4c", "4d", "4e", "4f"), (2, 2, 2), (2, 2, 2))
        maps = functional.avg_pool3d(self._mixed(maps, "5b", "5c"), (2, 7, 7), 1)
        logits: Tensor = self.logits(maps)[:, :, :, 0, 0].mean(dim=2)
        return logits

    def _mixed(self, maps: Tensor, *names: str) -> Tensor:
        for name in names:
            maps = self.get_submodule(f"Mixed_{name}")(maps)
        return maps


class _Unit(nn.Module):
    def __init__(self, before: int, channels: int, kernel: int, stride: int = 1) -> None:
        super().__init__()
        self.conv3d = nn.Conv3d(before, channels, kernel, stride, bias=False)
        self.bn = nn.BatchNorm3d(channels, eps=0.001)
        self._kernel, self._stride = (kernel,) * 3, (stride,) * 3

    def forward(self, maps: Tensor) -> Tensor:
        return functional.relu(self.bn(self.conv3d(same_pad(maps, self._kernel, self._stride))))


class _Mixed(nn.Module):
    def __init__(self, before: int, channels: tuple[int, ...]) -> None:
        super().__init__()
        alone, narrow, three, narrower, other, pooled = channels
        self.b0 = _Unit(before, alone, 1)
        self.b1a = _Unit(before, narrow, 1)
        self.b1b = _Unit(narrow, three, 3)
        self.b2a = _Unit(before, narrower, 1)
        self.b2b = _Unit(narrower, other, 3)
        self.b3b = _Unit(before, pooled, 1)

    def forward(self, maps: Tensor) -> Tensor:
        beside = self.b3b(same_max_pool(maps, (3, 3, 3), (1, 1, 1)))
        return torch.cat([self.b0(maps), self.b1b(self.b1a(maps)), self.b2b(self.b2a(maps)), beside], 1)


class _Classifier(nn.Module):
    def __init__(self, before: int, classes: int) -> None:
        super().__init__()
        self.conv3d = nn.Conv3d(before, classes, 1)

    def forward(self, maps: Tensor) -> Tensor:
        logits: Tensor = self.conv3d(maps)
        return logits


def same_pad(maps: Tensor, kernel: Triple, stride: Triple) -> Tensor:
    """``[N, C, T, H, W]`` with zeros around the last three axes."""
    padding: list[int] = []
    for length, width, step in zip(maps.shape[2:], kernel, stride, strict=True):
        total = max((-(-length // step) - 1) * step + width - length, 0)
        padding = [total // 2, total - total // 2, *padding]  # torch counts axes from the last
    return functional.pad(maps, padding) if any(padding) else maps


def same_max_pool(maps: Tensor, kernel: Triple, stride: Triple) -> Tensor:
    """The maximum, the zeros of :func:`same_pad` among what it is taken of, as published (maps are never negative)."""
    return functional.max_pool3d(same_pad(maps, kernel, stride), kernel, stride)
