"""How long work takes, as it was measured: the file that a capacity plan rests on."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, ValidationError, model_validator

from dubflow.config import Strict, presets_folder
from dubflow.errors import BadInput

FORMAT: Literal["dubflow.service-times/1"] = "dubflow.service-times/1"
FOLDER, SHIPPED = "capacity", "embedded-cpu"


class Measured(Strict):
    """One dub, alone on the machine."""

    clip_s: float = Field(gt=0)
    work_s: float = Field(gt=0)


class ServiceTimes(Strict):
    """What a node needs for dubs."""

    format: Literal["dubflow.service-times/1"] = FORMAT
    world: Literal["embedded", "real"] = Field(description="Of the model that was measured.")
    machine: str = Field(min_length=1, description="What a node is.")
    source: str = Field(min_length=1, description="Command that measured it, and when.")
    assumption: bool = Field(False, description="Whether somebody assumed these figures instead of measuring them.")
    dubs: tuple[Measured, ...] = Field(min_length=1, description="Dubs of several lengths, several times.")
    batch_share: dict[int, float] = Field(
        default_factory=lambda: {1: 1.0},
        description="Work of a batch of so many dubs, as a share of what they take one after another.",
    )
    overhead_s: float = Field(0.0, ge=0, description="Of a dub, on its node, beside the model: files, signature.")
    cold_start_s: float = Field(ge=0, description="From a node that was asked for to its first dub.")

    @model_validator(mode="after")
    def _shares_make_sense(self) -> ServiceTimes:
        if self.batch_share.get(1) != 1.0 or not all(size >= 1 and one > 0 for size, one in self.batch_share.items()):
            raise ValueError("batch_share has 1: 1.0, and shares above 0")
        return self

    @property
    def device_s_per_minute(self) -> float:
        """Seconds of a node's work a dubbed minute."""
        return 60.0 * sum(one.work_s for one in self.dubs) / sum(one.clip_s for one in self.dubs)

    @property
    def label(self) -> str:
        """What has to stand beside every figure that is made of these."""
        world = "embedded world" if self.world == "embedded" else "real world"
        return f"{world}, {'ASSUMED' if self.assumption else 'measured'}: {self.machine}"

    def paces(self) -> NDArray[np.float64]:
        """Seconds of work a second of clip, of each dub that was measured."""
        return np.array([one.work_s / one.clip_s for one in self.dubs], dtype=np.float64)

    def share_of(self, size: int) -> float:
        """Share of a batch of ``size``; between two that were measured on a line, beyond the largest as the largest."""
        sizes = sorted(self.batch_share)
        return float(np.interp(size, sizes, [self.batch_share[one] for one in sizes]))


def assumed(
    device_s_per_minute: float, machine: str, world: Literal["embedded", "real"], cold_start_s: float
) -> ServiceTimes:
    """One figure that somebody names; marked as what it is."""
    return ServiceTimes(
        world=world,
        machine=machine,
        source="given on the command line",
        assumption=True,
        dubs=(Measured(clip_s=60.0, work_s=device_s_per_minute),),
        cold_start_s=cold_start_s,
    )


def load_times(name: str) -> ServiceTimes:
    """Read a file, or one that is shipped (``embedded-cpu``).

    Raises:
        BadInput: ``platform.bad_service_times``.
    """
    path = Path(name) if name.endswith(".json") else presets_folder() / FOLDER / f"{name}.json"
    try:
        return ServiceTimes.model_validate(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, ValidationError) as error:
        raise BadInput(
            "platform.bad_service_times",
            f"{path} does not say how long dubs take: {str(error).splitlines()[0]}.",
            "Measure them: python benchmarks/capacity.py --measure FILE.json.",
        ) from error
