"""How a stage is trained; sections ``train_tts`` and ``train_dubber`` of a preset.

DiFlowDubber, B.3, gives batches of 16 on four devices, AdamW, learning rates (1e-4 and 1e-3), weight decay 0.01 and the
share of warm-up (10 % and 5 %). What follows the warm-up, precision, clipping and averaging are unsaid: cosine decay,
bf16 where the device has it with losses in fp32, norm 1.0, no averaging.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from dubflow.diflow.flow.loss import Scope
from dubflow.diflow.nets.dubber import DubbingWeights
from dubflow.diflow.nets.groups import LearningRates
from dubflow.diflow.nets.tts import TtsWeights
from dubflow.training.settings import RunSettings


class TrainSettings(RunSettings):
    """What both stages have in common."""

    batch_items: int = Field(16, ge=1, description="Clips of a batch, on each device.")
    batch_tokens: int | None = Field(
        None, ge=1, description="Tokens of a batch, padding included, at most; None for no such limit."
    )
    rates: LearningRates = Field(LearningRates(), description="Learning rates by part.")
    warmup_share: float = Field(0.1, ge=0, lt=1, description="Share of the steps in which the rate rises from 0.")
    decay: Literal["cosine", "constant"] = Field("cosine", description="What the rate does after the warm-up.")
    final_share: float = Field(0.0, ge=0, le=1, description="Share of the rate that is left at the last step.")
    ema: float | None = Field(
        None, gt=0, lt=1, description="Decay of the moving average of the weights, which then is the result."
    )
    longest_s: float = Field(30.0, gt=0, description="Longer clips are left out.")
    prompt_share: float = Field(
        0.3, gt=0, le=1, description="Length of the prompt as a share of the utterance it is cut from."
    )
    scope: Scope = Field("all", description="Positions that the flow's loss counts; the paper counts all.")
    validate_clips: int = Field(32, ge=1, description="Clips whose loss is measured in a validation.")
    validate_aloud: int = Field(4, ge=0, description="Of these, clips that are spoken and drawn.")


class TtsTraining(TrainSettings):
    """Stage 1."""

    weights: TtsWeights = TtsWeights()


class DubberTraining(TrainSettings):
    """Stage 2."""

    weights: DubbingWeights = DubbingWeights()
    adopt: bool = Field(True, description="Start from stage 1's weights, of which Projection and Content Head stay.")
