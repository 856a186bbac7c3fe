"""How a clip is dubbed: schedule, guidance, stages, masks. Section ``incontext.inference`` of a preset."""

from __future__ import annotations

from typing import Literal, Self

import torch
from pydantic import Field, model_validator

from dubflow.config import Strict
from dubflow.incontext.flow.schedules import DISTILLED, REFINING, fixed_schedule, ltx2_schedule
from dubflow.incontext.masks import MaskScheme
from dubflow.incontext.prompts import NEGATIVE, TEMPLATE
from dubflow.incontext.tokens import AudioPositions, Order

SECTION = "incontext.inference"


class RefineSettings(Strict):
    """The second stage: the first one's picture, twice as large, is noised a little and denoised again."""

    levels: tuple[float, ...] = Field(REFINING, description="Noise levels; the first is that of the noise put on.")
    guidance: float = Field(1.0, ge=1, description="Scale of guidance; 1 is none.")


class InferenceSettings(Strict):
    """One way to run an adapter. The defaults are the released code's first stage at the paper's size."""

    sampler_preset: str = Field("paper", description="Name that adapters' metadata record.")
    width: int = Field(960, ge=32, description="Width of the area that pictures are fitted into, in pixels.")
    height: int = Field(544, ge=32, description="Its height; another shape of picture gets another shape of same area.")
    frames: int = Field(121, ge=9, description="Longest window, 8k + 1 frames; a longer clip is dubbed in several.")
    overlap: int = Field(9, ge=1, description="Frames that two windows share.")
    frame_rate: Literal[25] = Field(25, description="Frames a second inside; audio tokens come at the same rate.")
    schedule: Literal["ltx2", "distilled"] = Field("ltx2", description="Noise levels of the first stage.")
    steps: int = Field(30, ge=1, le=1000, description="Steps of the schedule ltx2; distilled has its own eight.")
    guidance: float = Field(3.0, ge=1, description="Scale of guidance for picture and sound; 1 is none.")
    negative_prompt: str = Field(NEGATIVE, description="What guidance leads away from.")
    prompt_template: str = Field(TEMPLATE, description="How the prompt says who speaks what.")
    first_frame: bool = Field(True, description="The source's first frame is held as the first frame of the result.")
    order: Order = Field("target_first", description="On which side of the targets the references stand.")
    audio_positions: AudioPositions = Field("same", description="Where the reference's sound stands in time.")
    masks: MaskScheme = MaskScheme()
    refine: RefineSettings | None = Field(None, description="A second stage; needs a latent upsampler.")
    keep_outside: bool = Field(False, description="Outside the face the source's own pixels stay.")
    batch_guidance: bool = Field(True, description="Both prompts of guidance in one pass.")
    reuse: bool = Field(True, description="Compute what is the same at every step once.")
    reference_cache: Literal["off", "exact", "approximate"] = Field(
        "off",
        description="Keep keys and values of references over the steps: where that is exact, or also where it changes "
        "the result because references would look at targets.",
    )
    compile: bool = Field(False, description="torch.compile of the blocks: pays on a GPU from some clips of a size on.")

    @model_validator(mode="after")
    def _whole_latents(self) -> Self:
        if (self.frames - 1) % 8 or (self.overlap - 1) % 8:
            raise ValueError("frames and overlap are 8k + 1")
        if self.overlap > self.frames // 2:
            raise ValueError("two windows share at most half of their frames")
        return self

    def levels(self) -> torch.Tensor:
        """Noise levels of the first stage, float32, from 1 to 0."""
        return fixed_schedule(DISTILLED) if self.schedule == "distilled" else ltx2_schedule(self.steps)
