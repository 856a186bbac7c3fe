"""Inception v3 as FID has it, in the layout of ``pt_inception-2015-12-05``.

Szegedy et al., "Rethinking the Inception architecture", 2016; the weights are TensorFlow's of 2015 (1,008 classes) that
Heusel et al., 2017 defined FID by, ported by pytorch-fid. Beside the usual network, as that port found it to be: means
over 3x3 don't count the zeros around the picture, and the last block takes a maximum where all others take a mean.

    [N, 3, 299, 299] RGB in -1..1 -> [N, 2048, 8, 8] -> mean -> [N, 2048]
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

DIMENSIONS = 2048
CLASSES = 1008
SIDE = 299

Kernel = int | tuple[int, int]
Pool = Literal["mean", "maximum"]


class FidInception(nn.Module):
    """Names of the parameters are the published ones; the classifier (``fc``) is loaded and not used."""

    def __init__(self) -> None:
        super().__init__()
        self.Conv2d_1a_3x3 = _Unit(3, 32, 3, stride=2)
        self.Conv2d_2a_3x3 = _Unit(32, 32, 3)
        self.Conv2d_2b_3x3 = _Unit(32, 64, 3, padding=1)
        self.Conv2d_3b_1x1 = _Unit(64, 80, 1)
        self.Conv2d_4a_3x3 = _Unit(80, 192, 3)
        self.Mixed_5b = _Wide(192, 32)
        self.Mixed_5c = _Wide(256, 64)
        self.Mixed_5d = _Wide(288, 64)
        self.Mixed_6a = _Halving(288)
        self.Mixed_6b = _Long(128)
        self.Mixed_6c = _Long(160)
        self.Mixed_6d = _Long(160)
        self.Mixed_6e = _Long(192)
        self.Mixed_7a = _HalvingAgain()
        self.Mixed_7b = _Split(1280, "mean")
        self.Mixed_7c = _Split(2048, "maximum")
        self.fc = nn.Linear(DIMENSIONS, CLASSES)

    def forward(self, pictures: Tensor) -> Tensor:
        maps = self.Conv2d_2b_3x3(self.Conv2d_2a_3x3(self.Conv2d_1a_3x3(pictures)))
        maps = functional.max_pool2d(maps, 3, 2)
        maps = functional.max_pool2d(self.Conv2d_4a_3x3(self.Conv2d_3b_1x1(maps)), 3, 2)
        maps = self.Mixed_5d(self.Mixed_5c(self.Mixed_5b(maps)))
        maps = self.Mixed_6e(self.Mixed_6d(self.Mixed_6c(self.Mixed_6b(self.Mixed_6a(maps)))))
        maps = self.Mixed_7c(self.Mixed_7b(self.Mixed_7a(maps)))
        features: Tensor = maps.mean(dim=(2, 3))
        return features


class _Unit(nn.Module):
    def __init__(self, before: int, channels: int, kernel: Kernel, stride: int = 1, padding: Kernel = 0) -> None:
        super().__init__()
        self.conv = nn.Conv2d(before, channels, kernel, stride, padding, bias=False)
        self.bn = nn.BatchNorm2d(channels, eps=0.001)

    def forward(self, maps: Tensor) -> Tensor:
        return functional.relu(self.bn(self.conv(maps)))


class _Wide(nn.Module):
    """A: 35 by 35."""

    def __init__(self, before: int, pooled: int) -> None:
        super().__init__()
        self.branch1x1 = _Unit(before, 64, 1)
        self.branch5x5_1 = _Unit(before, 48, 1)
        self.branch5x5_2 = _Unit(48, 64, 5, padding=2)
        self.branch3x3dbl_1 = _Unit(before, 64, 1)
        self.branch3x3dbl_2 = _Unit(64, 96, 3, padding=1)
        self.branch3x3dbl_3 = _Unit(96, 96, 3, padding=1)
        self.branch_pool = _Unit(before, pooled, 1)

    def forward(self, maps: Tensor) -> Tensor:
        five = self.branch5x5_2(self.branch5x5_1(maps))
        twice = self.branch3x3dbl_3(self.branch3x3dbl_2(self.branch3x3dbl_1(maps)))
        return torch.cat([self.branch1x1(maps), five, twice, self.branch_pool(pooled(maps, "mean"))], 1)


class _Halving(nn.Module):
    """B: to 17 by 17."""

    def __init__(self, before: int) -> None:
        super().__init__()
        self.branch3x3 = _Unit(before, 384, 3, stride=2)
        self.branch3x3dbl_1 = _Unit(before, 64, 1)
        self.branch3x3dbl_2 = _Unit(64, 96, 3, padding=1)
        self.branch3x3dbl_3 = _Unit(96, 96, 3, stride=2)

    def forward(self, maps: Tensor) -> Tensor:
        twice = self.branch3x3dbl_3(self.branch3x3dbl_2(self.branch3x3dbl_1(maps)))
        return torch.cat([self.branch3x3(maps), twice, functional.max_pool2d(maps, 3, 2)], 1)


class _Long(nn.Module):
    """C: 17 by 17, in rows and columns of seven."""

    def __init__(self, inner: int) -> None:
        super().__init__()
        row, column = (1, 7), (7, 1)
        along, down = (0, 3), (3, 0)
        self.branch1x1 = _Unit(768, 192, 1)
        self.branch7x7_1 = _Unit(768, inner, 1)
        self.branch7x7_2 = _Unit(inner, inner, row, padding=along)
        self.branch7x7_3 = _Unit(inner, 192, column, padding=down)
        self.branch7x7dbl_1 = _Unit(768, inner, 1)
        self.branch7x7dbl_2 = _Unit(inner, inner, column, padding=down)
        self.branch7x7dbl_3 = _Unit(inner, inner, row, padding=along)
        self.branch7x7dbl_4 = _Unit(inner, inner, column, padding=down)
        self.branch7x7dbl_5 = _Unit(inner, 192, row, padding=along)
        self.branch_pool = _Unit(768, 192, 1)

    def forward(self, maps: Tensor) -> Tensor:
        once = self.branch7x7_3(self.branch7x7_2(self.branch7x7_1(maps)))
        twice = self.branch7x7dbl_3(self.branch7x7dbl_2(self.branch7x7dbl_1(maps)))
        twice = self.branch7x7dbl_5(self.branch7x7dbl_4(twice))
        return torch.cat([self.branch1x1(maps), once, twice, self.branch_pool(pooled(maps, "mean"))], 1)


class _HalvingAgain(nn.Module):
    """D: to 8 by 8."""

    def __init__(self) -> None:
        super().__init__()
        self.branch3x3_1 = _Unit(768, 192, 1)
        self.branch3x3_2 = _Unit(192, 320, 3, stride=2)
        self.branch7x7x3_1 = _Unit(768, 192, 1)
        self.branch7x7x3_2 = _Unit(192, 192, (1, 7), padding=(0, 3))
        self.branch7x7x3_3 = _Unit(192, 192, (7, 1), padding=(3, 0))
        self.branch7x7x3_4 = _Unit(192, 192, 3, stride=2)

    def forward(self, maps: Tensor) -> Tensor:
        three = self.branch3x3_2(self.branch3x3_1(maps))
        seven = self.branch7x7x3_3(self.branch7x7x3_2(self.branch7x7x3_1(maps)))
        return torch.cat([three, self.branch7x7x3_4(seven), functional.max_pool2d(maps, 3, 2)], 1)


class _Split(nn.Module):
    """E: 8 by 8, branches that end in a row beside a column."""

    def __init__(self, before: int, pool: Pool) -> None:
        super().__init__()
        self._pool: Pool = pool
        self.branch1x1 = _Unit(before, 320, 1)
        self.branch3x3_1 = _Unit(before, 384, 1)
        self.branch3x3_2a = _Unit(384, 384, (1, 3), padding=(0, 1))
        self.branch3x3_2b = _Unit(384, 384, (3, 1), padding=(1, 0))
        self.branch3x3dbl_1 = _Unit(before, 448, 1)
        self.branch3x3dbl_2 = _Unit(448, 384, 3, padding=1)
        self.branch3x3dbl_3a = _Unit(384, 384, (1, 3), padding=(0, 1))
        self.branch3x3dbl_3b = _Unit(384, 384, (3, 1), padding=(1, 0))
        self.branch_pool = _Unit(before, 192, 1)

    def forward(self, maps: Tensor) -> Tensor:
        once = self.branch3x3_1(maps)
        twice = self.branch3x3dbl_2(self.branch3x3dbl_1(maps))
        branches = [
            self.branch1x1(maps),
            self.branch3x3_2a(once),
            self.branch3x3_2b(once),
            self.branch3x3dbl_3a(twice),
            self.branch3x3dbl_3b(twice),
            self.branch_pool(pooled(maps, self._pool)),
        ]
        return torch.cat(branches, 1)


def pooled(maps: Tensor, kind: Pool) -> Tensor:
    """``[N, C, H, W]`` over 3x3 around each place, nothing counted beyond the edge."""
    if kind == "maximum":
        return functional.max_pool2d(maps, 3, 1, padding=1)
    return functional.avg_pool2d(maps, 3, 1, padding=1, count_include_pad=False)
