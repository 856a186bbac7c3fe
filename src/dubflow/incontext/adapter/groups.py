"""Learning rates of a LoRA's weights, by ordered patterns.

JUST-DUB-IT, A.3: 2e-4 for video modules and 1e-5 for audio modules. What a cross-modal layer is, it does not say. The
authors' code looks for ``audio_attn`` and ``audio_ff`` anywhere in a name and gives those 1e-6; so it slows
``video_to_audio_attn`` and does not slow ``audio_to_video_attn``. Both are presets; which weight is in which group is
written down in every run (:func:`group_table`).
"""

from __future__ import annotations

import csv
import io
import re
from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import AfterValidator, Field
from torch import nn

from dubflow.config import Strict
from dubflow.errors import WrongUse

Rate = Annotated[float, Field(gt=0)]
REST = "rest"


def _compiles(pattern: str) -> str:
    try:
        re.compile(pattern)
    except re.error as error:
        raise ValueError(f"{pattern!r} is not a regular expression: {error}") from error
    return pattern


class RateGroups(Strict):
    """Rates by pattern; the first that is found anywhere in a weight's name decides."""

    default: Rate = Field(2e-4, description="Rate of whatever no pattern fits.")
    patterns: tuple[tuple[Annotated[str, AfterValidator(_compiles)], Rate], ...] = Field(
        (), description="Ordered pairs of a regular expression, searched in weights' names, and a rate."
    )


RATES = {
    "paper": RateGroups(patterns=((r"\.audio_attn[12]\.|\.audio_ff\.", 1e-5),)),
    "code": RateGroups(patterns=((r"audio_attn", 1e-6), (r"audio_ff", 1e-6))),
}
"""``paper``: the audio branch's own layers are audio modules, both cross-modal ones are not. ``code``: as released."""

Rates = Literal["paper", "code"] | RateGroups
"""A preset of :data:`RATES` or groups of one's own."""


def rates_of(rates: Rates) -> RateGroups:
    """The groups that are meant."""
    return RATES[rates] if isinstance(rates, str) else rates


def group_of(name: str, rates: RateGroups) -> tuple[str, float]:
    """Pattern (or ``rest``) and learning rate of the weight ``name``."""
    return next(((p, rate) for p, rate in rates.patterns if re.search(p, name)), (REST, rates.default))


def parameter_groups(network: nn.Module, rates: RateGroups) -> list[dict[str, object]]:
    """Groups for an optimizer over what is trained: ``params``, ``lr`` and ``name``; no group is empty.

    Raises:
        WrongUse: ``incontext.idle_pattern`` when a pattern decides the rate of nothing.
    """
    found: dict[str, list[nn.Parameter]] = {pattern: [] for pattern in (*dict(rates.patterns), REST)}
    for name, parameter in network.named_parameters():
        if parameter.requires_grad:
            found[group_of(name, rates)[0]].append(parameter)
    for pattern, _ in rates.patterns:
        if not found[pattern]:
            raise WrongUse(
                "incontext.idle_pattern",
                f"The pattern {pattern!r} gives a learning rate to no weight that is trained.",
                "Patterns are searched in names such as transformer_blocks.0.audio_attn1.to_k; the first decides.",
            )
    values: dict[str, float] = {**dict(rates.patterns), REST: rates.default}
    return [{"params": members, "lr": values[name], "name": name} for name, members in found.items() if members]


@dataclass(frozen=True)
class GroupLine:
    """All trained weights of one kind of layer that are in one group; ``part`` is a name without the block's number."""

    part: str
    group: str
    rate: float
    tensors: int
    parameters: int


def group_lines(network: nn.Module, rates: RateGroups) -> list[GroupLine]:
    """Every kind of layer and its group, in the order of the network."""
    sums: dict[tuple[str, str, float], list[int]] = {}
    for name, parameter in network.named_parameters():
        if parameter.requires_grad:
            part = re.sub(r"^(.*?transformer_blocks\.)?\d*\.?", "", name).partition(".")[0]
            count = sums.setdefault((part, *group_of(name, rates)), [0, 0])
            count[0] += 1
            count[1] += parameter.numel()
    return [GroupLine(*key, tensors, parameters) for key, (tensors, parameters) in sums.items()]


def group_table(network: nn.Module, rates: RateGroups) -> str:
    """CSV with name, group, rate and count of numbers of every weight that is trained."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["weight", "group", "rate", "parameters"])
    for name, parameter in network.named_parameters():
        if parameter.requires_grad:
            group, rate = group_of(name, rates)
            writer.writerow([name, group, f"{rate:g}", parameter.numel()])
    return text.getvalue()
