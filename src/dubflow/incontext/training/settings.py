"""How a LoRA for dubbing is trained; sections ``incontext.data`` and ``incontext.training`` of a preset.

JUST-DUB-IT, A.3, gives rank, layers, rates, weights in and outside of the face, 2,000 steps of one pair, gradient
checkpointing, bf16, 960 x 544 x 121 at 25 frames a second, linear schedule and clipping. Weight decay (0.01), the end
of the schedule (a tenth) and no warm-up are the authors' code's; so is the first frame that is sometimes given.
"""

from __future__ import annotations

from typing import Any, ClassVar, Literal, Self

from pydantic import Field, model_validator

from dubflow.config import Strict
from dubflow.incontext.adapter.groups import Rates
from dubflow.incontext.flow.levels import LevelSettings
from dubflow.incontext.masks import MaskScheme
from dubflow.incontext.tokens import AudioPositions, Order
from dubflow.training.settings import RunSettings

FPS = 25
"""Frames a second inside: audio has 25 tokens a second, and both then share one clock."""


class DataSettings(Strict):
    """What pairs are made into; a part of every cache key."""

    section: ClassVar[str] = "incontext.data"

    width: int = Field(960, ge=64, multiple_of=32, description="Width of the area that pictures are fitted into.")
    height: int = Field(
        544, ge=64, multiple_of=32, description="Its height; another shape of picture gets another shape of same area."
    )
    frames: int = Field(121, ge=9, description="Frames at 25 a second, 8k + 1; longer clips are cut to as many.")
    shortest: int = Field(9, ge=9, description="Pairs with fewer frames are left out.")
    masks: Literal["given or faces", "given", "none"] = Field(
        "given or faces", description="Where the face weighs more: masks of the pairs, or else drawn from landmarks."
    )
    shard_mib: int = Field(512, ge=1, description="Size of a file of the cache, about.")

    @model_validator(mode="after")
    def _frames_fit(self) -> Self:
        if (self.frames - 1) % 8:
            raise ValueError(f"frames must be 8k + 1, not {self.frames}")
        return self

    @property
    def size(self) -> tuple[int, int]:
        """Height and width."""
        return self.height, self.width


class LoraTraining(RunSettings):
    """The steps. A batch is one pair, as in the paper, or several of one shape; ``accumulate`` makes more a step.

    A step's loss is the mean over its batches of the mean over their pairs; so where the last pairs of a shape form a
    smaller batch, each of them weighs a little more.
    """

    section: ClassVar[str] = "incontext.training"

    steps: int = Field(2_000, ge=1, description="Optimiser steps in all.")
    batch_items: int = Field(1, ge=1, description="Pairs of a batch, at most; all of one shape and length.")
    rates: Rates = Field("paper", description="Learning rates: paper, code, or ordered patterns of one's own.")
    final_share: float = Field(0.1, ge=0, le=1, description="Share of the rates that is left at the last step.")
    face_weight: float = Field(1.0, gt=0, description="Weight of the loss inside the face.")
    scene_weight: float = Field(0.1, ge=0, description="Weight of the loss outside of the face.")
    first_frame_p: float = Field(
        0.0, ge=0, le=1, description="Share of steps in which the target's first frame is given; the code has 0.1."
    )
    levels: LevelSettings = LevelSettings()
    scheme: MaskScheme = MaskScheme()
    order: Order = Field("ref_first", description="On which side of the targets the reference stands.")
    audio_positions: AudioPositions = Field("same", description="Positions of the reference's sound.")
    gradient_checkpointing: bool = Field(True, description="Compute blocks again in the backward pass: less memory.")
    validate_every: int = Field(100, ge=1, description="Steps between validations.")
    validate_pairs: int = Field(8, ge=1, description="Pairs whose loss is measured in a validation.")
    validate_dubs: int = Field(2, ge=0, description="Of these, pairs that are dubbed by the real inference.")
    checkpoint_every: int = Field(250, ge=1, description="Steps between checkpoints.")
    log_every: int = Field(10, ge=1, description="Steps between lines of the log.")
    seed: int = Field(42, ge=0, description="Of weights, order and noise.")

    @property
    def step_items(self) -> int:
        """Pairs of a step on all devices, at most."""
        return self.batch_items * self.accumulate * self.devices * self.nodes

    def identity(self) -> dict[str, Any]:
        """As of any run; batches of one are not named, for runs are older than other batches."""
        told = super().identity()
        if self.batch_items == 1:
            del told["batch_items"]
        return told
