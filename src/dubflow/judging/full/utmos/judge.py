"""UTMOS as evaluations ask it: the whole clip at once, as loud as it is (its level does not count)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from dubflow.errors import BadInput
from dubflow.judging.card.functions import Answer, Measured
from dubflow.judging.card.items import BenchmarkItem, Subject
from dubflow.judging.card.rows import JudgePin, Metric
from dubflow.judging.catalogue import listing
from dubflow.judging.full.weights import load_into, named, read_state, weights_pin, why_no_device, why_no_weights
from dubflow.judging.recogniser import SAMPLE_RATE, checked_waveform
from dubflow.media.decode import read_audio

if TYPE_CHECKING:
    from dubflow.judging.full.utmos.network import Utmos

VERSION = "utmos22-strong"
UNUSED = ("wav2vec2.mask_emb",)
"""What the published file has left of training."""


class UtmosPredictor:
    """Predicts the mean opinion on a recording.

    Args:
        weights: the published state dict.
        device: of torch.

    Raises:
        BadInput: see :func:`dubflow.judging.full.weights.read_state` and :func:`load_into` there.
    """

    def __init__(self, weights: Path, device: str = "cpu") -> None:
        from dubflow.judging.full.utmos.network import Utmos

        self._device = device
        network = Utmos()
        load_into(network, read_state(weights), what="UTMOS22 (strong)", ignore=UNUSED)
        self._network: Utmos = network.to(device)

    def opinion(self, waveform: NDArray[np.float32]) -> float:
        """About 1 to 5, of a 16 kHz mono waveform ``[N]`` in -1..1.

        Raises:
            BadInput: ``judging.bad_waveform``, ``judging.too_short`` (400 samples).
        """
        import torch

        from dubflow.judging.full.utmos.wav2vec2 import SHORTEST_SAMPLES

        audio = checked_waveform(waveform)
        if audio.size < SHORTEST_SAMPLES:
            raise BadInput(
                "judging.too_short",
                f"{audio.size} samples are too few to have an opinion on.",
                f"Give at least {SHORTEST_SAMPLES} at 16 kHz.",
            )
        with torch.inference_mode():
            given = torch.from_numpy(audio.astype(np.float32)).to(self._device)
            return float(self._network(given[None])[0])


@dataclass(eq=False)
class UtmosJudge:
    """Implements ``card.functions.MetricFunction``: ``utmos`` by the weights at ``weights``."""

    weights: Path | None
    device: str = "cpu"
    judge: str = "utmos"
    metrics: tuple[Metric, ...] = ()
    _predictor: UtmosPredictor | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        self.metrics = (listing("utmos").metric(self.judge),)

    @property
    def pin(self) -> JudgePin:
        """Version, hash of the weights, device."""
        return weights_pin(named(self.weights, self.judge), VERSION, {"device": self.device})

    def missing(self) -> str | None:
        """Why its weights are not there."""
        return why_no_weights(self.weights, self.judge, "utmos") or why_no_device(self.device)

    def prepare(self) -> None:
        """Load the network."""
        if self._predictor is None:
            self._predictor = UtmosPredictor(named(self.weights, self.judge), self.device)

    def score(self, subject: Subject) -> Mapping[str, Answer]:
        """Its opinion on the clip."""
        self.prepare()
        assert self._predictor is not None
        return {"utmos": Measured(self._predictor.opinion(read_audio(subject.clip, SAMPLE_RATE)))}

    def when_failed(self, item: BenchmarkItem) -> Mapping[str, Answer]:
        """Nothing that the item lacked."""
        return {}
