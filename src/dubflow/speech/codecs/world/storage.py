"""A fitted codec on disk: one safetensors file with every array, one JSON card that says what it is and came from."""

from __future__ import annotations

import json
from dataclasses import fields
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, ValidationError
from safetensors import SafetensorError
from safetensors.numpy import load, save

from dubflow.atomic import atomic_dir, write_json
from dubflow.config import Strict
from dubflow.errors import BadInput, WrongUse
from dubflow.speech.codecs import BOOK_SIZE, Tokens
from dubflow.speech.codecs.world.codec import CONTENT, WorldCodec
from dubflow.speech.codecs.world.fitting import WorldSettings
from dubflow.speech.codecs.world.losses import StageLoss
from dubflow.speech.codecs.world.model import arrays_of, digest, model_of
from dubflow.speech.codecs.world.normalisation import SHAPE, VoiceModel

CARD = "world.json"
ARRAYS = "world.safetensors"
_WIDTHS = {"prosody": 3, "content": CONTENT, "acoustic": 1 + SHAPE}
_LARGEST = 64 * 2**20


class Origin(Strict):
    """What the codec was fitted on, and how."""

    corpus: str = Field(description="Name of the corpus.")
    corpus_digest: str = Field(default="", description="SHA-256 over what the corpus lists, where it has that.")
    recordings: int = Field(ge=0)
    speakers: int = Field(ge=0)
    seconds: float = Field(ge=0, description="Of speech.")
    languages: list[str] = Field(default_factory=list)
    seed: int
    settings: WorldSettings
    command: str = Field(default="", description="What makes it again.")


class Card(Strict):
    """``world.json``."""

    format: Literal["dubflow.world"] = "dubflow.world"
    version: Literal[1] = 1
    id: str = Field(description="Name in cache keys: a digest of the arrays.")
    digest: str = Field(description="SHA-256 of the arrays by name.")
    sample_rate: Literal[16000] = 16000
    hop: Literal[200] = 200
    book_size: Literal[1024] = 1024
    books: dict[str, int] = Field(description="Books of each stream.")
    speaker_size: int = Field(ge=1, description="Values of a speaker vector.")
    origin: Origin
    losses: list[StageLoss] = Field(description="What it loses on recordings that were kept out of the fit.")


def save_world(codec: WorldCodec, folder: Path, *, origin: Origin, losses: list[StageLoss] | None = None) -> Card:
    """Write the codec into ``folder``, which must not exist yet; it appears whole or not at all.

    Raises:
        WrongUse: ``speech.codec_folder_exists``.
    """
    refuse_existing(folder)
    card = Card(
        id=codec.id,
        digest=digest(codec.model),
        books=dict(Tokens.BOOKS),
        speaker_size=codec.speaker_size,
        origin=origin,
        losses=losses or [],
    )
    arrays = {name: np.ascontiguousarray(array) for name, array in arrays_of(codec.model).items()}
    with atomic_dir(folder) as part:
        (part / ARRAYS).write_bytes(save(arrays))
        write_json(part / CARD, card.model_dump(mode="json"))
    return card


def load_world(folder: Path) -> WorldCodec:
    """The codec of a folder that :func:`save_world` wrote.

    Raises:
        BadInput: ``speech.codec_folder_broken`` when a file is missing, damaged, or of another format or version.
    """
    folder = Path(folder)
    card = read_card(folder)
    try:
        if (folder / ARRAYS).stat().st_size > _LARGEST:
            raise _broken(folder, f"{ARRAYS} is larger than any codec of this kind")
        arrays: dict[str, NDArray[np.generic]] = load((folder / ARRAYS).read_bytes())
    except OSError as error:
        raise _broken(folder, f"{ARRAYS} cannot be read ({error.strerror})") from error
    except SafetensorError as error:
        raise _broken(folder, f"{ARRAYS}: {error}") from error
    problem = _misshapen(arrays)
    if problem:
        raise _broken(folder, problem)
    codec = WorldCodec(model_of(arrays))
    if digest(codec.model) != card.digest:
        raise _broken(folder, f"{ARRAYS} is not the file that {CARD} describes")
    return codec


def read_card(folder: Path) -> Card:
    """The card of a codec folder.

    Raises:
        BadInput: ``speech.codec_folder_broken``.
    """
    try:
        return Card.model_validate(json.loads((Path(folder) / CARD).read_text(encoding="utf-8")))
    except OSError as error:
        raise _broken(folder, f"{CARD} cannot be read ({error.strerror})") from error
    except (ValidationError, ValueError) as error:
        raise _broken(folder, f"{CARD} is not a card of this version ({error})") from error


def refuse_existing(folder: Path) -> None:
    """Say so before the work, not after it.

    Raises:
        WrongUse: ``speech.codec_folder_exists``.
    """
    if Path(folder).exists():
        raise WrongUse("speech.codec_folder_exists", f"{folder} exists already.", "Name a new folder.")


def _misshapen(arrays: dict[str, NDArray[np.generic]]) -> str:
    """What is wrong with the arrays; empty when nothing is."""
    names = {f"voices.{field.name}" for field in fields(VoiceModel)} | {"usual_aperiodicity", *Tokens.BOOKS}
    if arrays.keys() != names:
        return f"{ARRAYS} lacks, or has besides, {sorted(arrays.keys() ^ names)}"
    classes = arrays["voices.weights"].shape[:1]
    rank = arrays["voices.loadings"].shape[2:]
    shapes = {
        "voices.weights": classes,
        "voices.means": (*classes, SHAPE),
        "voices.variances": (*classes, SHAPE),
        "voices.loadings": (*classes, SHAPE, *rank),
        "voices.spread": (SHAPE,),
        "usual_aperiodicity": (2,),
        **{name: (books, BOOK_SIZE, _WIDTHS[name]) for name, books in Tokens.BOOKS.items()},
    }
    if len(classes) != 1 or len(rank) != 1 or not classes[0]:
        return "the voice model has no classes"
    for name, shape in shapes.items():
        array = arrays[name]
        if array.shape != shape or not np.issubdtype(array.dtype, np.floating):
            return f"{name} is {array.dtype} {list(array.shape)} instead of floats {list(shape)}"
        if not np.isfinite(array).all():
            return f"{name} holds NaN or infinite values"
    if any((arrays[f"voices.{name}"] <= 0).any() for name in ("weights", "variances", "spread")):  # type: ignore[operator]
        return "the voice model has a weight, variance or spread that is not positive"
    return ""


def _broken(folder: Path, problem: str) -> BadInput:
    return BadInput(
        "speech.codec_folder_broken",
        f"{Path(folder).name} is not a whole WORLD codec: {problem}.",
        "Fit it again: dubflow codec fit CORPUS --out DIR.",
    )
