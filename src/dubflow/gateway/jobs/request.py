"""What a job asks for: files by their keys in the storage, never by paths."""

from __future__ import annotations

import hashlib
import json
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from dubflow.config import Strict
from dubflow.dubbing.request import SELF, DubOptions, SegmentText

Quality = Literal["draft", "standard", "best"]
STEPS_OF: dict[Quality, int] = {"draft": 4, "standard": 16, "best": 64}
"""Steps of the flow (NFE) by quality."""


class StockVoice(Strict):
    """A voice that comes with the server."""

    kind: Literal["stock"] = "stock"
    name: str = Field(min_length=1, max_length=64, description="As GET /v1/voices lists it.")


class ClonedVoice(Strict):
    """A voice whose owner agreed."""

    kind: Literal["cloned"] = "cloned"
    consent: str = Field(min_length=1, max_length=64, description="Record of the consent.")
    reference: str = Field(
        min_length=1, max_length=512, description=f"Key of the recording, or `{SELF}` for the clip's own sound."
    )


Voice = Annotated[StockVoice | ClonedVoice, Field(discriminator="kind")]


class JobOptions(Strict):
    """What of :class:`DubOptions` a client may set; None leaves it to the quality or the default."""

    steps: int | None = Field(None, ge=1, le=128, description="Steps of the flow (NFE).")
    temperature: float | None = Field(None, ge=0, le=10, allow_inf_nan=False, description="0 takes the likeliest code.")
    seed: int | None = Field(None, ge=0, lt=2**63, description="Same request and seed, same sound.")
    background: Literal["silence", "original"] | None = Field(None, description="What sounds between the segments.")
    no_face: Literal["refuse", "speak"] | None = Field(None, description="Where mostly no face is found.")
    margin_s: float | None = Field(None, ge=0, le=2, allow_inf_nan=False, description="Air around a subtitle's times.")


class JobRequest(Strict):
    """One clip to dub, as it is stored with the job."""

    format: Literal["dubflow.job-request/1"] = "dubflow.job-request/1"
    clip: str = Field(min_length=1, max_length=512, description="Key of the clip.")
    segments: tuple[SegmentText, ...] = Field(min_length=1, description="One without times, or any number with times.")
    language: str = Field(min_length=2, max_length=35, description="ISO 639-1 code, or one of its accents.")
    voice: Voice
    engine: Literal["auto", "diflow"] = "auto"
    quality: Quality = "standard"
    options: JobOptions = JobOptions()
    webhook: str | None = Field(None, max_length=2048, description="https URL that is told when the job has ended.")
    notices: tuple[str, ...] = Field((), description="What was decided when it was taken on; no part of what is asked.")

    @model_validator(mode="after")
    def _whole_or_timed(self) -> Self:
        if len(self.segments) > 1 and any(one.start is None for one in self.segments):
            raise ValueError("several segments need times")
        return self

    @property
    def reference_key(self) -> str | None:
        """Key of the voice's recording, where it has one of its own."""
        cloned = isinstance(self.voice, ClonedVoice) and self.voice.reference != SELF
        return self.voice.reference if cloned and isinstance(self.voice, ClonedVoice) else None

    def dub_options(self) -> DubOptions:
        """Quality and options in the engine's words."""
        given = {name: value for name, value in self.options.model_dump().items() if value is not None}
        return DubOptions(**{"steps": STEPS_OF[self.quality], **given})

    def sha256(self) -> str:
        """Of all that was asked; equal for equal requests."""
        text = json.dumps(self.model_dump(mode="json", exclude={"notices"}), sort_keys=True, ensure_ascii=False)
        return hashlib.sha256(text.encode()).hexdigest()
