"""V-SIM: how alike two voices are to ERes2Net (JUST-DUB-IT, which does not say which of its models)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from dubflow.errors import BadInput
from dubflow.judging.card.functions import Answer
from dubflow.judging.card.items import BenchmarkItem, Subject
from dubflow.judging.card.rows import JudgePin, Metric
from dubflow.judging.catalogue import listing
from dubflow.judging.full.eres2net.fbank import SHIFT, WINDOW, kaldi_fbank
from dubflow.judging.full.weights import (
    load_into,
    named,
    read_state,
    weights_digest,
    weights_pin,
    why_no_device,
    why_no_weights,
)
from dubflow.judging.likeness import NO_VOICE, likeness, voice_of
from dubflow.judging.recogniser import SAMPLE_RATE, checked_waveform
from dubflow.media.decode import read_audio

if TYPE_CHECKING:
    from dubflow.judging.full.eres2net.network import ERes2Net, Variant

SHORTEST_SAMPLES = WINDOW + 8 * SHIFT
"""0.105 s: the fewest frames of whose last picture there is a deviation over time."""


class Eres2NetSpeaker:
    """Implements :class:`dubflow.judging.voice.SpeakerEncoder`.

    Args:
        weights: the published state dict.
        variant: which of the published networks it is of.
        device: of torch.

    Raises:
        BadInput: see :func:`dubflow.judging.full.weights.read_state` and :func:`load_into` there.
    """

    def __init__(self, weights: Path, variant: Variant = "en-voxceleb", device: str = "cpu") -> None:
        from dubflow.judging.full.eres2net.network import LAYOUTS, ERes2Net

        self._device = device
        network = ERes2Net(LAYOUTS[variant])
        load_into(network, read_state(weights), what=f"ERes2Net ({variant})")
        self._network: ERes2Net = network.to(device)
        self._id = f"eres2net-{variant}-{weights_digest(weights)[:16]}"

    @property
    def id(self) -> str:
        """Variant and the start of the weights' hash."""
        return self._id

    def embed(self, waveform: NDArray[np.float32]) -> NDArray[np.float32]:
        """Vector ``[192]`` (of any length) of a 16 kHz mono waveform ``[N]`` in -1..1; level hardly counts, as the
        features' mean over time is taken off.

        Raises:
            BadInput: ``judging.bad_waveform``, ``judging.too_short`` (1,680 samples).
        """
        import torch

        audio = checked_waveform(waveform)
        if audio.size < SHORTEST_SAMPLES:
            raise BadInput(
                "judging.too_short",
                f"{audio.size} samples are too few to tell a voice by.",
                f"Give at least {SHORTEST_SAMPLES} at 16 kHz.",
            )
        features = kaldi_fbank(audio)
        with torch.inference_mode():
            given = torch.from_numpy(features - features.mean(axis=0)).to(self._device)
            vector: NDArray[np.float32] = self._network(given[None])[0].cpu().numpy()
        return vector


@dataclass(eq=False)
class VSimJudge:
    """Implements ``card.functions.MetricFunction``: ``v_sim`` by the ERes2Net whose weights lie at ``weights``."""

    weights: Path | None
    variant: Variant = "en-voxceleb"
    device: str = "cpu"
    judge: str = "eres2net"
    metrics: tuple[Metric, ...] = ()
    _encoder: Eres2NetSpeaker | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        self.metrics = (listing("v_sim").metric(self.judge),)

    @property
    def pin(self) -> JudgePin:
        """Variant, hash of the weights, device."""
        return weights_pin(named(self.weights, self.judge), f"eres2net-{self.variant}", {"device": self.device})

    def missing(self) -> str | None:
        """Why its weights are not there."""
        return why_no_weights(self.weights, self.judge, "eres2net") or why_no_device(self.device)

    def prepare(self) -> None:
        """Load the network."""
        if self._encoder is None:
            self._encoder = Eres2NetSpeaker(named(self.weights, self.judge), self.variant, self.device)

    def score(self, subject: Subject) -> Mapping[str, Answer]:
        """Cosine of the clip's voice and of the one that it was to have."""
        self.prepare()
        assert self._encoder is not None
        wanted = voice_of(subject)
        if wanted is None:
            return {"v_sim": NO_VOICE}
        return {"v_sim": likeness(self._encoder, read_audio(subject.clip, SAMPLE_RATE), wanted)}

    def when_failed(self, item: BenchmarkItem) -> Mapping[str, Answer]:
        """What the item has nothing to measure of."""
        return {} if item.files else {"v_sim": NO_VOICE}
