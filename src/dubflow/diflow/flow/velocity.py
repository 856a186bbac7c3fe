r"""The probability velocity and what it says about one step.

DiFlowDubber, Eq. 8. The paper prints :math:`p_t(x^i \mid x_t)` as the second term; meant, and needed for the rows to be
rates, is the point mass at the present state:

.. math::
    u_t^i(x^i, x_t) = \frac{\dot\kappa_t}{1 - \kappa_t}
        \bigl[\, p_{1|t}(x^i \mid x_t, c; \theta) - \delta_{x_t^i}(x^i) \,\bigr]

A masked source has one more consequence: a visible token *is* its target, so the true posterior there is the point mass
at the token and its velocity is zero. The network's guess at visible positions is replaced by that fact
(:func:`carried_posterior`); hence visible tokens never change.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from dubflow.diflow.flow.schedule import PAPER_SCHEDULE, PolynomialSchedule, checked_times
from dubflow.diflow.flow.vocabulary import CODEC, Vocabulary
from dubflow.errors import WrongUse


def carried_posterior(posterior: Tensor, tokens: Tensor, *, vocabulary: Vocabulary = CODEC) -> Tensor:
    """The posterior of ``x_1`` over all states, float ``[..., V + 2]``.

    Args:
        posterior: probabilities over codes ``[..., V]``.
        tokens: present states ``[...]``: where masked, the posterior stands as given, with probability 0 for pad and
            mask; where visible (or pad), it is the point mass at the token.

    Raises:
        WrongUse: ``diflow.bad_logits`` when shapes do not fit.
    """
    if posterior.shape != (*tokens.shape, vocabulary.codes):
        raise WrongUse(
            "diflow.bad_logits",
            f"A posterior {list(posterior.shape)} does not belong to tokens {list(tokens.shape)} over "
            f"{vocabulary.codes} codes.",
        )
    widened = functional.pad(posterior, (0, vocabulary.embedded - vocabulary.codes))
    present = functional.one_hot(tokens, vocabulary.embedded).to(posterior.dtype)
    return torch.where((tokens == vocabulary.mask).unsqueeze(-1), widened, present)


def velocity(
    posterior: Tensor,
    tokens: Tensor,
    t: Tensor,
    *,
    schedule: PolynomialSchedule = PAPER_SCHEDULE,
    vocabulary: Vocabulary = CODEC,
) -> Tensor:
    """Eq. 8 over all states, float ``[B, Q, L, V + 2]``: rows sum to 0 and only the present state's entry is negative.

    Args:
        posterior: probabilities over codes ``[B, Q, L, V]``.
        tokens: ``x_t``, integers ``[B, Q, L]``.
        t: times ``[B]`` within 0..1; at 1 the rate is infinite.

    Raises:
        WrongUse: ``diflow.bad_logits``, ``diflow.bad_time``.
    """
    checked_times(t, tokens.shape[0])
    change = carried_posterior(posterior, tokens, vocabulary=vocabulary)
    change = change - functional.one_hot(tokens, vocabulary.embedded).to(change.dtype)
    return schedule.hazard(t).to(change.dtype).view(-1, 1, 1, 1) * change


def jump_probability(t: Tensor, step: Tensor, schedule: PolynomialSchedule = PAPER_SCHEDULE) -> Tensor:
    """Chance that a masked token jumps in an Euler (tau-leaping) step of size ``step > 0`` from ``t < 1``.

    The rates of Eq. 8 are frozen over the step. Jumps away from the mask then form a Poisson process of rate
    ``hazard(t)``, and at least one happens with probability ``1 - exp(-step * hazard(t))``. At t = 0 the paper's kappa
    has derivative 0, so the first Euler step never reveals anything.
    """
    return -torch.expm1(-step * schedule.hazard(t))
