"""What the models ask of a feature extractor."""

from __future__ import annotations

from typing import Any, Protocol

import numpy.typing as npt

from dubflow.errors import BadInput
from dubflow.faces.frames import Picture
from dubflow.faces.tracks import Floats

LIP_DIM = 512
FACE_DIM = 256


class LipFeatures(Protocol):
    """Features of the lip crops of one clip."""

    @property
    def id(self) -> str:
        """Name, version and weights; equal ids on equal crops give equal features. Goes into cache keys."""

    def extract(self, crops: Picture) -> Floats:
        """uint8 [F, 96, 96] (``crops.crop_lips``) to float32 [F, 512]; raises BadInput ``faces.bad_crops``."""


class FaceFeatures(Protocol):
    """Features of the face crops of one clip."""

    @property
    def id(self) -> str:
        """As ``LipFeatures.id``."""

    def extract(self, crops: Picture) -> Floats:
        """uint8 [F, S, S, 3] (``crops.crop_face``) to float32 [F, 256]; raises BadInput ``faces.bad_crops``."""


def check_lip_crops(crops: npt.NDArray[Any]) -> None:
    """Raises BadInput ``faces.bad_crops`` unless ``crops`` is uint8 [F, 96, 96]."""
    if crops.dtype != "uint8" or crops.ndim != 3 or crops.shape[1:] != (96, 96):
        raise BadInput(
            "faces.bad_crops",
            f"Lip crops have shape {crops.shape} and type {crops.dtype}.",
            "They are uint8 [F, 96, 96]; see dubflow.faces.crops.crop_lips.",
        )


def check_face_crops(crops: npt.NDArray[Any]) -> None:
    """Raises BadInput ``faces.bad_crops`` unless ``crops`` is uint8 [F, S, S, 3] with some S."""
    square = crops.ndim == 4 and crops.shape[1] == crops.shape[2] > 0 and crops.shape[3] == 3
    if crops.dtype != "uint8" or not square:
        raise BadInput(
            "faces.bad_crops",
            f"Face crops have shape {crops.shape} and type {crops.dtype}.",
            "They are uint8 [F, S, S, 3]; see dubflow.faces.crops.crop_face.",
        )
