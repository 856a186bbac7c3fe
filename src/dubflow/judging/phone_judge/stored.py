"""A phone recogniser on disk: weights, facts, card and lineage in a folder. Nothing in it is code.

===================== ==================================================================
``model.safetensors`` weights of the network in float16, every name of it and no other
``model.json``        :class:`~dubflow.judging.phone_judge.facts.PhoneModelFacts`
``card.md``           for a person
``lineage.json``      what it was made from and how
===================== ==================================================================
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from dubflow.atomic import write_json, write_text
from dubflow.corpora.tensorfile import write_tensors
from dubflow.errors import BadInput
from dubflow.judging.full.weights import load_into, read_state
from dubflow.judging.phone_judge.facts import (
    CARD,
    FACTS,
    LINEAGE,
    WEIGHTS,
    PhoneModelFacts,
    phone_model_digest,
    read_phone_facts,
)
from dubflow.judging.phone_judge.network import PhoneNetwork


@dataclass(frozen=True)
class PhoneModel:
    """A model as it was read; its network is in eval mode, in float32."""

    facts: PhoneModelFacts
    network: PhoneNetwork
    digest: str


def save_phone_model(
    folder: Path, network: PhoneNetwork, facts: PhoneModelFacts, *, card: str, lineage: Mapping[str, Any]
) -> None:
    """Write a model, its weights in float16; the facts come last, so a folder with facts is complete.

    Raises:
        BadInput: ``judging.bad_weights`` for weights that are not finite in float16.
    """
    with np.errstate(over="ignore"):  # which is found below
        arrays = {name: value.detach().numpy().astype(np.float16) for name, value in network.state_dict().items()}
    broken = sorted(name for name, array in arrays.items() if not np.isfinite(array).all())
    if broken:
        raise BadInput(
            "judging.bad_weights", f"Weights are not finite in float16: {', '.join(broken[:3])}.", "Train it again."
        )
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / FACTS).unlink(missing_ok=True)
    write_tensors(folder / WEIGHTS, arrays, {"format": "pt"})
    write_json(folder / LINEAGE, dict(lineage))
    write_text(folder / CARD, card.rstrip("\n") + "\n")
    write_json(folder / FACTS, facts.model_dump(mode="json"))


def load_phone_model(folder: Path) -> PhoneModel:
    """Read what :func:`save_phone_model` wrote.

    Raises:
        BadInput: ``judging.weights_missing``, ``judging.unknown_format``, ``judging.bad_judge_facts``;
            ``judging.bad_weights`` and ``judging.weights_do_not_fit`` for a file that is damaged or another network's.
    """
    folder = Path(folder)
    facts = read_phone_facts(folder)
    network = PhoneNetwork(facts.settings, len(facts.symbols) + 1)
    load_into(network, read_state(folder / WEIGHTS), what="the phone recogniser")
    return PhoneModel(facts, network.eval(), phone_model_digest(folder))
