"""The small judge, opened from a folder; and the folder, written after training.

===================== ==================================================================
``model.safetensors`` both towers, float16
``model.json``        :class:`dubflow.judging.sync_judge.facts.SyncFacts`
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
import torch
from numpy.typing import NDArray

from dubflow.atomic import write_json, write_text
from dubflow.corpora.tensorfile import write_tensors
from dubflow.errors import BadInput
from dubflow.judging.full.weights import load_into, read_state
from dubflow.judging.sync_judge.crops import heard, seen
from dubflow.judging.sync_judge.facts import (
    CARD,
    FACTS,
    LINEAGE,
    PACKAGED,
    WEIGHTS,
    SyncFacts,
    read_sync_facts,
    sync_digest,
)
from dubflow.judging.sync_judge.network import SyncNetwork
from dubflow.judging.syncnet import SyncScore, sync_score

Floats = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class SmallSync:
    """Puts what is seen of a mouth and what is heard into one space, where :func:`dubflow.judging.syncnet.sync_score`
    compares them. Its network is in eval mode, in float32."""

    facts: SyncFacts
    network: SyncNetwork
    digest: str

    @staticmethod
    def open(folder: Path = PACKAGED) -> SmallSync:
        """Read a folder.

        Raises:
            BadInput: ``judging.weights_missing``, ``judging.unknown_format``, ``judging.bad_judge_facts``;
                ``judging.bad_weights``, ``judging.weights_do_not_fit`` for a file that is damaged or another network's.
        """
        facts = read_sync_facts(folder)
        network = SyncNetwork(facts.settings)
        load_into(network, read_state(Path(folder) / WEIGHTS), what="small judge of synchrony")
        return SmallSync(facts, network.eval(), sync_digest(folder))

    @property
    def id(self) -> str:
        """Name and the start of the digest."""
        return f"small-sync-{self.digest[:16]}"

    def embed(self, crops: NDArray[np.uint8], waveform: NDArray[np.float32]) -> tuple[Floats, Floats]:
        """Embeddings ``[F - 4, D]`` of length 1, of mouths ``[F, 64, 64]`` (``crops.mouth_crops``) and of 16 kHz mono
        ``[N]``, one a start frame; none of fewer than five frames.

        Raises:
            BadInput: ``judging.bad_crops``, ``judging.bad_waveform``.
        """
        mouths, sounds = seen(crops), heard(waveform, len(crops))
        if not len(sounds):
            nothing = np.zeros((0, self.facts.settings.dimensions), np.float32)
            return nothing, nothing
        with torch.inference_mode():
            video = self.network.see(torch.from_numpy(mouths)[None])[0]
            audio = self.network.hear(torch.from_numpy(sounds)[None])[0]
        return video.numpy(), audio.numpy()

    def score(self, crops: NDArray[np.uint8], waveform: NDArray[np.float32]) -> SyncScore:
        """How well they go together.

        Raises:
            BadInput: as :meth:`embed`; ``judging.too_short`` for fewer than five frames.
        """
        return sync_score(*self.embed(crops, waveform))


def write_sync_judge(
    folder: Path, network: SyncNetwork, facts: SyncFacts, *, card: str, lineage: Mapping[str, Any]
) -> None:
    """Write a folder, weights in float16; the facts come last, so a folder with facts is complete.

    Args:
        card: Markdown.
        lineage: JSON types only.

    Raises:
        BadInput: ``judging.bad_weights`` for weights that are not finite in float16.
    """
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
