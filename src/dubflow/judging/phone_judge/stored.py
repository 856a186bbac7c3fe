"""A phone recogniser on disk: a folder as :mod:`dubflow.judging.judge_folder` says."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dubflow.judging.full.weights import load_into, read_state
from dubflow.judging.judge_folder import WEIGHTS, write_judge_folder
from dubflow.judging.phone_judge.facts import PhoneModelFacts, phone_model_digest, read_phone_facts
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
    write_judge_folder(folder, network, facts, card=card, lineage=lineage)


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
