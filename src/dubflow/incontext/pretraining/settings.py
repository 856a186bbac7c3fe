"""How a base is trained from nothing; sections ``incontext.pretraining.*`` of a preset.

LTX-2 is trained in parts: the autoencoders of picture and sound and the vocoder first, each alone, then the
transformer with its text encoder on the latents of the finished autoencoders. So it is done here, with the parts at
the sizes of the section ``incontext.backbone``.
"""

from __future__ import annotations

from typing import ClassVar, Literal, Self

from pydantic import Field, model_validator

from dubflow.config import Strict
from dubflow.incontext.flow.levels import LevelSettings
from dubflow.talkers.settings import Kind
from dubflow.training.settings import RunSettings

Part = Literal["voices", "heads", "switches"]
"""Material by what it shows: sound alone, one sentence by a drawn head, two languages by a drawn head."""


class MaterialSettings(Strict):
    """What is drawn and spoken to train on. Everything hangs on the seed: equal settings, equal clips."""

    section: ClassVar[str] = "incontext.pretraining.material"

    seed: int = Field(0, ge=0, description="Of the world: another seed has other people.")
    size: int = Field(96, ge=64, multiple_of=32, description="Side of the pictures.")
    frames: int = Field(73, ge=9, description="Frames of a clip of one sentence, 8k + 1; the rest is cut off.")
    languages: tuple[str, ...] = Field(("en", "es", "ru", "fr", "de", "it", "el"), min_length=2)
    voices_people: int = Field(56, ge=1, description="People who are heard alone.")
    voices_clips: int = Field(105, ge=1, description="Sentences of each of them.")
    heads_people: int = Field(160, ge=1, description="People who are drawn with one sentence.")
    heads_clips: int = Field(4, ge=1, description="Sentences of each of them.")
    switch_people: int = Field(120, ge=1, description="People who are drawn with two languages, a clip each.")
    switch_gap_s: float = Field(0.4, ge=0.2, le=4, description="Least silence between the two languages.")
    mix: dict[Kind, float] = Field(
        default={"plain": 0.8, "profile": 0.08, "occluded": 0.06, "low_light": 0.06},
        description="Weight of each kind of clip with one sentence.",
    )
    event_share: float = Field(0.15, ge=0, le=1, description="Share of drawn clips with a door, a dog or a clap.")
    held_out_voices: tuple[str, ...] = Field(
        ("f4", "belinda", "aunty", "sandro", "Alex", "quincy", "pedro"),
        description="espeak-ng variants that nobody speaks with here, so that they can be asked for later.",
    )

    @model_validator(mode="after")
    def _frames_fit(self) -> Self:
        if (self.frames - 1) % 8:
            raise ValueError(f"frames must be 8k + 1, not {self.frames}")
        return self


class PartTraining(RunSettings):
    """The steps of one part."""

    steps: int = Field(1_000, ge=1, description="Optimiser steps in all.")
    batch_items: int = Field(4, ge=1, description="Examples of a batch.")
    rate: float = Field(1e-3, gt=0, description="Highest learning rate.")
    warmup_share: float = Field(0.03, ge=0, le=1, description="Share of the steps in which the rate rises in a line.")
    final_share: float = Field(0.03, ge=0, le=1, description="Share of the rate that is left at the last step.")
    betas: tuple[float, float] = Field((0.9, 0.99), description="AdamW's.")
    weight_decay: float = Field(1e-4, ge=0, description="AdamW's.")
    validate_every: int = Field(500, ge=1, description="Steps between validations on people held out.")
    validate_items: int = Field(8, ge=1, description="Examples of a validation.")
    checkpoint_every: int = Field(100, ge=1, description="Steps between checkpoints.")
    log_every: int = Field(50, ge=1, description="Steps between lines of the log.")


