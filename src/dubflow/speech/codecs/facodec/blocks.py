"""Convolution blocks of encoder and decoder, which know what part of their input an output reads."""

from __future__ import annotations

from typing import Protocol, cast

from torch import Tensor, nn

from dubflow.speech.codecs.facodec.activation import Activation
from dubflow.speech.codecs.facodec.weightnorm import convolution, upsampling

DILATIONS = (1, 3, 9)


class Local(Protocol):
    """Something whose output at a place depends on a bounded stretch of its input."""

    def sources(self, first: int, last: int) -> tuple[int, int]:
        """First and last input position that the outputs ``first..last`` read."""


class Chain(nn.Sequential):
    """Local layers one after the other; keys are their numbers."""

    def sources(self, first: int, last: int) -> tuple[int, int]:
        """First and last input position that the outputs ``first..last`` read."""
        for layer in reversed(list(self)):
            first, last = cast(Local, layer).sources(first, last)
        return first, last


class Block(nn.Module):
    """A chain under a name. Key: ``block``."""

    def __init__(self, *layers: nn.Module) -> None:
        super().__init__()
        self.block = Chain(*layers)

    def forward(self, x: Tensor) -> Tensor:
        """``[B, C, T]`` to ``[B, C', T']``."""
        result: Tensor = self.block(x)
        return result

    def sources(self, first: int, last: int) -> tuple[int, int]:
        """First and last input position that the outputs ``first..last`` read."""
        return self.block.sources(first, last)


class ResidualUnit(nn.Module):
    """A dilated convolution of 7 and one of 1 around the identity. Key: ``block``."""

    def __init__(self, channels: int, dilation: int) -> None:
        super().__init__()
        self.block = Chain(
            Activation(channels),
            convolution(channels, channels, 7, dilation=dilation),
            Activation(channels),
            convolution(channels, channels, 1),
        )

    def forward(self, x: Tensor) -> Tensor:
        """``[B, C, T]`` to ``[B, C, T]``."""
        result: Tensor = x + self.block(x)
        return result

    def sources(self, first: int, last: int) -> tuple[int, int]:
        """First and last input position that the outputs ``first..last`` read; the identity lies within."""
        return self.block.sources(first, last)


def encoder_block(channels: int, stride: int) -> Block:
    """``[B, C, T]`` to ``[B, 2 C, T / stride]`` for a T that ``stride`` divides."""
    down = convolution(channels, 2 * channels, 2 * stride, stride=stride, padding=stride // 2 + stride % 2)
    return Block(*_residual_units(channels), Activation(channels), down)


def decoder_block(channels: int, stride: int) -> Block:
    """``[B, C, T]`` to ``[B, C / 2, T * stride]``."""
    half = channels // 2
    return Block(Activation(channels), upsampling(channels, half, stride), *_residual_units(half))


def _residual_units(channels: int) -> list[ResidualUnit]:
    return [ResidualUnit(channels, dilation) for dilation in DILATIONS]
