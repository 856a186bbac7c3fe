"""Parameters, part by part, beside the paper's figure.

DiFlowDubber, Table 4, gives 250 M for the whole system and no division; what it counts in (codec, feature extractors,
teacher) is unsaid. Networks are built on the meta device: nothing is allocated.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import nn

from dubflow.diflow.nets.dubber import DubberNetwork
from dubflow.diflow.nets.settings import NetSettings
from dubflow.diflow.nets.tts import TtsNetwork

PAPER_PARAMETERS = 250_000_000
_OPENED = ("content", "adaptation", "synchronizer", "denoiser")


@dataclass(frozen=True)
class PartReport:
    """One part of a stage: its parameters, and how many of them that stage trains."""

    stage: str
    part: str
    parameters: int
    trained: int


@dataclass(frozen=True)
class ParameterReport:
    """All parts of both stages."""

    parts: tuple[PartReport, ...]

    def total(self, stage: str) -> int:
        """Parameters of ``"tts"`` (stage 1) or ``"dubber"`` (stage 2, what inference needs besides the codec)."""
        return sum(part.parameters for part in self.parts if part.stage == stage)

    @property
    def in_training(self) -> int:
        """Stage 2 in training: the dubber and its frozen teacher."""
        return self.total("tts") + self.total("dubber")

    def lines(self) -> list[str]:
        """The report as text, one part a line."""
        rows = [
            f"{part.stage:8}{part.part:28}{part.parameters / 1e6:10.3f} M{part.trained / 1e6:10.3f} M trained"
            for part in self.parts
        ]
        sums = [
            f"{name:36}{value / 1e6:10.3f} M"
            for name, value in (
                ("tts, all", self.total("tts")),
                ("dubber, all", self.total("dubber")),
                ("dubber and frozen teacher", self.in_training),
                ("the paper's Table 4", PAPER_PARAMETERS),
            )
        ]
        return [*rows, *sums]


def parameter_report(settings: NetSettings) -> ParameterReport:
    """Count both networks of ``settings``."""
    with torch.device("meta"):
        networks = {"tts": TtsNetwork(settings), "dubber": DubberNetwork(settings)}
    return ParameterReport(
        tuple(
            PartReport(stage, name, _count(part), _count(part, trained=True))
            for stage, network in networks.items()
            for name, part in parts_of(network)
        )
    )


def parts_of(network: nn.Module) -> Iterator[tuple[str, nn.Module]]:
    """The parts of a network by name: the modules of the big ones, and every other as a whole."""
    for name, part in network.named_children():
        if name in _OPENED:
            yield from ((f"{name}.{inner}", child) for inner, child in part.named_children())
        else:
            yield name, part


def _count(part: nn.Module, *, trained: bool = False) -> int:
    return sum(p.numel() for p in part.parameters() if p.requires_grad or not trained)
