"""What the built-in generator of prompts draws from. Section ``incontext.prompts`` of a preset."""

from __future__ import annotations

from typing import Self

from pydantic import Field, model_validator

from dubflow.config import Strict
from dubflow.incontext.pairs.prompts.structure import LANGUAGES, SHORTEST_PAUSE_S, Kind, Language, Phrase

SECTION = "incontext.prompts"


class GrammarSettings(Strict):
    """What the built-in generator draws from. The defaults make clips of about the paper's length."""

    languages: tuple[Language, ...] = Field(
        LANGUAGES, min_length=2, description="Every ordered pair is equally likely."
    )
    kinds: tuple[Kind, ...] = Field(("man", "woman"), min_length=1, description="Who speaks.")
    voices: tuple[Phrase, ...] = Field(
        ("deep voice", "low voice", "soft voice", "clear voice", "high voice"), min_length=1, description="How."
    )
    scenes: bool = Field(True, description="Say where it is, in which light, and what is done; compact texts do not.")
    command_share: float = Field(0.0, ge=0, le=1, description="Share of GRID commands; the rest are free sentences.")
    places: tuple[int, int] = Field((2, 6), description="Fewest and most places of a command, from its first on.")
    frames: int | None = Field(
        249, description="Length of every clip, 8k + 1; the switch is in its middle. None: as long as the text needs."
    )
    pause_s: tuple[float, float] = Field((1.0, 2.0), description="Shortest and longest silent pause.")
    lead_s: float = Field(
        0.3,
        ge=0,
        le=2,
        description="Silence before the first segment where frames is None; a half may lose 7 frames.",
    )
    pace: float = Field(1.0, gt=0.3, lt=4, description="Seconds of a segment over those of a usual speaker.")

    @model_validator(mode="after")
    def _can_be_drawn(self) -> Self:
        if len(set(self.languages)) != len(self.languages):
            raise ValueError("languages: each stands once")
        if not 1 <= self.places[0] <= self.places[1] <= 6:
            raise ValueError("places: a command has one to six, the fewest first")
        if not SHORTEST_PAUSE_S <= self.pause_s[0] <= self.pause_s[1]:
            raise ValueError(f"pause_s: from {SHORTEST_PAUSE_S} s on, the shortest first")
        if self.frames is not None and (self.frames < 33 or (self.frames - 1) % 8):
            raise ValueError("frames: 8k + 1, at least 33")
        return self
