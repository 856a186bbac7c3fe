r"""The cross-entropy that trains the denoiser, and the plain one of the content.

DiFlowDubber, Eq. 1:

.. math::
    \mathcal L_{DFM} = -\sum_{i \in T} \mathbb E_{t, (x_0, x_1), x_t}
        \bigl[\log p_{1|t}(x_1^i \mid x_t, c; \theta)\bigr]

The sum runs over **all** positions of all books, visible ones too. We divide it by the number of positions counted, so
that its size does not depend on length or batch and the weights of Eq. 9 and Eq. 7 keep their meaning.
"""

from __future__ import annotations

from typing import Literal

from torch import Tensor
from torch.nn import functional

from dubflow.diflow.flow.vocabulary import CODEC, Vocabulary
from dubflow.errors import WrongUse

Scope = Literal["all", "masked"]


def posterior_cross_entropy(
    logits: Tensor,
    target: Tensor,
    noisy: Tensor,
    *,
    scope: Scope = "all",
    vocabulary: Vocabulary = CODEC,
) -> Tensor:
    """Mean negative log-likelihood of the target codes; a scalar in float32.

    Args:
        logits: floats ``[B, Q, L, V]`` over the V codes, no columns for pad or mask.
        target: ``x_1``, integers ``[B, Q, L]``; positions that are pad do not count.
        noisy: ``x_t``, integers ``[B, Q, L]``; read only for ``scope="masked"``.
        scope: ``"all"`` positions as in the paper, or only those that ``noisy`` masks.

    Returns:
        The mean over the positions that count; 0, with a gradient of 0, when there is none.

    Raises:
        WrongUse: ``diflow.bad_logits`` when shapes do not fit.
    """
    if noisy.shape != target.shape:
        raise WrongUse(
            "diflow.bad_logits", f"Noisy tokens {list(noisy.shape)} do not belong to targets {list(target.shape)}."
        )
    if scope == "masked":
        target = target.masked_fill(noisy != vocabulary.mask, vocabulary.pad)
    return code_cross_entropy(logits, target, vocabulary=vocabulary)


def code_cross_entropy(logits: Tensor, target: Tensor, *, vocabulary: Vocabulary = CODEC) -> Tensor:
    """Mean negative log-likelihood of codes, pad ignored; a scalar in float32. Eq. 6 is this, over the content books.

    Args:
        logits: floats ``[B, Q, L, V]``.
        target: integers ``[B, Q, L]``, codes and pad.

    Raises:
        WrongUse: ``diflow.bad_logits`` when shapes do not fit.
    """
    if logits.shape != (*target.shape, vocabulary.codes):
        raise WrongUse(
            "diflow.bad_logits",
            f"Logits {list(logits.shape)} do not belong to targets {list(target.shape)} over {vocabulary.codes} codes.",
        )
    total = functional.cross_entropy(
        logits.float().flatten(0, -2), target.flatten(), ignore_index=vocabulary.pad, reduction="sum"
    )
    return total / (target != vocabulary.pad).sum().clamp(min=1)
