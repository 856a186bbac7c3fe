"""The folder of a judge that was trained here: how it is written. Nothing in it is code.

===================== ==================================================================
``model.safetensors`` weights of the network in float16, every name of it and no other
``model.json``        the judge's own facts
``card.md``           for a person
``lineage.json``      what it was made from and how
===================== ==================================================================
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from dubflow.atomic import write_json, write_text
from dubflow.config import Strict
from dubflow.corpora.tensorfile import write_tensors
from dubflow.errors import BadInput

if TYPE_CHECKING:
    from torch.nn import Module

FACTS, WEIGHTS, CARD, LINEAGE = "model.json", "model.safetensors", "card.md", "lineage.json"


def write_judge_folder(folder: Path, network: Module, facts: Strict, *, card: str, lineage: Mapping[str, Any]) -> None:
    """Write a judge, its weights in float16; the facts come last, so a folder with facts is complete.

    Args:
        card: Markdown. lineage: JSON types only.

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