class AudioVaeTraining(PartTraining):
    """The autoencoder of sound."""

    section: ClassVar[str] = "incontext.pretraining.audio_vae"

    tokens: int = Field(25, ge=2, description="Tokens of an example: 25 a second.")
    difference_weight: float = Field(0.5, ge=0, description="Of the error of differences in time and frequency.")
    latent_weight: float = Field(1e-3, ge=0, description="Of the latents' mean square, which keeps them together.")
    latent_noise: float = Field(0.05, ge=0, description="Noise on the latents while learning, in their deviations.")


class VocoderTraining(PartTraining):
    """The vocoder."""

    section: ClassVar[str] = "incontext.pretraining.vocoder"

    frames: int = Field(60, ge=16, description="Mel frames of an example: 100 a second.")
    decoded_share: float = Field(0.5, ge=0, le=1, description="Share of spectrograms that the autoencoder has decoded.")
    bands_weight: float = Field(0.3, ge=0, description="Of the error of mel bands beside that of the waveform.")
    resolutions: tuple[int, ...] = Field((512, 1024, 2048), description="Transforms that the loss looks through.")


class VideoVaeTraining(PartTraining):
    """The autoencoder of pictures."""

    section: ClassVar[str] = "incontext.pretraining.video_vae"

    frames: int = Field(17, ge=9, description="Frames of an example, 8k + 1.")
    still_steps: int = Field(0, ge=0, description="First steps, on single pictures: looks are learnt so for less.")
    still_items: int = Field(24, ge=1, description="Pictures of a batch in these steps.")
    motion_weight: float = Field(8.0, ge=0, description="How much more an error weighs where pixels change quickly.")
    least_picture: float = Field(0.05, ge=0, le=1, description="Weight of a clip's picture before its motion is there.")
    edge_weight: float = Field(1.0, ge=0, description="Of the error of differences between neighbouring pixels.")
    latent_weight: float = Field(1e-4, ge=0, description="Of the latents' mean square, which keeps them together.")
    latent_noise: float = Field(0.03, ge=0, description="Noise on the latents while learning, in their deviations.")

    @model_validator(mode="after")
    def _frames_fit(self) -> Self:
        if (self.frames - 1) % 8:
            raise ValueError(f"frames must be 8k + 1, not {self.frames}")
        if self.still_steps > self.steps:
            raise ValueError("still_steps are some of the steps")
        return self


class Phase(Strict):
    """A stretch of the transformer's training."""

    steps: int = Field(ge=1)
    parts: tuple[Part, ...] = Field(min_length=1, description="Material of the batches, in turn.")
    words: int | None = Field(
        None, ge=1, description="Most words of an example of sound alone, cut out of its clip; None: whole clips."
    )


class TransformerTraining(PartTraining):
    """The transformer, its connectors and its text encoder, together."""

    section: ClassVar[str] = "incontext.pretraining.transformer"

    phases: tuple[Phase, ...] = Field(
        (Phase.model_validate({"steps": 1_000, "parts": ("voices", "heads", "switches")}),),
        description="One after the other; their steps together are the steps.",
    )
    levels: LevelSettings = LevelSettings.model_validate({"stretched": True})
    silent_prompt_p: float = Field(0.1, ge=0, le=1, description="Share of examples without a prompt, for guidance.")
    motion_weight: float = Field(3.0, ge=0, description="How much more the error weighs where the latents change.")
    guide_weight: float = Field(0.1, ge=0, description="Of the guide of the sound's attention to its text; 0: none.")

    @model_validator(mode="before")
    @classmethod
    def _steps_of_phases(cls, value: object) -> object:
        if isinstance(value, dict) and "phases" in value and "steps" not in value:
            phases = value["phases"]
            return value | {"steps": sum(one.steps if isinstance(one, Phase) else one["steps"] for one in phases)}
        return value

    @model_validator(mode="after")
    def _steps_fit(self) -> Self:
        if sum(phase.steps for phase in self.phases) != self.steps:
            raise ValueError("steps must be the sum of the phases' steps")
        return self
