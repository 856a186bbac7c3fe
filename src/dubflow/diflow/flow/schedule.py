r"""The scheduler kappa: which share of the target is visible at time t.

DiFlowDubber, appendix B.2.1: kappa rises from kappa(0) = 0 to kappa(1) = 1, and in the paper

.. math:: \kappa_t = t^2, \qquad \dot\kappa_t = 2t .

Everything the flow needs of time follows from kappa and its derivative: the hazard, at which a masked token is
revealed, and the chance that it is revealed between two times.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from dubflow.errors import WrongUse


@dataclass(frozen=True)
class PolynomialSchedule:
    """``kappa(t) = t ** exponent``; 2 is the paper's, 1 reveals at a constant pace.

    Times are tensors of any shape within 0..1; answers have the same shape and type.
    """

    exponent: float = 2.0

    def __post_init__(self) -> None:
        # Below 1 the derivative is infinite at 0, where every sampler starts.
        if not self.exponent >= 1:
            raise WrongUse("diflow.bad_schedule", f"The exponent of kappa must be at least 1, not {self.exponent}.")

    def kappa(self, t: Tensor) -> Tensor:
        """Share of target tokens that are visible at ``t``."""
        return t**self.exponent

    def kappa_dot(self, t: Tensor) -> Tensor:
        """Derivative of kappa by time."""
        return self.exponent * t ** (self.exponent - 1)

    def kappa_inverse(self, share: Tensor) -> Tensor:
        """The time at which ``share`` of the target is visible."""
        return share ** (1 / self.exponent)

    def odds(self, t: Tensor) -> Tensor:
        """Visible to masked, ``kappa / (1 - kappa)``: the signal-to-noise ratio of the mixture; infinite at 1."""
        visible = self.kappa(t)
        return visible / (1 - visible)

    def odds_inverse(self, odds: Tensor) -> Tensor:
        """The time at which visible to masked stands as ``odds``."""
        return self.kappa_inverse(odds / (1 + odds))

    def hazard(self, t: Tensor) -> Tensor:
        """Rate ``kappa_dot / (1 - kappa)`` at which a token still masked is revealed; the factor of Eq. 8.

        Infinite at 1: whatever is masked then has no time left.
        """
        return self.kappa_dot(t) / (1 - self.kappa(t))

    def reveal(self, t: Tensor, s: Tensor) -> Tensor:
        """Chance ``(kappa(s) - kappa(t)) / (1 - kappa(t))`` that a token masked at ``t < 1`` is visible at ``s >= t``.

        It is the integral of the hazard, ``1 - exp(-int_t^s hazard)``, so it holds for steps of any size.
        """
        before = self.kappa(t)
        return (self.kappa(s) - before) / (1 - before)


PAPER_SCHEDULE = PolynomialSchedule(2.0)


def flipped_time(t: Tensor, schedule: PolynomialSchedule = PAPER_SCHEDULE) -> Tensor:
    """The label under which a network trained with "masked share = label" knows the state that we call ``t``.

    The authors' public first-stage code overwrites its sigma by t and so trains with time reversed and linear: label 1
    is all masked. The state itself carries no label, only its masked share does, hence the label is ``1 - kappa(t)``.
    """
    return 1 - schedule.kappa(t)


def checked_times(t: Tensor, batch: int) -> Tensor:
    """``t`` if it is ``[batch]`` floats within 0..1.

    Raises:
        WrongUse: ``diflow.bad_time``.
    """
    if t.shape != (batch,) or not t.is_floating_point() or not bool(((t >= 0) & (t <= 1)).all()):
        raise WrongUse(
            "diflow.bad_time",
            f"Times must be {batch} floats within 0..1, one an item, not {t.dtype} {list(t.shape)}.",
        )
    return t


def times_within(shares: Tensor, margin: float) -> Tensor:
    """Map uniform ``shares`` in 0..1 to times in ``margin .. 1 - margin`` (training stays clear of both ends).

    Raises:
        WrongUse: ``diflow.bad_time`` for a margin outside 0..0.5.
    """
    if not 0 <= margin < 0.5:
        raise WrongUse("diflow.bad_time", f"A margin of {margin} leaves no times between 0 and 1.")
    return torch.lerp(torch.full_like(shares, margin), torch.full_like(shares, 1 - margin), shares)
