"""What a stored phone recogniser says of itself, and what pins it; read without loading a network."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, ValidationError, field_validator

from dubflow.config import Strict
from dubflow.errors import BadInput, missing_extra
from dubflow.judging.card.rows import JudgePin
from dubflow.judging.judge_folder import FACTS, WEIGHTS
from dubflow.judging.phone_judge.hearing import QUIETEST_DB, RANGE_DB
from dubflow.media.digest import sha256_file
from dubflow.speech.inventory import PHONES, SYMBOLS

FORMAT: Literal["dubflow.phone-judge/1"] = "dubflow.phone-judge/1"

PHONE_SYMBOLS: tuple[str, ...] = tuple(symbol for symbol in SYMBOLS if symbol in PHONES)
"""Every phone of the inventory in its order: what a new model tells apart."""

PACKAGED = Path(__file__).parents[1] / "weights" / "phones"
"""The recogniser that comes with the package."""


class PhoneNetworkSettings(Strict):
    """Figures of the network."""

    width: int = Field(160, gt=0, description="Channels, D.")
    blocks: int = Field(8, gt=0, description="Residual blocks.")
    kernel: int = Field(11, gt=0, description="Frames of 25 ms that a depthwise convolution spans; odd.")
    expansion: int = Field(2, gt=0, description="Inner width of a block over D.")
    dropout: float = Field(0.1, ge=0, lt=1, description="While training.")

    @field_validator("kernel")
    @classmethod
    def _has_a_middle(cls, value: int) -> int:
        if value % 2 == 0:
            raise ValueError("must be odd")
        return value


class TrainedVoice(Strict):
    """A voice of the embedded world."""

    variant: str
    pitch: int


class PhoneModelFacts(Strict):
    """What stands in ``model.json``."""

    format: Literal["dubflow.phone-judge/1"] = FORMAT
    settings: PhoneNetworkSettings
    symbols: tuple[str, ...] = Field(min_length=1, description="Class k (from 1) is the k-th of these; 0 is the blank.")
    unheard: tuple[str, ...] = Field((), description="Of the symbols, those that no training clip had.")
    languages: tuple[str, ...] = Field(description="ISO 639-1 codes that it was trained in.")
    voices: tuple[TrainedVoice, ...] = Field(description="Voices that it was trained on or chosen by: never judged.")
    world: Literal["embedded", "real"] = "embedded"
    steps: int = Field(ge=0, description="Steps of training.")

    @field_validator("symbols")
    @classmethod
    def _are_phones(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        strange = [symbol for symbol in value if symbol not in PHONES]
        if strange:
            raise ValueError(f"the inventory has no phones {strange}")
        if len(set(value)) != len(value):
            raise ValueError("a symbol stands twice")
        return value

    def knows_voice(self, voice: Mapping[str, Any]) -> bool:
        """Whether it was trained on, or chosen by, the voice of that ``variant`` and ``pitch``."""
        return any(voice.get("variant") == one.variant and voice.get("pitch") == one.pitch for one in self.voices)


def read_phone_facts(folder: Path) -> PhoneModelFacts:
    """The facts of a stored recogniser.

    Raises:
        BadInput: ``judging.weights_missing``, ``judging.unknown_format``, ``judging.bad_judge_facts``.
    """
    path = Path(folder) / FACTS
    if not path.is_file():
        raise BadInput(
            "judging.weights_missing",
            f"{folder} holds no phone recogniser (no {FACTS}).",
            "Make one: python tools/judges.py phones OUT.",
        )
    try:
        content = json.loads(path.read_text("utf-8"))
        found = content.get("format") if isinstance(content, dict) else None
        if found != FORMAT:
            raise BadInput(
                "judging.unknown_format",
                f"{path} is of format {found!r}; this dubflow reads {FORMAT}.",
                "Make the judge again with this version.",
            )
        return PhoneModelFacts.model_validate(content)
    except (OSError, ValueError, ValidationError) as error:
        raise BadInput(
            "judging.bad_judge_facts", f"{path} does not describe a judge: {error}", "Make the judge again."
        ) from error


def phone_model_digest(folder: Path) -> str:
    """SHA-256 over those of facts and weights: equal digests hear alike.

    Raises:
        BadInput: ``judging.weights_missing``; ``media.no_permission`` and the like.
    """
    for name in (FACTS, WEIGHTS):
        if not (Path(folder) / name).is_file():
            raise BadInput(
                "judging.weights_missing",
                f"{folder} holds no phone recogniser (no {name}).",
                "Make one: python tools/judges.py phones OUT.",
            )
    parts = [sha256_file(Path(folder) / name) for name in (FACTS, WEIGHTS)]
    return hashlib.sha256("".join(parts).encode()).hexdigest()


def phone_pin(folder: Path = PACKAGED) -> JudgePin:
    """The pin of a phone recogniser: its digest, and what spells the phones that it is compared with.

    Raises:
        WrongUse: ``install.missing_extra``.
        BadInput: ``judging.weights_missing``.
    """
    for module in ("torch", "jiwer"):
        if find_spec(module) is None:
            raise missing_extra(module)
    try:
        speller = version("espeakng_loader")
    except PackageNotFoundError as error:
        raise missing_extra("espeakng_loader") from error
    return JudgePin(
        version="phones-1",
        sha256=phone_model_digest(folder),
        settings={"espeakng_loader": speller, "range_db": RANGE_DB, "quietest_db": QUIETEST_DB},
    )
