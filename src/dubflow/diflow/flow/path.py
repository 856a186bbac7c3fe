r"""The mixture path: between all masked (t = 0) and the target (t = 1).

DiFlowDubber, appendix B.2.1, after Gat et al.:

.. math:: p_t(x^i \mid x_0, x_1) = (1 - \kappa_t)\,\delta_{x_0}(x^i) + \kappa_t\,\delta_{x_1}(x^i)

With a source that is all mask, each position independently shows its target with probability kappa and the mask
otherwise; the expected masked share at t is ``1 - kappa(t)``, in the paper ``1 - t^2``.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from dubflow.diflow.flow.noise import uniform, uniform_each
from dubflow.diflow.flow.schedule import PAPER_SCHEDULE, PolynomialSchedule, checked_times, times_within
from dubflow.diflow.flow.vocabulary import CODEC, Vocabulary
from dubflow.errors import WrongUse


def draw_times(sources: Sequence[torch.Generator], margin: float = 1e-3) -> Tensor:
    """Training times, uniform in ``margin .. 1 - margin``, float32 ``[B]``; each item from its own generator.

    Eq. 1 takes t from U[0, 1]; the margin keeps clear of 0, where nothing is visible, and of 1, where nothing is left.
    """
    return times_within(uniform_each(sources), margin).to(torch.float32)


def corrupt(
    target: Tensor,
    t: Tensor,
    sources: Sequence[torch.Generator],
    *,
    schedule: PolynomialSchedule = PAPER_SCHEDULE,
    vocabulary: Vocabulary = CODEC,
) -> Tensor:
    """Draw ``x_t`` from the mixture path.

    Args:
        target: ``x_1``, integers ``[B, Q, L]``: codes, and pad from each item's length on (the same in all Q books).
        t: times, floats ``[B]`` within 0..1.
        sources: ``B`` CPU generators, one an item.

    Returns:
        Integers ``[B, Q, L]``: the target where it is visible, the mask id elsewhere, pad where the target is pad.

    Raises:
        WrongUse: ``diflow.bad_tokens``, ``diflow.bad_time``, ``diflow.bad_lengths``.
    """
    vocabulary.check_targets(target)
    checked_times(t, target.shape[0])
    padding = target == vocabulary.pad
    lengths = (~padding[:, 0]).sum(dim=-1)
    beyond = torch.arange(target.shape[-1], device=target.device) >= lengths.unsqueeze(-1)
    if not torch.equal(padding, beyond.unsqueeze(1).expand_as(padding)):
        raise WrongUse("diflow.bad_lengths", "Pad may only follow an item's tokens, at the same place in every book.")
    draws = target.new_ones(target.shape, dtype=torch.float64)
    drawn = uniform(sources, target.shape[1], lengths.tolist())
    draws[..., : drawn.shape[-1]] = drawn.to(target.device)
    visible = draws < schedule.kappa(t.to(target.device, torch.float64)).view(-1, 1, 1)
    return target.masked_fill(~(visible | padding), vocabulary.mask)
