"""Settings of the embedded world; the section ``talkers`` of a preset."""

from __future__ import annotations

from typing import Literal, get_args

from pydantic import Field, field_validator, model_validator

from dubflow.config import Strict

Kind = Literal["plain", "language_switch", "two_speakers", "no_face", "profile", "occluded", "low_light", "non_human"]
KINDS: tuple[Kind, ...] = get_args(Kind)
AUDIBLE_KINDS: tuple[Kind, ...] = ("plain", "language_switch", "two_speakers")
"""Kinds that can be told by ear; the others differ in their pictures alone."""


class TalkerSettings(Strict):
    """How clips of the embedded world are made."""

    size: int = Field(
        default=160,  # the mouth is measured well at 160 and more, and clearly worse at 64
        ge=64,
        le=512,
        multiple_of=2,
        description="Height of the picture; width too, but for two speakers.",
    )
    sample_rate: Literal[16000, 22050, 24000, 44100, 48000] = Field(default=16000, description="Of the sound, in Hz.")
    crf: int = Field(
        default=12,
        ge=0,
        le=51,
        description="x264 quality, lower is better; above 12 the lips of a 128 pixel picture blur measurably.",
    )
    mix: dict[Kind, float] = Field(
        default={
            "plain": 0.7,
            "language_switch": 0.06,
            "two_speakers": 0.06,
            "no_face": 0.04,
            "profile": 0.05,
            "occluded": 0.05,
            "low_light": 0.04,
        },
        description="Weight of each kind of clip; kinds that are left out are not made.",
    )
    voices_only: bool = Field(
        default=False, description="Speak and do not draw: the same clips as sound alone (16-bit WAV)."
    )
    grid_share: float = Field(
        default=0.6, ge=0, le=1, description="Share of GRID commands; the rest are free sentences."
    )
    salad_share: float = Field(
        default=0.0, ge=0, le=1, description="Share of word salads, which hold more of a language's sound pairs."
    )
    event_share: float = Field(
        default=0.25, ge=0, le=1, description="Share of clips with a door, a dog or a clap behind."
    )
    switch_gap_s: float = Field(
        default=1.0, ge=0.2, le=4, description="Least silence between the languages of a switch, in seconds."
    )

    @field_validator("mix")
    @classmethod
    def _something_to_make(cls, value: dict[Kind, float]) -> dict[Kind, float]:
        if any(weight < 0 for weight in value.values()) or sum(value.values()) <= 0:
            raise ValueError("weights are not negative and not all zero")
        return {kind: value[kind] for kind in KINDS if value.get(kind, 0) > 0}

    @model_validator(mode="after")
    def _shares_of_one_whole(self) -> TalkerSettings:
        if self.grid_share + self.salad_share > 1 + 1e-9:
            raise ValueError("grid_share and salad_share are shares of all clips: together they are at most 1")
        return self
