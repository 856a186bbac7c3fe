"""Draw codes from logits by inverting the cumulative distribution, in float64.

One uniform number a position is all the noise, so an item's draws can belong to the item (``noise``), and float64 keeps
the cumulative sum of a thousand codes exact enough that no code gains or loses more than about 1e-13.
"""

from __future__ import annotations

import torch
from torch import Tensor

from dubflow.diflow.flow.vocabulary import CODEC, Vocabulary
from dubflow.errors import OurFault, WrongUse

ROWS_AT_ONCE = 8192  # float64 over 1024 codes: 64 MiB a buffer


def code_logits(logits: Tensor, vocabulary: Vocabulary = CODEC) -> Tensor:
    """Logits over the codes alone, ``[..., V]``.

    Networks of this project answer V columns. One that answers V + 2 (such as the authors' public weights) has the
    columns of pad and mask cut off, which is the same as setting them to minus infinity.

    Raises:
        WrongUse: ``diflow.bad_logits`` for any other number of columns.
    """
    if logits.shape[-1] not in (vocabulary.codes, vocabulary.embedded):
        raise WrongUse(
            "diflow.bad_logits",
            f"Logits have {logits.shape[-1]} columns; the book has {vocabulary.codes} codes.",
        )
    return logits[..., : vocabulary.codes]


def draw_codes(logits: Tensor, shares: Tensor, temperature: float = 1.0) -> Tensor:
    """Codes with probabilities ``softmax(logits / temperature)``, integers ``[M]``.

    Args:
        logits: floats ``[M, V]``; minus infinity forbids a code.
        shares: uniform numbers in [0, 1), float64 ``[M]``; drawn is the code whose cumulative interval holds it.
        temperature: 0 takes the likeliest code.

    Raises:
        OurFault: ``diflow.not_finite`` when a row has no probability at all (NaN, or every code forbidden).
    """
    pieces = [
        _draw(rows, draws, temperature)
        for rows, draws in zip(torch.split(logits, ROWS_AT_ONCE), torch.split(shares, ROWS_AT_ONCE), strict=True)
    ]
    return torch.cat(pieces)


def _draw(logits: Tensor, shares: Tensor, temperature: float) -> Tensor:
    scaled = logits.double() if temperature == 0 else logits.double() / temperature
    cumulative = torch.softmax(scaled, dim=-1).cumsum(dim=-1)
    total = cumulative[:, -1:].contiguous()
    if bool(total.isnan().any()):
        raise OurFault(
            "diflow.not_finite",
            "The denoiser answered logits that are not a distribution.",
            "Its weights or its input hold NaN; check the training that made them.",
        )
    if temperature == 0:
        return scaled.argmax(dim=-1)
    drawn = torch.searchsorted(cumulative, shares.unsqueeze(-1) * total, right=True)
    # A product that rounds up to the total would fall past the last code that has any probability.
    last = torch.searchsorted(cumulative, total, right=False)
    return torch.minimum(drawn, last).squeeze(-1)
