"""The residual networks of ArcFace in the layout of its published weights (``arcface_torch``, ``backbone.pth``).

Deng et al., "ArcFace", 2019, and Duta et al., "Improved residual networks", 2020: blocks of batch norm, 3x3
convolution, batch norm, PReLU, 3x3 convolution, batch norm. Shapes (N faces):

    [N, 3, 112, 112] RGB in -1..1 -> four stages, each of half the side -> [N, 512, 7, 7] -> linear -> [N, 512]
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import torch
from torch import Tensor, nn

DIMENSIONS = 512
STAGES = (64, 128, 256, 512)
DEPTHS: Final[Mapping[str, tuple[int, int, int, int]]] = {
    "iresnet18": (2, 2, 2, 2),
    "iresnet34": (3, 4, 6, 3),
    "iresnet50": (3, 4, 14, 3),
    "iresnet100": (3, 13, 30, 3),
    "iresnet200": (6, 26, 60, 6),
}
"""Blocks of each stage, by the published names (r18, r34, r50, r100, r200)."""


class IResNet(nn.Module):
    """``[N, 3, 112, 112]`` to ``[N, 512]``, not of length 1."""

    def __init__(self, depth: tuple[int, int, int, int]) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, STAGES[0], 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(STAGES[0])
        self.prelu = nn.PReLU(STAGES[0])
        before = STAGES[0]
        for number, (channels, blocks) in enumerate(zip(STAGES, depth, strict=True), start=1):
            rest = (_Block(channels, channels, 1) for _ in range(blocks - 1))
            self.add_module(f"layer{number}", nn.Sequential(_Block(before, channels, 2), *rest))
            before = channels
        self.bn2 = nn.BatchNorm2d(before)
        self.fc = nn.Linear(before * 7 * 7, DIMENSIONS)
        self.features = nn.BatchNorm1d(DIMENSIONS)

    def forward(self, faces: Tensor) -> Tensor:
        maps = self.prelu(self.bn1(self.conv1(faces)))
        for number in range(1, len(STAGES) + 1):
            maps = self.get_submodule(f"layer{number}")(maps)
        vectors: Tensor = self.features(self.fc(torch.flatten(self.bn2(maps), 1)))
        return vectors


class _Block(nn.Module):
    def __init__(self, before: int, channels: int, stride: int) -> None:
        super().__init__()
        self.bn1 = nn.BatchNorm2d(before)
        self.conv1 = nn.Conv2d(before, channels, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(channels)
        self.prelu = nn.PReLU(channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, stride, padding=1, bias=False)
        self.bn3 = nn.BatchNorm2d(channels)
        self.downsample: nn.Module = nn.Identity()
        if stride != 1:
            self.downsample = nn.Sequential(
                nn.Conv2d(before, channels, 1, stride, bias=False), nn.BatchNorm2d(channels)
            )

    def forward(self, maps: Tensor) -> Tensor:
        inner = self.prelu(self.bn2(self.conv1(self.bn1(maps))))
        added: Tensor = self.bn3(self.conv2(inner)) + self.downsample(maps)
        return added


def variant_of(state: Mapping[str, Tensor]) -> str | None:
    """Which of :data:`DEPTHS` weights are of, by the number of blocks that they name; None for none of them."""
    blocks = tuple(
        len({name.split(".")[1] for name in state if name.startswith(f"layer{number}.")})
        for number in range(1, len(STAGES) + 1)
    )
    return next((name for name, depth in DEPTHS.items() if depth == blocks), None)
