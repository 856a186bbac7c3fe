"""What is asked for: which clip says what, in which language and whose voice."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Literal, Self

from pydantic import Field, model_validator

from dubflow.config import Strict

SELF = "self"
"""The reference that means: the voice of the clip's own sound."""

EngineName = Literal["auto", "diflow", "incontext"]


def engine_for(asked: EngineName, model: Path) -> Literal["diflow", "incontext"]:
    """Which engine ``model`` is for: what was asked, or for ``auto`` what it looks like.

    diffusers' folder of an LTX-2, or one file of its weights, is for the in-context engine.
    """
    if asked != "auto":
        return asked
    incontext = (model / "transformer" / "config.json").is_file() or model.suffix == ".safetensors"
    return "incontext" if incontext else "diflow"


class SegmentText(Strict):
    """A text and when it may be said; without times it has the whole clip."""

    text: str = Field(description="What is said.")
    start: float | None = Field(None, ge=0, allow_inf_nan=False, description="Seconds from the clip's first picture.")
    end: float | None = Field(None, gt=0, allow_inf_nan=False, description="Seconds.")

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if (self.start is None) != (self.end is None):
            raise ValueError("start and end go together")
        if self.start is not None and self.end is not None and self.end <= self.start:
            raise ValueError(f"a segment from {self.start} to {self.end} s is empty")
        return self


class DubOptions(Strict):
    """How it is done. Part of the request's digest, field by field."""

    steps: int = Field(16, ge=1, le=128, description="Steps of the flow (NFE).")
    method: Literal["exact", "euler"] = Field("exact", description="Sampler of the flow.")
    temperature: float = Field(1.0, ge=0, le=10, description="Divides the logits; 0 takes the likeliest code.")
    seed: int = Field(0, ge=0, lt=2**63, description="Same request and seed, same sound.")
    background: Literal["silence", "original"] = Field(
        "silence", description="What sounds between the segments: nothing, or what the clip had there."
    )
    no_face: Literal["refuse", "speak"] = Field(
        "refuse", description="A segment in which mostly no face is found: refuse the clip, or speak without lips."
    )
    margin_s: float = Field(
        0.2, ge=0, le=2, description="A subtitle's segment begins and ends this much wider where nobody else speaks."
    )
    fast_phones_s: float = Field(18.0, gt=0, description="More phones a second than this earn a notice.")
    most_phones_s: float = Field(25.0, gt=0, description="More phones a second than this are refused.")
    least_face: float = Field(
        0.5, ge=0, le=1, description="Share of a segment's frames that must show the face, or it counts as without."
    )
    reference_s: float = Field(15.0, gt=0, description="Of a longer reference only this much is heard.")
    least_reference_s: float = Field(0.7, gt=0, description="Speech that a reference must hold at the least.")


class DubRequest(Strict):
    """One clip to dub."""

    format: Literal["dubflow.dub-request/1"] = "dubflow.dub-request/1"
    clip: Path = Field(description="File with the picture.")
    segments: tuple[SegmentText, ...] = Field(min_length=1, description="One without times, or any number with times.")
    language: str = Field(description="ISO 639-1 code of the language, or one of its accents.")
    reference: str = Field(description="File with the voice, or `self` for the clip's own.")
    engine: EngineName = Field("auto", description="Who does it; auto: whoever the model is for.")
    options: DubOptions = DubOptions()

    @model_validator(mode="after")
    def _whole_or_timed(self) -> Self:
        if len(self.segments) > 1 and any(one.start is None for one in self.segments):
            raise ValueError("several segments need times")
        return self

    def digest(self, clip_sha256: str, reference_sha256: str, engine_id: str) -> str:
        """SHA-256 over everything that the result depends on: contents of files, not their names."""
        content = self.model_dump(mode="json", exclude={"clip", "reference", "engine"})
        parts = {**content, "clip": clip_sha256, "reference": reference_sha256, "engine": engine_id}
        return hashlib.sha256(json.dumps(parts, sort_keys=True, ensure_ascii=False).encode()).hexdigest()
