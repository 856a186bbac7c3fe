"""EmoFAN: emotion from a face through a face-alignment network.

Toisoul et al., "Estimation of continuous valence and arousal levels from faces in naturalistic conditions", Nature
Machine Intelligence 3, 2021. A stack of two hourglasses (Bulat and Tzimiropoulos, "How far are we from solving the 2D &
3D face alignment problem?", 2017) finds 68 heatmaps; their sum says where the face is, and what the hourglasses saw
there goes through four further blocks down to one vector a face.

    [N, 3, 256, 256] -> stem -> [N, 256, 64, 64] -> 2 hourglasses -> concatenated [N, 768, 64, 64] -> [N, 256]

Parameter names are those of the public checkpoints ``emonet_8.pth`` and ``emonet_5.pth``, read from their published
code; the classifier ``emo_fc_2.*`` on top is not run. What is *not* established: the dubbing papers only say "256-d
face features from EmoFAN". We give the vector in front of that classifier, the network's only vector of 256 numbers;
neither the key list nor the figures could be compared with a real checkpoint here.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

SIDE = 256
LANDMARKS = 68
WIDTH = 256
STACKS = 2
HOURGLASS_DEPTH = 4
EMOTION_BLOCKS = 4

IGNORED = ("emo_fc_2.",)


class EmoFan(nn.Module):
    """[N, 3, 256, 256] RGB in 0..1 to [N, 256]."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 64, 7, stride=2, padding=3)
        self.bn1 = nn.BatchNorm2d(64)
        self.conv2 = _Block(64, 128)
        self.conv3 = _Block(128, 128)
        self.conv4 = _Block(128, WIDTH)
        for stack in range(STACKS):
            self.add_module(f"m{stack}", _Hourglass())
            self.add_module(f"top_m_{stack}", _Block(WIDTH, WIDTH))
            self.add_module(f"conv_last{stack}", nn.Conv2d(WIDTH, WIDTH, 1))
            self.add_module(f"bn_end{stack}", nn.BatchNorm2d(WIDTH))
            self.add_module(f"l{stack}", nn.Conv2d(WIDTH, LANDMARKS, 1))
            if stack < STACKS - 1:
                self.add_module(f"bl{stack}", nn.Conv2d(WIDTH, WIDTH, 1))
                self.add_module(f"al{stack}", nn.Conv2d(LANDMARKS, WIDTH, 1))
        self.conv1x1_input_emo_2 = nn.Conv2d(WIDTH * (STACKS + 1), WIDTH, 1)
        self.emo_net_2 = nn.Sequential(
            *(layer for _ in range(EMOTION_BLOCKS) for layer in (_Block(WIDTH, WIDTH), nn.MaxPool2d(2)))
        )

    def forward(self, faces: Tensor) -> Tensor:
        stem = functional.relu(self.bn1(self.conv1(faces)))
        stem = functional.max_pool2d(self.conv2(stem), 2)
        stem = self.conv4(self.conv3(stem))
        seen, heatmaps = self._align(stem)
        attention = heatmaps.sum(dim=1, keepdim=True)
        joined = torch.cat([stem, *(features * attention for features in seen)], dim=1)
        emotion = self.emo_net_2(self.conv1x1_input_emo_2(joined))
        # Four by four places are left of 256 pixels; their mean is the vector.
        vector: Tensor = emotion.mean(dim=(2, 3))
        return vector

    def _align(self, stem: Tensor) -> tuple[list[Tensor], Tensor]:
        """What each hourglass hands on, [N, 256, 64, 64] each, and the last one's heatmaps [N, 68, 64, 64]."""
        part = self.get_submodule
        seen: list[Tensor] = []
        current, heatmaps = stem, stem
        for stack in range(STACKS):
            features = part(f"top_m_{stack}")(part(f"m{stack}")(current))
            features = functional.relu(part(f"bn_end{stack}")(part(f"conv_last{stack}")(features)))
            heatmaps = part(f"l{stack}")(features)
            if stack < STACKS - 1:
                features = part(f"bl{stack}")(features)
                current = current + features + part(f"al{stack}")(heatmaps)
            seen.append(features)
        return seen, heatmaps


class _Block(nn.Module):
    """Half, a quarter and a quarter of the channels from three convolutions in a row, side by side, plus the input."""

    def __init__(self, before: int, channels: int) -> None:
        super().__init__()
        half, quarter = channels // 2, channels // 4
        self.bn1 = nn.BatchNorm2d(before)
        self.conv1 = nn.Conv2d(before, half, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(half)
        self.conv2 = nn.Conv2d(half, quarter, 3, padding=1, bias=False)
        self.bn3 = nn.BatchNorm2d(quarter)
        self.conv3 = nn.Conv2d(quarter, quarter, 3, padding=1, bias=False)
        self.downsample: nn.Module = nn.Identity()
        if before != channels:
            self.downsample = nn.Sequential(
                nn.BatchNorm2d(before), nn.ReLU(), nn.Conv2d(before, channels, 1, bias=False)
            )

    def forward(self, inputs: Tensor) -> Tensor:
        first = self.conv1(functional.relu(self.bn1(inputs)))
        second = self.conv2(functional.relu(self.bn2(first)))
        third = self.conv3(functional.relu(self.bn3(second)))
        carried: Tensor = torch.cat([first, second, third], dim=1) + self.downsample(inputs)
        return carried


class _Hourglass(nn.Module):
    """Down four octaves and up again, with a side branch at every octave; levels count down from the outside."""

    def __init__(self) -> None:
        super().__init__()
        for level in range(HOURGLASS_DEPTH, 0, -1):
            for branch in ("b1", "b2", "b3"):
                self.add_module(f"{branch}_{level}", _Block(WIDTH, WIDTH))
        self.b2_plus_1 = _Block(WIDTH, WIDTH)

    def forward(self, inputs: Tensor) -> Tensor:
        return self._level(HOURGLASS_DEPTH, inputs)

    def _level(self, level: int, inputs: Tensor) -> Tensor:
        part = self.get_submodule
        side = part(f"b1_{level}")(inputs)
        lower = part(f"b2_{level}")(functional.max_pool2d(inputs, 2))
        lower = self._level(level - 1, lower) if level > 1 else self.b2_plus_1(lower)
        lower = part(f"b3_{level}")(lower)
        raised: Tensor = side + functional.interpolate(lower, scale_factor=2, mode="nearest")
        return raised
