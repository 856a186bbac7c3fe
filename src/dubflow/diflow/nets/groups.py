"""Which learning rate each parameter has, by name.

DiFlowDubber, B.3, trains all of stage 2 at a rate of 1e-3, the pre-trained denoiser too; ``safe`` lets the denoiser
move a tenth as fast. Patterns are read in order and the first that fits a parameter's name decides; they are those of
file names (``denoiser.*``) and must fit the whole name, so that no part is caught by a likeness.
"""

from __future__ import annotations

from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Annotated

from pydantic import Field
from torch import nn

from dubflow.config import Strict
from dubflow.diflow.nets.report import parts_of
from dubflow.errors import WrongUse

Rate = Annotated[float, Field(gt=0)]

REST = "rest"
FROZEN = "frozen"


class LearningRates(Strict):
    """A rate for all, and others for parts."""

    default: Rate = Field(1e-3, description="Rate of whatever no pattern fits.")
    rates: tuple[tuple[str, Rate], ...] = Field(
        (), description="Ordered pairs of a pattern of parameter names and its rate; the first that fits decides."
    )


LEARNING_RATES = {
    "paper": LearningRates(),
    "safe": LearningRates(rates=(("denoiser.*", 1e-4),)),
}
"""Presets of stage 2; the paper's rate of stage 1 is ``LearningRates(default=1e-4)``."""


def parameter_groups(network: nn.Module, rates: LearningRates) -> list[dict[str, object]]:
    """Groups for an optimizer: ``params`` (a list of parameters), ``lr`` and ``name`` (the pattern, or ``rest``).

    In the order of the patterns, the rest last. Frozen parameters are in none, and no group is empty.

    Raises:
        WrongUse: ``diflow.idle_pattern`` when a pattern decides the rate of nothing, frozen parameters included.
    """
    found: dict[str, list[nn.Parameter]] = {pattern: [] for pattern in (*dict(rates.rates), REST)}
    used: set[str] = set()
    for name, parameter in network.named_parameters():
        group = _group(name, rates)
        used.add(group)
        if parameter.requires_grad:
            found[group].append(parameter)
    for pattern, _ in rates.rates:
        if pattern not in used:
            raise WrongUse(
                "diflow.idle_pattern",
                f"The pattern {pattern!r} gives a learning rate to no parameter of this network.",
                "Patterns fit whole names (denoiser.*), and the first that fits decides.",
            )
    values = dict(rates.rates) | {REST: rates.default}
    return [{"params": members, "lr": values[name], "name": name} for name, members in found.items() if members]


@dataclass(frozen=True)
class GroupLine:
    """One part of a network in one group: ``frozen`` with a rate of 0, or trained at ``rate``."""

    part: str
    group: str
    rate: float
    parameters: int


def group_lines(network: nn.Module, rates: LearningRates) -> list[GroupLine]:
    """Every part and its group; a part whose parameters are in several groups has several lines."""
    values = dict(rates.rates) | {REST: rates.default, FROZEN: 0.0}
    lines = []
    for part, module in parts_of(network):
        sizes: dict[str, int] = {}
        for name, parameter in module.named_parameters(prefix=part):
            group = _group(name, rates) if parameter.requires_grad else FROZEN
            sizes[group] = sizes.get(group, 0) + parameter.numel()
        lines += [GroupLine(part, group, values[group], size) for group, size in sizes.items()]
    return lines


def group_report(network: nn.Module, rates: LearningRates) -> list[str]:
    """:func:`group_lines` as text, one a line, and the sum of each group."""
    lines = group_lines(network, rates)
    sums: dict[str, int] = {}
    for line in lines:
        sums[line.group] = sums.get(line.group, 0) + line.parameters
    rows = [f"{x.part:32}{x.group:20}{x.rate:10.1e}{x.parameters / 1e6:10.3f} M" for x in lines]
    return [*rows, *(f"{'all':32}{group:20}{'':10}{size / 1e6:10.3f} M" for group, size in sums.items())]


def _group(name: str, rates: LearningRates) -> str:
    return next((pattern for pattern, _ in rates.rates if fnmatchcase(name, pattern)), REST)
