"""What came back: figures of every segment, and what was noticed."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field

from dubflow.config import Strict
from dubflow.dubbing.request import DubOptions


class SegmentResult(Strict):
    """One segment."""

    text: str
    start: float = Field(description="Seconds; first frame that it was given.")
    end: float = Field(description="Seconds; end of its last frame.")
    phones: int = Field(description="Phones without silence.")
    phones_a_second: float
    face_found: float = Field(description="Share of its frames in which the face was really found.")
    planned_start: float | None = Field(description="When the engine meant speech to start, in seconds of the clip.")
    planned_end: float | None = Field(description="When it meant speech to end.")
    speech_start: float | None = Field(description="When speech is heard to start; None when nothing stands out.")
    speech_end: float | None = Field(description="When it is heard to end.")
    notices: tuple[str, ...] = ()


class DubResult(Strict):
    """One dubbed clip; lies beside it as ``NAME.dub.json``."""

    format: Literal["dubflow.dub-result/1"] = "dubflow.dub-result/1"
    request: str = Field(description="Digest of the request; an output whose request is the same is not made again.")
    clip: str = Field(description="The clip's file name.")
    clip_sha256: str
    out: Path
    out_sha256: str
    language: str
    reference: str = Field(description="File name of the voice, or self.")
    oracle: bool = Field(description="Whether the voice was taken from the clip's own sound.")
    engine: str = Field(description="Engine and model, with digest.")
    world: Literal["embedded", "real"] = Field(description="Where the engine's model learnt to speak.")
    options: DubOptions
    frames: int = Field(description="Frames at 25 a second that the engine saw.")
    duration_s: float = Field(description="Of the picture.")
    sample_rate: int
    samples: int = Field(description="Of the new sound.")
    duration_error_s: float = Field(description="Written sound minus picture, by the file's own times.")
    segments: tuple[SegmentResult, ...]
    seconds: float = Field(description="Time used, the engine's share of its batch included.")
    signed: bool = Field(False, description="Whether the output carries a C2PA manifest.")
    notices: tuple[str, ...] = ()


class DubFailure(Strict):
    """A clip of a batch that could not be dubbed."""

    clip: str
    code: str
    reason: str
    hint: str = ""
