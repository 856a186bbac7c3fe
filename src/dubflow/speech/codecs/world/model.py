"""Everything that is fitted, as named arrays, and the digest that names it."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from dubflow.speech.codecs import Tokens
from dubflow.speech.codecs.world.normalisation import VoiceModel
from dubflow.speech.codecs.world.quantizer import ResidualQuantizer

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class WorldModel:
    """Everything that was fitted.

    Attributes:
        voices: how speakers differ. usual_aperiodicity: dB of an unvoiced and a voiced frame, ``[2]``.
        prosody: one book ``[1, 1024, 3]``. content: ``[2, 1024, 24]``. acoustic: ``[3, 1024, 41]``.
    """

    voices: VoiceModel
    usual_aperiodicity: Floats
    prosody: ResidualQuantizer
    content: ResidualQuantizer
    acoustic: ResidualQuantizer


def arrays_of(model: WorldModel) -> dict[str, NDArray[np.generic]]:
    """Every fitted array by name, as it is stored: books in float16, the rest in float32."""
    named: dict[str, NDArray[np.generic]] = {
        f"voices.{field.name}": getattr(model.voices, field.name).astype(np.float32) for field in fields(VoiceModel)
    }
    named["usual_aperiodicity"] = model.usual_aperiodicity.astype(np.float32)
    for name in Tokens.BOOKS:
        named[name] = getattr(model, name).books.astype(np.float16)
    return named


def model_of(arrays: dict[str, NDArray[np.generic]]) -> WorldModel:
    """The inverse of :func:`arrays_of`."""
    wide = {name: array.astype(np.float64) for name, array in arrays.items()}
    return WorldModel(
        voices=VoiceModel(**{field.name: wide[f"voices.{field.name}"] for field in fields(VoiceModel)}),
        usual_aperiodicity=wide["usual_aperiodicity"],
        **{name: ResidualQuantizer(wide[name].astype(np.float32)) for name in Tokens.BOOKS},
    )


def digest(model: WorldModel) -> str:
    """SHA-256 of the stored form."""
    content = hashlib.sha256()
    for name, array in sorted(arrays_of(model).items()):
        content.update(f"{name} {array.dtype} {array.shape}".encode())
        content.update(np.ascontiguousarray(array).tobytes())
    return content.hexdigest()
