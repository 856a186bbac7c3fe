"""What a pair has to be to be trained on. Section ``incontext.quality`` of a preset.

JUST-DUB-IT names the checks and gives no threshold (facts C1, 13). So the defaults take the worst of each run, and
refuse only what no run can want: a face that is mostly missing, a context that still says the target's words.
"""

from __future__ import annotations

from typing import ClassVar, Self

from pydantic import Field, model_validator

from dubflow.config import Strict
from dubflow.incontext.pairs.quality.figures import FIGURES


class Limit(Strict):
    """Which values of one figure are refused."""

    bound: float | None = Field(None, description="Worst value that passes; whether that is the least is the figure's.")
    worst_share: float | None = Field(None, gt=0, lt=1, description="Share of a run's worst values that is refused.")

    @model_validator(mode="after")
    def _says_something(self) -> Self:
        if self.bound is None and self.worst_share is None:
            raise ValueError("give a bound, a worst_share, or both")
        return self


def _limits() -> dict[str, Limit]:
    return {
        "words_target": Limit(worst_share=0.1),
        "words_context": Limit(worst_share=0.1),
        "words_margin": Limit(bound=0.0),
        "voice_language": Limit(worst_share=0.05),
        "face_found": Limit(bound=0.5),
        "face_pair": Limit(worst_share=0.05),
        "mar_diversity_target": Limit(worst_share=0.05),
        "qd": Limit(worst_share=0.1),
    }


class QualitySettings(Strict):
    """Limits by figure. A figure without one is taken and shown, and refuses nothing."""

    section: ClassVar[str] = "incontext.quality"

    limits: dict[str, Limit] = Field(default_factory=_limits, description="By the names of quality/figures.py.")
    least_pairs: int = Field(
        20, ge=1, description="Pairs from which on a worst_share refuses; of few pairs the worst need not be bad."
    )
    unmeasured: bool = Field(True, description="Refuse a pair of which a limited figure cannot be taken.")

    @model_validator(mode="after")
    def _known(self) -> Self:
        unknown = sorted(set(self.limits) - set(FIGURES))
        if unknown:
            raise ValueError(f"limits: no figure {', '.join(unknown)}; there are {', '.join(FIGURES)}")
        return self
