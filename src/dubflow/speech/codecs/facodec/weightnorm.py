"""Layers whose weight is stored as direction and length, under the published names ``weight_v`` and ``weight_g``.

Source: Salimans and Kingma, "Weight Normalization" (2016), Eq. 2: ``w = g * v / |v|``, the norm over every axis but the
first. torch's own parametrisation would rename the keys, so the published files could not be loaded strictly.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class Operation(Protocol):
    """What a layer does with its weight and bias, and where it looks."""

    def __call__(self, x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        """The layer's output."""

    def sources(self, first: int, last: int) -> tuple[int, int]:
        """First and last input position that the outputs ``first..last`` read."""


@dataclass(frozen=True)
class Convolution:
    """``[B, C, T]`` by a weight ``[C', C, kernel]`` to ``[B, C', T']``.

    ``T' = (T + 2 padding - dilation (kernel - 1) - 1) // stride + 1``.
    """

    kernel: int
    stride: int = 1
    dilation: int = 1
    padding: int = 0

    def __call__(self, x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        return F.conv1d(x, weight, bias, self.stride, self.padding, self.dilation)

    def sources(self, first: int, last: int) -> tuple[int, int]:
        """First and last input position that the outputs ``first..last`` read."""
        reach = (self.kernel - 1) * self.dilation
        return first * self.stride - self.padding, last * self.stride - self.padding + reach


@dataclass(frozen=True)
class TransposedConvolution:
    """``[B, C, T]`` by a weight ``[C, C', 2 stride]`` to ``[B, C', T * stride]`` exactly."""

    stride: int

    @property
    def padding(self) -> int:
        return self.stride // 2 + self.stride % 2

    def __call__(self, x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        return F.conv_transpose1d(x, weight, bias, self.stride, self.padding, output_padding=self.stride % 2)

    def sources(self, first: int, last: int) -> tuple[int, int]:
        """First and last input position that the outputs ``first..last`` read."""
        kernel = 2 * self.stride
        return -((kernel - 1 - first - self.padding) // self.stride), (last + self.padding) // self.stride


@dataclass(frozen=True)
class LinearMap:
    """``[B, T, C]`` by a weight ``[C', C]`` to ``[B, T, C']``."""

    def __call__(self, x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        return F.linear(x, weight, bias)

    def sources(self, first: int, last: int) -> tuple[int, int]:
        """First and last input position that the outputs ``first..last`` read."""
        return first, last


class WeightNormed(nn.Module):
    """One operation with a normed weight.

    Keys: ``weight_g [shape[0], 1, ...]``, ``weight_v [*shape]``, ``bias [outputs]``.

    :meth:`fold` computes the weight once for inference; the state dict keeps the published three entries.
    """

    def __init__(self, operation: Operation, shape: tuple[int, ...], outputs: int) -> None:
        super().__init__()
        self.operation = operation
        direction = nn.init.trunc_normal_(torch.empty(shape), std=0.02)
        self.weight_g = nn.Parameter(_length(direction))
        self.weight_v = nn.Parameter(direction)
        self.bias = nn.Parameter(torch.zeros(outputs))
        self.folded: Tensor | None
        self.register_buffer("folded", None, persistent=False)

    def weight(self) -> Tensor:
        """The effective weight, of the shape of ``weight_v``."""
        return self.weight_g * (self.weight_v / _length(self.weight_v))

    def fold(self) -> None:
        """Keep the effective weight from now on; loading other parameters afterwards needs another ``fold``."""
        self.folded = self.weight().detach()

    def forward(self, x: Tensor) -> Tensor:
        """The operation with the effective weight."""
        return self.operation(x, self.weight() if self.folded is None else self.folded, self.bias)

    def sources(self, first: int, last: int) -> tuple[int, int]:
        """First and last input position that the outputs ``first..last`` read."""
        return self.operation.sources(first, last)


def convolution(
    inputs: int, outputs: int, kernel: int, *, stride: int = 1, dilation: int = 1, padding: int | None = None
) -> WeightNormed:
    """A normed convolution; without ``padding`` it keeps the length (odd kernel, stride 1)."""
    if padding is None:
        padding = (kernel - 1) * dilation // 2
    return WeightNormed(Convolution(kernel, stride, dilation, padding), (outputs, inputs, kernel), outputs)


def upsampling(inputs: int, outputs: int, stride: int) -> WeightNormed:
    """A normed transposed convolution to ``stride`` times the length."""
    return WeightNormed(TransposedConvolution(stride), (inputs, outputs, 2 * stride), outputs)


def linear(inputs: int, outputs: int) -> WeightNormed:
    """A normed linear map of the last axis."""
    return WeightNormed(LinearMap(), (outputs, inputs), outputs)


def fold_weights(module: nn.Module) -> None:
    """Fold every weight-normed layer below ``module``: the same results to rounding, without the work at every call."""
    for layer in module.modules():
        if isinstance(layer, WeightNormed):
            layer.fold()


def _length(direction: Tensor) -> Tensor:
    """Norm over every axis but the first, kept as axes of length one."""
    length: Tensor = torch.linalg.vector_norm(direction, dim=tuple(range(1, direction.dim())), keepdim=True)
    return length
