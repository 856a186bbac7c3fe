"""Checkpoints in the published layouts, with random values.

The layouts are written out here from the published code, not asked of our networks: that they agree is what the tests
are about.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    import torch

Shapes = dict[str, tuple[int, ...]]


def norm(name: str, channels: int) -> Iterator[tuple[str, tuple[int, ...]]]:
    for part in ("weight", "bias", "running_mean", "running_var"):
        yield f"{name}.{part}", (channels,)
    yield f"{name}.num_batches_tracked", ()


def lip_shapes(slopes: bool) -> Shapes:
    """``lrw_resnet18_mstcn_video``; with ``slopes`` the parameters of PReLU."""
    shapes: Shapes = {"frontend3D.0.weight": (64, 1, 5, 7, 7)}
    shapes.update(norm("frontend3D.1", 64))
    if slopes:
        shapes["frontend3D.2.weight"] = (64,)
    before = 64
    for stage, channels in enumerate((64, 128, 256, 512), start=1):
        for block in range(2):
            name = f"trunk.layer{stage}.{block}"
            inputs = before if block == 0 else channels
            shapes[f"{name}.conv1.weight"] = (channels, inputs, 3, 3)
            shapes[f"{name}.conv2.weight"] = (channels, channels, 3, 3)
            shapes.update(norm(f"{name}.bn1", channels))
            shapes.update(norm(f"{name}.bn2", channels))
            if slopes:
                shapes[f"{name}.relu1.weight"] = shapes[f"{name}.relu2.weight"] = (channels,)
            if block == 0 and stage > 1:
                shapes[f"{name}.downsample.0.weight"] = (channels, inputs, 1, 1)
                shapes.update(norm(f"{name}.downsample.1", channels))
        before = channels
    shapes["tcn.mb_ms_tcn.network.0.cbcr0_0.conv.weight"] = (256, 512, 3)
    shapes["tcn_output.weight"] = (500, 768)
    shapes["tcn_output.bias"] = (500,)
    return shapes


def fan_block(name: str, before: int, channels: int) -> Shapes:
    half, quarter = channels // 2, channels // 4
    shapes: Shapes = {
        f"{name}.conv1.weight": (half, before, 3, 3),
        f"{name}.conv2.weight": (quarter, half, 3, 3),
        f"{name}.conv3.weight": (quarter, quarter, 3, 3),
    }
    for number, width in enumerate((before, half, quarter), start=1):
        shapes.update(norm(f"{name}.bn{number}", width))
    if before != channels:
        shapes.update(norm(f"{name}.downsample.0", before))
        shapes[f"{name}.downsample.2.weight"] = (channels, before, 1, 1)
    return shapes


def convolution(name: str, outputs: int, inputs: int, size: int = 1) -> Shapes:
    return {f"{name}.weight": (outputs, inputs, size, size), f"{name}.bias": (outputs,)}


def emofan_shapes() -> Shapes:
    """``emonet_8``."""
    shapes: Shapes = {}
    shapes.update(convolution("conv1", 64, 3, 7))
    shapes.update(norm("bn1", 64))
    shapes.update({**fan_block("conv2", 64, 128), **fan_block("conv3", 128, 128), **fan_block("conv4", 128, 256)})
    for stack in range(2):
        for level in (4, 3, 2, 1):
            for branch in ("b1", "b2", "b3"):
                shapes.update(fan_block(f"m{stack}.{branch}_{level}", 256, 256))
        shapes.update(fan_block(f"m{stack}.b2_plus_1", 256, 256))
        shapes.update(fan_block(f"top_m_{stack}", 256, 256))
        shapes.update(convolution(f"conv_last{stack}", 256, 256))
        shapes.update(norm(f"bn_end{stack}", 256))
        shapes.update(convolution(f"l{stack}", 68, 256))
    shapes.update({**convolution("bl0", 256, 256), **convolution("al0", 256, 68)})
    shapes.update(convolution("conv1x1_input_emo_2", 256, 768))
    for place in (0, 2, 4, 6):
        shapes.update(fan_block(f"emo_net_2.{place}", 256, 256))
    shapes.update({"emo_fc_2.0.weight": (128, 256), "emo_fc_2.0.bias": (128,)})
    shapes.update(norm("emo_fc_2.1", 128))
    shapes.update({"emo_fc_2.3.weight": (10, 128), "emo_fc_2.3.bias": (10,)})
    return shapes


def filled(shapes: Shapes, seed: int = 0) -> dict[str, torch.Tensor]:
    """Random values that keep activations of the order of one through any depth."""
    import torch

    generator = torch.Generator().manual_seed(seed)
    weights = {}
    for name, shape in shapes.items():
        noise = torch.randn(shape, generator=generator)
        if name.endswith("num_batches_tracked"):
            weights[name] = torch.tensor(1000)
        elif name.endswith("running_var"):
            weights[name] = 1.0 + 0.1 * noise.abs()
        elif len(shape) > 1:
            weights[name] = noise * (1.4 / noise[0].numel() ** 0.5)
        elif name.endswith("weight"):
            weights[name] = 0.7 + 0.05 * noise
        else:
            weights[name] = 0.05 * noise
    return weights


@pytest.fixture(scope="session")
def lip_weights() -> dict[str, torch.Tensor]:
    return filled(lip_shapes(slopes=False))


@pytest.fixture(scope="session")
def lip_weights_with_slopes() -> dict[str, torch.Tensor]:
    return filled(lip_shapes(slopes=True))


@pytest.fixture(scope="session")
def emofan_weights() -> dict[str, torch.Tensor]:
    return filled(emofan_shapes())
