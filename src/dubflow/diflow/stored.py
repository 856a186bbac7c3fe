"""Stored models: a folder of weights, facts, card, lineage and the codec that the model speaks with.

===================== ==================================================================
``model.safetensors`` weights of one network, every name of it and no other
``model.json``        :class:`ModelFacts`: which network, its figures, what it was fed with
``card.md``           for a person
``lineage.json``      what it was made from and how
``codec/``            a copy of the codec folder
===================== ==================================================================

Nothing in it is code: safetensors, JSON and Markdown.
"""

from __future__ import annotations

import shutil
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.torch import load_file

from dubflow.atomic import PARTIAL, write_json
from dubflow.corpora.tensorfile import write_tensors
from dubflow.diflow.facts import (
    CARD,
    CODEC,
    FACTS,
    FORMAT,
    LINEAGE,
    STARTER,
    STARTER_TTS,
    WEIGHTS,
    ModelFacts,
    Stage,
    find_model,
    model_digest,
    read_facts,
)
from dubflow.diflow.nets.dubber import DubberNetwork
from dubflow.diflow.nets.settings import NetSettings
from dubflow.diflow.nets.tts import TtsNetwork
from dubflow.errors import BadInput, WrongUse
from dubflow.speech.codecs import Codec
from dubflow.speech.codecs.stored import load_codec
from dubflow.training.eight_bit import packed, unpacked

__all__ = [
    "CARD",
    "CODEC",
    "FACTS",
    "FORMAT",
    "LINEAGE",
    "STARTER",
    "STARTER_TTS",
    "WEIGHTS",
    "ModelFacts",
    "Network",
    "Stage",
    "StoredModel",
    "build_network",
    "find_model",
    "load_model",
    "model_digest",
    "read_facts",
    "save_model",
]

Network = TtsNetwork | DubberNetwork


@dataclass(frozen=True)
class StoredModel:
    """A model as it was read: its network is in eval mode, in float32, on the processor."""

    facts: ModelFacts
    network: Network
    codec_folder: Path
    folder: Path

    def codec(self) -> Codec:
        """The codec that lies in the folder.

        Raises:
            BadInput: what ``load_codec`` says; ``diflow.codec_disagrees`` when it is not the one of the facts.
        """
        return _checked_codec(self.codec_folder, self.facts)

    @property
    def dubber(self) -> DubberNetwork:
        """The network of a model of stage 2.

        Raises:
            WrongUse: ``diflow.wrong_stage``.
        """
        if isinstance(self.network, DubberNetwork):
            return self.network
        raise _wrong_stage(self, "dubber")

    @property
    def tts(self) -> TtsNetwork:
        """The network of a model of stage 1.

        Raises:
            WrongUse: ``diflow.wrong_stage``.
        """
        if isinstance(self.network, TtsNetwork):
            return self.network
        raise _wrong_stage(self, "tts")

    @property
    def digest(self) -> str:
        """SHA-256 over facts and weights: equal digests speak alike."""
        return model_digest(self.folder)


def build_network(stage: Stage, settings: NetSettings) -> Network:
    """A new network of a stage, with random weights."""
    return TtsNetwork(settings) if stage == "tts" else DubberNetwork(settings)


def save_model(
    folder: Path,
    network: Network,
    facts: ModelFacts,
    *,
    card: str,
    lineage: Mapping[str, Any],
    codec: Path,
    weights: Literal["float32", "float16", "int8"] = "float32",
) -> None:
    """Write a model; the folder appears whole or not at all. An older model at its place is replaced.

    Args:
        network: of the stage that ``facts`` name; its weights are copied to the processor.
        card: Markdown.
        lineage: JSON types only.
        codec: folder of the codec, which is copied.
        weights: how they are kept; float16 halves the file and rounds, int8 halves it again (:func:`packed`; what
            that leaves alone is float16).

    Raises:
        WrongUse: ``diflow.folder_is_a_stranger`` when something that is no model lies there, ``diflow.wrong_stage``.
        BadInput: ``diflow.codec_disagrees``, ``diflow.bad_weights_file`` for weights that are not finite.
    """
    folder = Path(folder)
    if not isinstance(network, TtsNetwork if facts.stage == "tts" else DubberNetwork):
        raise WrongUse("diflow.wrong_stage", f"A {type(network).__name__} is no network of the stage {facts.stage!r}.")
    if folder.exists() and not _replaceable(folder):
        raise WrongUse(
            "diflow.folder_is_a_stranger", f"{folder} exists and is no stored model.", "Name a new or empty folder."
        )
    _checked_codec(codec, facts)
    arrays = _arrays(network, weights)
    broken = sorted(name for name, array in arrays.items() if not np.isfinite(array).all())
    if broken:
        raise BadInput(
            "diflow.bad_weights_file",
            f"Weights are not finite: {', '.join(broken[:3])} ({len(broken)} in all).",
            "The training diverged, or float16 is too narrow for them.",
        )
    part = _beside(folder)
    part.mkdir(parents=True)
    try:
        write_tensors(part / WEIGHTS, arrays, {"format": "pt"})
        write_json(part / FACTS, facts.model_dump(mode="json"))
        write_json(part / LINEAGE, dict(lineage))
        (part / CARD).write_text(card.rstrip("\n") + "\n", encoding="utf-8")
        shutil.copytree(codec, part / CODEC)
        _take_place(part, folder)
    finally:
        shutil.rmtree(part, ignore_errors=True)


