"""The visual front end of LRW lip reading: a 3-D convolution and a ResNet-18.

Martinez et al., "Lipreading Using Temporal Convolutional Networks", ICASSP 2020, section 2; checkpoint
``lrw_resnet18_mstcn_video``, its layout read from the published code and configuration. Shapes (B clips, T frames):

    [B, 1, T, 88, 88] -> conv 5x7x7 stride 1,2,2 -> [B, 64, T, 44, 44] -> max pool 1x3x3 -> [B, 64, T, 22, 22]
    -> every frame through the four stages of ResNet-18 (64, 128, 256, 512) -> mean over the picture -> [B, T, 512]

Parameter names are those of the public checkpoint (``frontend3D.*``, ``trunk.layer{1..4}.*``), whose temporal network
and classifier (``tcn.*``, ``tcn_output.*``) we do not run.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import torch
from torch import Tensor, nn

Activation = Literal["prelu", "relu", "swish"]

# Frames on either side of one that its features see, through the first convolution alone.
TEMPORAL_REACH = 2

IGNORED = ("tcn.", "tcn_output.")

STAGES = (64, 128, 256, 512)


class LipResNet(nn.Module):
    """[B, 1, T, 88, 88] normalised grey pictures to [B, T, 512]."""

    def __init__(self, activation: Activation = "swish") -> None:
        super().__init__()
        self.frontend3D = nn.Sequential(
            nn.Conv3d(1, 64, kernel_size=(5, 7, 7), stride=(1, 2, 2), padding=(TEMPORAL_REACH, 3, 3), bias=False),
            nn.BatchNorm3d(64),
            _activation(activation, 64),
            nn.MaxPool3d(kernel_size=(1, 3, 3), stride=(1, 2, 2), padding=(0, 1, 1)),
        )
        self.trunk = _Trunk(activation)

    def forward(self, pictures: Tensor) -> Tensor:
        stem = self.frontend3D(pictures)
        clips, _, frames, _, _ = stem.shape
        features: Tensor = self.trunk(stem.transpose(1, 2).flatten(0, 1))
        return features.reshape(clips, frames, STAGES[-1])


class _Trunk(nn.Module):
    """[N, 64, 22, 22] to [N, 512]."""

    def __init__(self, activation: Activation) -> None:
        super().__init__()
        before = STAGES[0]
        for number, channels in enumerate(STAGES, start=1):
            stride = 1 if number == 1 else 2
            stage = nn.Sequential(
                _Residual(before, channels, stride, activation), _Residual(channels, channels, 1, activation)
            )
            self.add_module(f"layer{number}", stage)
            before = channels

    def forward(self, pictures: Tensor) -> Tensor:
        for stage in self.children():
            pictures = stage(pictures)
        return pictures.mean(dim=(2, 3))


class _Residual(nn.Module):
    """Two 3x3 convolutions around which the input is carried (He et al., 2016, figure 2)."""

    def __init__(self, before: int, channels: int, stride: int, activation: Activation) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(before, channels, 3, stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(channels)
        self.relu1 = _activation(activation, channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(channels)
        self.relu2 = _activation(activation, channels)
        self.downsample: nn.Module = nn.Identity()
        if stride != 1 or before != channels:
            self.downsample = nn.Sequential(
                nn.Conv2d(before, channels, 1, stride, bias=False), nn.BatchNorm2d(channels)
            )

    def forward(self, pictures: Tensor) -> Tensor:
        inner = self.relu1(self.bn1(self.conv1(pictures)))
        inner = self.bn2(self.conv2(inner))
        carried: Tensor = self.relu2(inner + self.downsample(pictures))
        return carried


def activation_of(weights: Mapping[str, Tensor]) -> Activation:
    """Which activation a checkpoint was trained with, as far as its parameter names tell.

    Only PReLU has parameters. Without them it is swish: the released configuration of this checkpoint says so
    (``relu_type: swish``); plain ReLU leaves the same names and must be asked for.
    """
    return "prelu" if "frontend3D.2.weight" in weights else "swish"


def _activation(kind: Activation, channels: int) -> nn.Module:
    if kind == "prelu":
        return nn.PReLU(num_parameters=channels)
    return nn.ReLU() if kind == "relu" else nn.SiLU()


def normalise(crops: Tensor) -> Tensor:
    """uint8 [T, 96, 96] to float32 [1, 1, T, 88, 88]: the middle of each crop by the data set's mean and deviation."""
    middle = crops[:, 4:92, 4:92].to(torch.float32) / 255.0
    return ((middle - 0.421) / 0.165)[None, None]
