"""How pairs are synthesised: section ``incontext.synthesis`` of a preset."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from dubflow.config import Strict
from dubflow.incontext.inference.settings import InferenceSettings
from dubflow.incontext.pairs.fine_mask import MaskSettings
from dubflow.incontext.pairs.inpainting import Hold
from dubflow.incontext.pairs.lip_mask import LipSettings
from dubflow.incontext.pairs.prompts.forms import Form
from dubflow.incontext.prompts import NEGATIVE, TEMPLATE

FPS = 25


class SynthesisSettings(Strict):
    """One way to make pairs. Sizes are the paper's; steps and guidance, which it does not say, are the released code's
    for dubbing. All of it is a part of the identity of what is made."""

    section: ClassVar[str] = "incontext.synthesis"

    width: int = Field(960, ge=64, multiple_of=32, description="Of the clips, in pixels.")
    height: int = Field(544, ge=64, multiple_of=32, description="Of the clips, in pixels.")
    form: Form = Field("full", description="Form of the prompts: full, or compact for bases that read 256 letters.")
    schedule: Literal["ltx2", "distilled"] = Field("ltx2", description="Noise levels of every pass.")
    steps: int = Field(30, ge=1, le=1000, description="Steps of the schedule ltx2; distilled has its own eight.")
    guidance: float = Field(3.0, ge=1, description="Scale of guidance for picture and sound; 1 is none.")
    negative_prompt: str = Field(NEGATIVE, description="What guidance leads away from.")
    hold: Hold = Field(
        "clean", description="How what is not re-spoken is held: clean, at noise level 0; replace, put back every step."
    )
    lips: LipSettings = LipSettings.model_validate({})
    mask: MaskSettings = MaskSettings.model_validate({})
    augment: bool = Field(True, description="Lips of the context from a second pass that spells letters.")
    letters_a_second: float = Field(2.5, gt=0, le=10, description="How fast the second pass spells.")
    tries: int = Field(
        3, ge=1, le=100, description="Seeds tried for a prompt whose clip cannot be cut or shows no face."
    )
    prompt_template: str = Field(
        TEMPLATE, description="What the adapter is told of a target; as `incontext.inference`."
    )
    held_share: float = Field(0.1, ge=0, lt=1, description="Share of speakers held out for validation.")
    crf: int = Field(12, ge=0, le=51, description="x264's quality of the files; 0 is lossless.")
    batch: int = Field(4, ge=1, description="Passes of one clip that are denoised together; of four.")

    @property
    def sampling(self) -> InferenceSettings:
        """The same for whoever samples."""
        return InferenceSettings(
            sampler_preset="synthesis",
            width=self.width,
            height=self.height,
            schedule=self.schedule,
            steps=self.steps,
            guidance=self.guidance,
            negative_prompt=self.negative_prompt,
            prompt_template=self.prompt_template,
            first_frame=False,
        )