def load_model(folder: Path) -> StoredModel:
    """Read what :func:`save_model` wrote.

    Raises:
        BadInput: ``diflow.not_a_model``, ``diflow.unknown_format``, ``diflow.bad_model_facts``,
            ``diflow.bad_weights_file`` when weights are missing, damaged, of other names or shapes, or not finite.
    """
    folder = Path(folder)
    facts = read_facts(folder)
    network = build_network(facts.stage, facts.settings)
    try:
        state = {name: value.to(torch.float32) for name, value in unpacked(load_file(folder / WEIGHTS)).items()}
        network.load_state_dict(state, strict=True)
    except (OSError, SafetensorError, RuntimeError) as error:
        raise _bad_weights(folder, str(error)) from error
    broken = sorted(name for name, value in state.items() if not bool(torch.isfinite(value).all()))
    if broken:
        raise _bad_weights(folder, f"{broken[0]} is not finite")
    if not (folder / CODEC).is_dir():
        raise BadInput("diflow.not_a_model", f"{folder} has no codec.", "Store the model again; it has a codec/ in it.")
    return StoredModel(facts, network.eval(), folder / CODEC, folder)


def _arrays(network: Network, weights: Literal["float32", "float16", "int8"]) -> dict[str, NDArray[Any]]:
    state = {name: value.detach().to("cpu", torch.float32) for name, value in network.state_dict().items()}
    if weights != "int8":
        return {name: value.numpy().astype(weights) for name, value in state.items()}
    small = packed(state)
    left = {name: value.half() for name, value in small.items() if name in state and value.dtype == torch.float32}
    return {name: value.numpy() for name, value in (small | left).items()}


def _replaceable(folder: Path) -> bool:
    """Whether nothing is lost that is not ours: an empty folder, or an older model."""
    if not folder.is_dir():
        return False
    return not any(folder.iterdir()) or ((folder / FACTS).is_file() and (folder / WEIGHTS).is_file())


def _beside(folder: Path) -> Path:
    # Names that a sweep knows, should we be killed half-way.
    return folder.with_name(f".{folder.name}.{uuid.uuid4().hex[:8]}{PARTIAL}")


def _take_place(part: Path, folder: Path) -> None:
    """``part`` becomes ``folder``; what lay there goes once it has been moved away."""
    old = _beside(folder)
    if folder.exists():
        folder.rename(old)
    part.rename(folder)
    shutil.rmtree(old, ignore_errors=True)


def _checked_codec(folder: Path, facts: ModelFacts) -> Codec:
    codec = load_codec(folder)
    if codec.id != facts.codec:
        raise BadInput(
            "diflow.codec_disagrees",
            f"The model speaks the tokens of {facts.codec}; {folder} holds {codec.id}.",
            "A model and its codec belong together: use the codec that its training data was encoded with.",
        )
    return codec


def _bad_weights(folder: Path, problem: str) -> BadInput:
    lines = problem.strip().splitlines() or ["nothing is known"]
    return BadInput(
        "diflow.bad_weights_file",
        f"{folder / WEIGHTS} are not the weights that {FACTS} describes: {lines[0]}",
        "Copy or store the model again.",
        problems=[line.strip() for line in lines[:5]],
    )


def _wrong_stage(model: StoredModel, wanted: Stage) -> WrongUse:
    return WrongUse(
        "diflow.wrong_stage",
        f"{model.folder} is a model of the stage {model.facts.stage!r}; this needs {wanted!r}.",
        "dubflow train dubber makes the one that dubs, dubflow train tts the one that only speaks.",
    )
