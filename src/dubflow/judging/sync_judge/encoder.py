"""The small judge, opened from a folder as :mod:`dubflow.judging.judge_folder` says; and written after training."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from dubflow.judging.full.weights import load_into, read_state
from dubflow.judging.judge_folder import WEIGHTS, write_judge_folder
from dubflow.judging.sync_judge.crops import heard, seen
from dubflow.judging.sync_judge.facts import PACKAGED, SyncFacts, read_sync_facts, sync_digest
from dubflow.judging.sync_judge.network import SyncNetwork
from dubflow.judging.syncnet import WINDOW, SyncScore, sync_score

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

    def see(self, crops: NDArray[np.uint8]) -> Floats:
        """Embeddings ``[F - 4, D]`` of length 1 of mouths ``[F, 64, 64]`` (``crops.mouth_crops``), one a start frame;
        none of fewer than five frames.

        Raises:
            BadInput: ``judging.bad_crops``.
        """
        mouths = seen(crops)
        return self._nothing() if len(mouths) < WINDOW else self._run(self.network.see, mouths)

    def hear(self, waveform: NDArray[np.float32], frames: int) -> Floats:
        """Embeddings ``[frames - 4, D]`` of length 1 of 16 kHz mono ``[N]``, one a start frame; none of fewer than 5.

        Raises:
            BadInput: ``judging.bad_waveform``.
        """
        sounds = heard(waveform, frames)
        return self._run(self.network.hear, sounds) if len(sounds) else self._nothing()

    def embed(self, crops: NDArray[np.uint8], waveform: NDArray[np.float32]) -> tuple[Floats, Floats]:
        """Both, ``[F - 4, D]`` each.

        Raises:
            BadInput: as :meth:`see`, :meth:`hear`.
        """
        return self.see(crops), self.hear(waveform, len(crops))

    def score(self, crops: NDArray[np.uint8], waveform: NDArray[np.float32]) -> SyncScore:
        """How well they go together.

        Raises:
            BadInput: as :meth:`embed`; ``judging.too_short`` for fewer than five frames.
        """
        return sync_score(*self.embed(crops, waveform))

    def _run(self, tower: Callable[[torch.Tensor], torch.Tensor], clip: Floats) -> Floats:
        with torch.inference_mode():
            vectors: Floats = tower(torch.from_numpy(clip)[None])[0].numpy()
        return vectors

    def _nothing(self) -> Floats:
        settings = self.facts.settings
        return np.zeros((0, settings.dimensions + (3 if settings.centred else 0)), np.float32)


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
    write_judge_folder(folder, network, facts, card=card, lineage=lineage)
