"""What an adapter was trained for: the settings without which a LoRA file does not say how to run it.

Three public ways of dubbing with LTX-2 differ in where reference audio stands in time, in what may attend to what, and
in the sampler; a LoRA made for one runs under the others and gives worse clips, silently. So it is written into the
file.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Literal

from pydantic import Field, ValidationError

from dubflow.config import Strict
from dubflow.errors import BadInput
from dubflow.incontext.backbone.settings import Version

HEADER = "dubflow.adapter"
"""Under which name it stands in a safetensors header."""
FORMAT: Literal["dubflow.adapter/1"] = "dubflow.adapter/1"

PositionScheme = Literal["same", "negative"]
MaskScheme = Literal["isolated", "a2v_only", "none"]
ReferenceOrder = Literal["ref_first", "target_first"]
SigmaSharing = Literal["shared", "per_modality"]
_SCALES = ("reference_downscale_factor", "reference_spatial_scale_factor", "reference_temporal_scale_factor")


class UseSettings(Strict):
    """Settings under which an adapter is run; None where the caller does not care."""

    base_version: Version | None = Field(None, description="Which LTX-2 it goes on.")
    video_positions: PositionScheme | None = Field(None, description="Where reference video stands in time.")
    audio_positions: PositionScheme | None = Field(
        None, description="Where reference audio stands: at the target's times, or before it (negative)."
    )
    mask_scheme: MaskScheme | None = Field(None, description="Audio-video attention: isolated is Eq. 3 of the paper.")
    reference_order: ReferenceOrder | None = Field(None, description="Which tokens come first.")
    sigma_sharing: SigmaSharing | None = Field(None, description="One noise level, or one for each modality.")
    prompt_template: str | None = Field(None, description="What the prompt looks like, with {names} in braces.")
    frame_rate: float | None = Field(None, gt=0, description="Frames a second of the clips.")
    sampler_preset: str | None = Field(None, description="Preset of the sampler: paper, code or distilled.")
    reference_downscale_factor: int | None = Field(None, ge=1, description="How much smaller the reference is.")
    reference_spatial_scale_factor: int | None = Field(None, ge=1, description="Scale of its rows and columns.")
    reference_temporal_scale_factor: int | None = Field(None, ge=1, description="Scale of its times.")


# The order of tokens moves nothing in attention; it only says how to slice, and a wrong prompt text or another sampler
# shows in quality alone. All the same: what it was trained with is what it is run with, unless told otherwise.
COMPARED = tuple(UseSettings.model_fields)


class AdapterMetadata(UseSettings):
    """What is stored with an adapter. Unknown facts are None and are reported, never guessed."""

    format: Literal["dubflow.adapter/1"] = FORMAT
    licence: str | None = Field(None, description="Licence of the adapter; weights made from LTX-2 inherit its own.")
    dataset_id: str | None = Field(None, description="Which pairs it was trained on.")
    config_sha256: str | None = Field(None, pattern="^[0-9a-f]{64}$", description="Digest of the training settings.")
    world: str | None = Field(None, description="embedded, when its data was drawn here; else where it is from.")

    def missing(self) -> tuple[str, ...]:
        """Facts that nobody recorded."""
        return tuple(name for name in type(self).model_fields if getattr(self, name) is None)

    def check_use(self, settings: UseSettings, *, allow: bool = False) -> tuple[str, ...]:
        """Compare with the settings of a run.

        Args:
            settings: of the run; what is None there is not compared.
            allow: report differences instead of refusing them; another base version is refused all the same.

        Returns:
            What is to be reported: differences that were allowed, and what could not be compared.

        Raises:
            BadInput: ``incontext.version_mismatch``, ``incontext.adapter_use``.
        """
        wanted = {name: getattr(settings, name) for name in COMPARED if getattr(settings, name) is not None}
        differing = {
            name: (getattr(self, name), value)
            for name, value in wanted.items()
            if getattr(self, name) not in (None, value)
        }
        if self.sigma_sharing == "per_modality":
            differing.pop("sigma_sharing", None)  # two levels of its own choice: equal ones are among them
        if "base_version" in differing:
            trained, used = differing["base_version"]
            raise BadInput(
                "incontext.version_mismatch",
                f"The adapter was trained on LTX-2 version {trained}, the base is {used}.",
                "Adapters and text features are not portable between base versions.",
                trained=trained,
                used=used,
            )
        said = tuple(f"{name}: trained with {was!r}, run with {now!r}" for name, (was, now) in differing.items())
        if said and not allow:
            raise BadInput(
                "incontext.adapter_use",
                f"The adapter was not trained for these settings ({'; '.join(said)}).",
                "Run it as it was trained, or allow the difference explicitly.",
                differences=list(differing),
            )
        unknown = (name for name in wanted if getattr(self, name) is None)
        return said + tuple(f"{name}: not recorded, run with {wanted[name]!r}" for name in unknown)


def from_header(header: Mapping[str, str]) -> AdapterMetadata:
    """The metadata of a safetensors header; public LoRAs state scale factors and sometimes the base's version.

    Raises:
        BadInput: ``incontext.bad_adapter_metadata`` for metadata of ours that is damaged or of a later format.
    """
    try:
        stated = json.loads(header[HEADER]) if HEADER in header else {}
        for name in _SCALES:
            if name in header:
                stated.setdefault(name, int(header[name]))
        if "model_version" in header:
            stated.setdefault("base_version", _short(header["model_version"]))
        return AdapterMetadata.model_validate(stated)
    except (ValueError, ValidationError, AttributeError) as error:
        raise BadInput(
            "incontext.bad_adapter_metadata",
            f"The adapter's metadata cannot be read: {error}",
            "The file is damaged, or was written by a later dubflow.",
        ) from error


def to_header(metadata: AdapterMetadata) -> dict[str, str]:
    """Header entries for ``metadata``: ours as one JSON document, scale factors also under their public names."""
    stated = metadata.model_dump(exclude_none=True)
    if set(stated) <= {"format", "base_version", *_SCALES}:
        document = {}  # nothing that the public names would not say
    else:
        document = {HEADER: json.dumps(stated, sort_keys=True, ensure_ascii=False)}
    scales = {name: str(stated[name]) for name in _SCALES if name in stated}
    version = {"model_version": metadata.base_version} if metadata.base_version else {}
    return document | scales | version


def _short(version: str) -> str | None:
    short = ".".join(version.split(".")[:2])
    return short if short in ("2.0", "2.3", "2.5") else None
