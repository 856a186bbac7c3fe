"""How a trained network is asked."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from dubflow.config import Strict
from dubflow.diflow.flow.samplers import SamplerSettings


class InferenceSettings(Strict):
    """Settings of :func:`~dubflow.diflow.inference.speaking.speak` and of
    :func:`~dubflow.diflow.inference.clips.dub_clips`."""

    sampler: SamplerSettings = Field(SamplerSettings(), description="Sampler, number of steps (NFE) and temperature.")
    seed: int = Field(0, ge=0, lt=2**63, description="Same seed and items, same tokens.")
    batch_items: int = Field(16, ge=1, description="Items of a batch, at most.")
    batch_tokens: int = Field(
        8192, ge=1, description="Tokens of a batch, padding included, at most; a longer item is a batch of its own."
    )
    most_padding: float = Field(
        0.15, ge=0, le=1, description="Greatest share of a batch's longest item that its shortest may leave unused."
    )
    prompt_share: float | None = Field(
        0.3,
        gt=0,
        description="Length of the prompt as a share of what is said, as in training; None takes all of the reference.",
    )
    precision: Literal["fp32", "bf16"] = Field("fp32", description="bf16: matrix products in bfloat16.")
