"""Settings of ``prepare`` and ``corpus check``: sections of the presets in ``configs/``."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from pydantic import Field, model_validator

from dubflow.config import Strict

FeatureSource = Literal["embedded", "paper"]


class PrepareSettings(Strict):
    """The section ``prepare`` of a preset."""

    lip_features: FeatureSource = Field(
        default="embedded", description="embedded: computed here, no weights; paper: the lip reader's network (512)."
    )
    lip_weights: Path | None = Field(default=None, description="Weights of the lip reader, for lip_features: paper.")
    face_features: FeatureSource = Field(
        default="embedded", description="embedded: computed here, no weights; paper: the emotion network (256)."
    )
    face_weights: Path | None = Field(default=None, description="Weights of the emotion network.")
    max_faces: int = Field(default=2, ge=1, description="Faces followed at a time; the main one is prepared.")
    min_face_px: int = Field(default=20, ge=1, description="Faces less high than this are not measured.")
    lip_size: Literal[96] = Field(default=96, description="Side of the grey lip crop in pixels.")
    face_size: int = Field(default=128, ge=32, le=512, description="Side of the face crop in pixels.")
    require_face: bool = Field(default=False, description="A clip without a face is a failure, not sound alone.")
    align: Literal["given", "built_in"] = Field(
        default="built_in", description="given: only phone times that the corpus states; built_in: else align English."
    )
    require_durations: bool = Field(default=False, description="A clip without phone times is a failure.")
    store_waveform: bool = Field(default=True, description="Keep the 16 kHz waveform (int16) beside the features.")
    store_crops: bool = Field(default=False, description="Keep the lip and face crops (uint8); large.")
    precision: Literal["float32", "float16"] = Field(default="float32", description="Type of stored features.")
    max_seconds: float = Field(default=120.0, gt=0, description="Longer clips are failures: cut them first.")
    length_tolerance_s: float = Field(
        default=0.5, gt=0, description="Picture and sound (or phones and clip) may differ in length by this much."
    )
    shard_mib: float = Field(default=256.0, gt=0, description="Size of a shard in MiB.")

    @model_validator(mode="after")
    def _weights_are_named(self) -> PrepareSettings:
        for kind in ("lip", "face"):
            if getattr(self, f"{kind}_features") == "paper" and getattr(self, f"{kind}_weights") is None:
                raise ValueError(f"{kind}_features: paper needs {kind}_weights, the path of its weights")
        return self

    def content(self) -> dict[str, Any]:
        """What the arrays depend on: not where weights lie (their digest is in the extractor's id), nor shard sizes."""
        return self.model_dump(mode="json", exclude={"lip_weights", "face_weights", "shard_mib"})


class CheckSettings(Strict):
    """Bands that ``corpus check`` holds clips to."""

    characters_per_second: dict[str, tuple[float, float]] = Field(
        default_factory=dict,
        description="Least and most characters of transcript a second of speech, by language; others: default_band.",
    )
    default_band: tuple[float, float] = Field(
        default=(4.0, 28.0), description="For alphabets; ordinary speech has 10 to 20 characters a second."
    )
    time_tolerance_s: float = Field(
        default=0.04, ge=0, description="Times may pass the clip's end by this much (a frame)."
    )
    content: bool = Field(default=True, description="Decode every clip to find the same content in other files.")
