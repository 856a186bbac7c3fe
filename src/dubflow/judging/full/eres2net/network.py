"""ERes2Net (Chen, Zheng, Wang, Cheng, Chen and Qi, Interspeech 2023), under the names of its published weights.

A residual network of four stages on log-mel energies as a one-channel picture ``[bands, frames]``. In a block the
channels are split and convolved one after the other, each with what the one before made of its own (Res2Net); in the
last two stages, and between the outputs of stages, what meets is weighed by attention (``fuse``: local and global
feature fusion). Mean and standard deviation over time of the last picture give the vector.

Published by 3D-Speaker (Apache-2.0): ``speech_eres2net_sv_en_voxceleb_16k``, 6.61 million parameters, and
``speech_eres2net_sv_zh-cn_16k-common`` (there "huge"), 55 million; both 192-dimensional.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from dubflow.judging.full.eres2net.fbank import BANDS

Variant = Literal["en-voxceleb", "zh-cn-common"]

DIMENSIONS = 192
BLOCKS = (3, 4, 6, 3)
HALVINGS = 3
"""Stages that halve time (and bands): the last picture has ``ceil(frames / 8)`` columns."""
_VARIANCE_FLOOR = 1e-8


@dataclass(frozen=True)
class Layout:
    """What differs between the published networks.

    Attributes:
        channels: of the first stage; each next has twice as many.
        expansion: of a block's output over its stage's channels.
        split: parts that a block's channels are split into.
        width: channels of a part, in 64ths of the stage's.
    """

    channels: int
    expansion: int
    split: int
    width: int


LAYOUTS: dict[Variant, Layout] = {
    "en-voxceleb": Layout(channels=32, expansion=2, split=2, width=32),
    "zh-cn-common": Layout(channels=64, expansion=4, split=3, width=24),
}


class Fusion(nn.Module):
    """Two pictures ``[B, C, bands, frames]`` into one, each weighed by what both show (attentional feature fusion)."""

    def __init__(self, channels: int, reduction: int = 4) -> None:
        super().__init__()
        inner = channels // reduction
        self.local_att = nn.Sequential(
            nn.Conv2d(2 * channels, inner, 1),
            nn.BatchNorm2d(inner),
            nn.SiLU(),
            nn.Conv2d(inner, channels, 1),
            nn.BatchNorm2d(channels),
        )

    def forward(self, first: Tensor, second: Tensor) -> Tensor:
        """Weights lie between 0 and 2 and add up to 2."""
        lean = torch.tanh(self.local_att(torch.cat((first, second), dim=1)))
        return first * (1 + lean) + second * (1 - lean)


class Block(nn.Module):
    """A residual block; ``fused`` ones weigh a part against the one before instead of adding them."""

    def __init__(self, entering: int, planes: int, stride: int, layout: Layout, *, fused: bool) -> None:
        super().__init__()
        self.width = planes * layout.width // 64
        inner, leaving = self.width * layout.split, planes * layout.expansion
        self.conv1 = nn.Conv2d(entering, inner, 1, stride, bias=False)
        self.bn1 = nn.BatchNorm2d(inner)
        self.convs = nn.ModuleList(
            nn.Conv2d(self.width, self.width, 3, padding=1, bias=False) for _ in range(layout.split)
        )
        self.bns = nn.ModuleList(nn.BatchNorm2d(self.width) for _ in range(layout.split))
        self.fuse_models = nn.ModuleList(Fusion(self.width) for _ in range(layout.split - 1) if fused)
        self.conv3 = nn.Conv2d(inner, leaving, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(leaving)
        self.shortcut = nn.Sequential()
        if stride != 1 or entering != leaving:
            self.shortcut = nn.Sequential(nn.Conv2d(entering, leaving, 1, stride, bias=False), nn.BatchNorm2d(leaving))

    def forward(self, picture: Tensor) -> Tensor:
        """``[B, entering, bands, frames]`` to ``[B, leaving, bands / stride, frames / stride]``."""
        parts = torch.split(_clipped(self.bn1(self.conv1(picture))), self.width, dim=1)
        made: list[Tensor] = []
        for index, part in enumerate(parts):
            heard = part
            if made:
                heard = self.fuse_models[index - 1](made[-1], part) if len(self.fuse_models) else made[-1] + part
            made.append(_clipped(self.bns[index](self.convs[index](heard))))
        return _clipped(self.bn3(self.conv3(torch.cat(made, dim=1))) + self.shortcut(picture))


class ERes2Net(nn.Module):
    """Log-mel energies to the vector of a voice."""

    def __init__(self, layout: Layout) -> None:
        super().__init__()
        channels, expansion = layout.channels, layout.expansion
        self.conv1 = nn.Conv2d(1, channels, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(channels)
        planes = [channels * 2**stage for stage in range(len(BLOCKS))]
        entering = [channels, *(expansion * one for one in planes[:-1])]
        self.layer1, self.layer2, self.layer3, self.layer4 = (
            _stage(entering[stage], planes[stage], count, layout, stride=2 if stage else 1, fused=stage >= 2)
            for stage, count in enumerate(BLOCKS)
        )
        leaving = [expansion * one for one in planes]
        self.layer1_downsample, self.layer2_downsample, self.layer3_downsample = (
            nn.Conv2d(here, there, 3, 2, padding=1, bias=False) for here, there in pairwise(leaving)
        )
        self.fuse_mode12, self.fuse_mode123, self.fuse_mode1234 = (Fusion(one) for one in leaving[1:])
        self.seg_1 = nn.Linear(2 * leaving[-1] * (BANDS // 2**HALVINGS), DIMENSIONS)

    def forward(self, features: Tensor) -> Tensor:
        """``[B, frames, 80]``, without their mean over time, to ``[B, 192]``; at least 9 frames (two last columns,
        of which there is a deviation)."""
        first = self.layer1(F.relu(self.bn1(self.conv1(features.transpose(1, 2)[:, None]))))
        second = self.layer2(first)
        third = self.layer3(second)
        fused = self.fuse_mode12(second, self.layer1_downsample(first))
        fused = self.fuse_mode123(third, self.layer2_downsample(fused))
        fused = self.fuse_mode1234(self.layer4(third), self.layer3_downsample(fused))
        deviation = torch.sqrt(fused.var(dim=-1) + _VARIANCE_FLOOR)
        vector: Tensor = self.seg_1(torch.cat((fused.mean(dim=-1).flatten(1), deviation.flatten(1)), dim=1))
        return vector


def _stage(entering: int, planes: int, count: int, layout: Layout, *, stride: int, fused: bool) -> nn.Sequential:
    first = Block(entering, planes, stride, layout, fused=fused)
    others = (Block(planes * layout.expansion, planes, 1, layout, fused=fused) for _ in range(count - 1))
    return nn.Sequential(first, *others)


def _clipped(values: Tensor) -> Tensor:
    """The blocks' rectifier, which lets nothing beyond 20 through."""
    return values.clamp(0, 20)
