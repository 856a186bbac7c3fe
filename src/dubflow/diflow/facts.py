"""What is known of a stored model without its weights: where it lies, what it says of itself, its digest.

Nothing here needs torch, so a process that only reads facts starts in a moment.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, ValidationError

from dubflow.config import Strict
from dubflow.diflow.nets.settings import NetSettings
from dubflow.errors import BadInput
from dubflow.media.digest import sha256_file

FORMAT = "dubflow.diflow/1"
FACTS = "model.json"
WEIGHTS = "model.safetensors"
CARD = "card.md"
LINEAGE = "lineage.json"
CODEC = "codec"

STARTER = "starter"
"""Name of the dubber that comes with the package."""
STARTER_TTS = "starter-tts"
"""Name of its teacher, the model of stage 1 that comes with it."""
_SHIPPED = {STARTER: "diflow", STARTER_TTS: "tts"}

Stage = Literal["tts", "dubber"]


class ModelFacts(Strict):
    """What stands in ``model.json``."""

    format: Literal["dubflow.diflow/1"] = "dubflow.diflow/1"
    stage: Stage = Field(description="tts: stage 1, speaks text; dubber: stage 2, speaks text to a silent clip.")
    settings: NetSettings = Field(description="Figures of the network.")
    codec: str = Field(description="Id of the codec whose tokens it speaks.")
    extractors: dict[str, str] = Field(description="Ids of landmarker, lip and face features, and of the phonemes.")
    prepare: dict[str, Any] = Field(
        default_factory=dict, description="Settings of prepare that its features were made with; empty: the defaults."
    )
    world: Literal["embedded", "real"] = Field(description="Whether it was trained on rendered or on real people.")
    languages: tuple[str, ...] = Field(description="Languages of its training material.")
    preset: str = Field(description="Name of the preset that it was trained with.")
    steps: int = Field(ge=0, description="Steps of training.")


def model_digest(folder: Path) -> str:
    """SHA-256 over facts and weights of a stored model."""
    parts = [sha256_file(folder / name) for name in (FACTS, WEIGHTS)]
    return hashlib.sha256("".join(parts).encode()).hexdigest()


def read_facts(folder: Path) -> ModelFacts:
    """The facts of a stored model, without its weights.

    Raises:
        BadInput: ``diflow.not_a_model``, ``diflow.unknown_format``, ``diflow.bad_model_facts``.
    """
    path = Path(folder) / FACTS
    if not path.is_file():
        raise BadInput(
            "diflow.not_a_model",
            f"{folder} holds no stored model (no {FACTS}).",
            "Train one: dubflow train dubber; its result lies in OUT/model.",
        )
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(content, dict) or content.get("format") != FORMAT:
            found = content.get("format") if isinstance(content, dict) else None
            raise BadInput(
                "diflow.unknown_format",
                f"{path} is of format {found!r}; this dubflow reads {FORMAT}.",
                "Store the model again with this version.",
            )
        return ModelFacts.model_validate(content)
    except (OSError, ValueError, ValidationError) as error:
        raise BadInput(
            "diflow.bad_model_facts", f"{path} does not describe a model: {error}", "Store the model again."
        ) from error


def find_model(name: str | Path) -> Path:
    """Folder of a model: ``starter`` and ``starter-tts`` come with the package, anything else is a path.

    Raises:
        BadInput: ``diflow.no_starter``, ``diflow.not_a_model``.
    """
    if str(name) in _SHIPPED:
        folder = Path(__file__).parents[1] / "starter" / _SHIPPED[str(name)]
        if not (folder / FACTS).is_file():
            raise BadInput(
                "diflow.no_starter",
                "This installation has no starter model.",
                "Train one (dubflow train tts, then dubflow train dubber) and name its folder.",
            )
        return folder
    folder = Path(name)
    read_facts(folder)
    return folder
