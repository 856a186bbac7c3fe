"""The states a token can be in: one of the codes, masked, or padding.

The paper gives v = 1024 codes a book and leaves the ids of mask and pad open; they follow the codes here (pad 1024,
mask 1025, as in the authors' first-stage code). Networks embed all 1026 states and predict the 1024 codes
only, so neither pad nor mask can be emitted.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from dubflow.errors import WrongUse

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class Vocabulary:
    """Ids of one codec book. ``codes`` is the number of real codes, ids ``0 .. codes - 1``."""

    codes: int = 1024

    def __post_init__(self) -> None:
        if self.codes < 1:
            raise WrongUse("diflow.bad_vocabulary", f"A vocabulary of {self.codes} codes holds nothing.")

    @property
    def pad(self) -> int:
        """Id of positions beyond an item's length; never a target, never emitted."""
        return self.codes

    @property
    def mask(self) -> int:
        """Id of the source state; never emitted."""
        return self.codes + 1

    @property
    def embedded(self) -> int:
        """Rows of an embedding table: codes, pad and mask."""
        return self.codes + 2

    def check_targets(self, tokens: Tensor) -> None:
        """Refuse targets (any shape, integer) that are neither a code nor pad.

        Raises:
            WrongUse: ``diflow.bad_tokens``.
        """
        import torch  # only here: the facts of a model name a vocabulary, and are read without torch

        if tokens.is_floating_point() or tokens.dtype == torch.bool:
            raise WrongUse("diflow.bad_tokens", f"Tokens are integers, not {tokens.dtype}.")
        if tokens.numel() and (int(tokens.min()) < 0 or int(tokens.max()) > self.pad):
            raise WrongUse(
                "diflow.bad_tokens",
                f"Targets must lie within 0..{self.pad}, these run from {int(tokens.min())} to {int(tokens.max())}.",
                "A mask id among targets means that corrupted tokens were taken for clean ones.",
            )


CODEC = Vocabulary()
