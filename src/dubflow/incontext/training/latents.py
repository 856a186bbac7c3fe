"""The cache of latents: what the frozen parts of the base make of pairs, once.

A folder: the content-addressed store of :mod:`dubflow.corpora.cache` and ``latents.json``, which says which objects
make which pair. A pair's object has ``context_video``, ``target_video`` ``[C, F', H', W']``, ``context_audio``,
``target_audio`` ``[T, D]`` and, where there is one, ``mask`` (bool ``[F', H', W']``, True in the target's face); a
prompt's has ``video``, ``audio`` ``[L, D]`` and ``mask`` ``[L]``, after the connectors. bfloat16 is stored as its bits.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field, ValidationError
from torch import Tensor

from dubflow.atomic import write_json
from dubflow.config import Strict
from dubflow.corpora.cache import Store
from dubflow.corpora.manifest import Split
from dubflow.errors import BadInput
from dubflow.incontext.backbone.text import TextFeatures

FORMAT = "dubflow.latents/1"
INDEX = "latents.json"
_BITS = "bfloat16:"


class CachedPair(Strict):
    """What the index says of a pair."""

    key: str = Field(description="Of its latents.")
    text: str = Field(description="Key of its prompt's features.")
    shape: tuple[int, int, int] = Field(description="Latent frames, rows and columns.")
    audio_tokens: int = Field(ge=1)
    masked: bool = Field(description="Whether the face is known.")
    prompt: str | None = Field(description="None where only its features were given.")
    language: str | None = None
    speaker: str | None = None
    split: Split | None = None

    @property
    def tokens(self) -> int:
        """Target video tokens."""
        frames, rows, columns = self.shape
        return frames * rows * columns


class LatentIndex(Strict):
    """What stands in ``latents.json``."""

    format: Literal["dubflow.latents/1"] = "dubflow.latents/1"
    source: str = Field(description="Name of the set of pairs.")
    world: Literal["embedded", "real"]
    licence: str | None = None
    version: str = Field(description="Of the base: 2.0, 2.3 or 2.5.")
    parts: dict[str, str] = Field(description="Fingerprints of the parts of the base that were used.")
    settings: dict[str, Any] = Field(description="As the data was made.")
    negative: str | None = Field(None, description="Key of the features of the prompt that guidance leads away from.")
    pairs: dict[str, CachedPair]
    left_out: dict[str, str] = Field(default_factory=dict, description="Pairs that are not here, and why.")
    unmasked: dict[str, str] = Field(default_factory=dict, description="Pairs without a face mask, and why.")
    bytes: int = Field(0, ge=0, description="Of all shards.")


@dataclass(frozen=True, eq=False)
class PairLatents:
    """One pair as tensors: see the module's head. ``text`` is a batch of one."""

    id: str
    context_video: Tensor
    context_audio: Tensor
    target_video: Tensor
    target_audio: Tensor
    mask: Tensor | None
    text: TextFeatures


class LatentSet:
    """A finished cache, read by pair."""

    def __init__(self, root: Path) -> None:
        """Raises:
        BadInput: ``incontext.no_latents``, ``incontext.bad_latents``.
        """
        self.root = Path(root)
        self.index = read_index(self.root)
        self._store: Store | None = None

    def __len__(self) -> int:
        return len(self.index.pairs)

    def ids(self, splits: tuple[Split | None, ...]) -> tuple[str, ...]:
        """Pairs of some splits, sorted."""
        return tuple(sorted(name for name, pair in self.index.pairs.items() if pair.split in splits))

    def __getitem__(self, name: str) -> PairLatents:
        """One pair.

        Raises:
            BadInput: ``incontext.bad_latents`` when the cache lacks what its index names.
        """
        pair = self.index.pairs[name]
        latents = self._read(pair.key)
        return PairLatents(
            id=name,
            context_video=latents["context_video"],
            context_audio=latents["context_audio"],
            target_video=latents["target_video"],
            target_audio=latents["target_audio"],
            mask=latents.get("mask"),
            text=self._text(pair.text),
        )

    def negative(self) -> TextFeatures | None:
        """What guidance leads away from, a batch of one; None where it was not encoded."""
        return None if self.index.negative is None else self._text(self.index.negative)

    def _text(self, key: str) -> TextFeatures:
        text = self._read(key)
        return TextFeatures(text["video"][None], text["audio"][None], text["mask"][None])

    def _read(self, key: str) -> dict[str, Tensor]:
        if self._store is None:
            self._store = Store(self.root)
        if not self._store.has(key):
            raise BadInput(
                "incontext.bad_latents", f"{self.root} lacks the object {key[:12]}.", "Make the cache again."
            )
        return unpacked(self._store.read(key)[0])

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_store": None}


def read_index(root: Path) -> LatentIndex:
    """The index of a cache.

    Raises:
        BadInput: ``incontext.no_latents``, ``incontext.bad_latents``.
    """
    try:
        return LatentIndex.model_validate_json((Path(root) / INDEX).read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise BadInput("incontext.no_latents", f"{root} has no {INDEX}.", "Encode pairs first.") from error
    except (ValidationError, UnicodeDecodeError) as error:
        raise BadInput("incontext.bad_latents", f"{root}: {error}.", f"This dubflow reads {FORMAT}.") from error


def write_index(root: Path, index: LatentIndex) -> None:
    """Write the index; it comes last, so a folder with an index is complete."""
    write_json(Path(root) / INDEX, json.loads(index.model_dump_json()))


def packed(tensors: Mapping[str, Tensor]) -> dict[str, NDArray[Any]]:
    """Tensors as arrays that safetensors files of numpy hold."""
    arrays: dict[str, NDArray[Any]] = {}
    for name, tensor in tensors.items():
        tensor = tensor.detach().cpu().contiguous()
        if tensor.dtype == torch.bfloat16:
            arrays[_BITS + name] = tensor.view(torch.int16).numpy()
        else:
            arrays[name] = tensor.numpy()
    return arrays


def unpacked(arrays: Mapping[str, NDArray[Any]]) -> dict[str, Tensor]:
    """The inverse of :func:`packed`; copies, because arrays of a shard are views of a read-only map."""
    tensors = {}
    for name, array in arrays.items():
        tensor = torch.from_numpy(np.array(array))
        tensors[name.removeprefix(_BITS)] = tensor.view(torch.bfloat16) if name.startswith(_BITS) else tensor
    return tensors
