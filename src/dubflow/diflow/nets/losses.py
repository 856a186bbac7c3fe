"""A loss and the parts it is the weighted sum of, as Eq. 7 and Eq. 9 have it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from torch import Tensor

from dubflow.errors import WrongUse


@dataclass(frozen=True)
class LossParts:
    """Named parts and their weights.

    Attributes:
        values: scalars, before weighting.
        weights: one a part.
        counts: what the parts had to leave out, by name (phonemes without a frame, items too short for CTC).

    Raises:
        WrongUse: ``diflow.bad_weights`` when weights and parts have different names.
    """

    values: Mapping[str, Tensor]
    weights: Mapping[str, float]
    counts: Mapping[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if set(self.values) != set(self.weights):
            raise WrongUse(
                "diflow.bad_weights", f"Weights {sorted(self.weights)} are not for parts {sorted(self.values)}."
            )

    @property
    def total(self) -> Tensor:
        """The weighted sum; a part of weight 0 adds nothing, not even a NaN."""
        parts = [self.weights[name] * value for name, value in self.values.items() if self.weights[name] > 0]
        if not parts:
            raise WrongUse("diflow.bad_weights", "Every part of the loss has weight 0.")
        total = parts[0]
        for part in parts[1:]:
            total = total + part
        return total
