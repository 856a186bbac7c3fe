"""Emo-SIM by an encoder that somebody names: any that transformers reads and that hears samples.

DiFlowDubber's Table 5 takes emotion2vec, whose weights come in FunASR's format and are not read here. What takes its
place is named by the score card: figures compare with those of the same encoder and weights only, and what an encoder
tells about emotion is what it was trained on (one tuned on emotions is the better choice; one that was not hears words
and voices too).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from dubflow.errors import BadInput
from dubflow.judging.card.functions import Answer
from dubflow.judging.card.items import BenchmarkItem, Subject
from dubflow.judging.card.rows import JudgePin, Metric
from dubflow.judging.catalogue import listing
from dubflow.judging.full.pretrained import load_model, load_part, model_pin, named_model, why_no_model
from dubflow.judging.full.weights import why_no_device
from dubflow.judging.likeness import NO_REFERENCE, likeness
from dubflow.judging.recogniser import SAMPLE_RATE, checked_waveform
from dubflow.media.decode import read_audio

FAMILIES = ("wav2vec2", "hubert", "wavlm", "data2vec-audio", "unispeech", "unispeech-sat")
"""``model_type`` of the encoders that take samples and give a vector every 20 ms."""
SHORTEST_SAMPLES = 400
_FILES = ("config.json", "preprocessor_config.json", "processor_config.json")
# Only training masks.
_OPTIONAL = ("masked_spec_embed",)


class AudioEncoder:
    """Implements :class:`dubflow.judging.emotion.EmotionEncoder`: the last layer's mean over time.

    Args:
        model: folder or hub id.
        device: of torch.

    Raises:
        BadInput: ``judging.no_model``, ``judging.weights_do_not_fit``, ``judging.unknown_encoder``.
        WrongUse: ``install.missing_extra``.
    """

    def __init__(self, model: str, device: str = "cpu") -> None:
        config = load_part("AutoConfig", model)
        if config.model_type not in FAMILIES:
            raise BadInput(
                "judging.unknown_encoder",
                f"{model} is a {config.model_type!r}, which is no encoder of samples.",
                f"Known: {', '.join(FAMILIES)}.",
            )
        self._prepared = load_part("AutoFeatureExtractor", model)
        if self._prepared.sampling_rate != SAMPLE_RATE:
            raise BadInput(
                "judging.unknown_encoder",
                f"{model} hears {self._prepared.sampling_rate} Hz.",
                f"Name one that hears {SAMPLE_RATE}.",
            )
        self._device = device
        self._network = load_model("AutoModel", model, optional=_OPTIONAL).to(device)
        pin = model_pin(model, "emotion", (), {})
        self._id = f"{pin.version}-{(pin.sha256 or '')[:16]}"

    @property
    def id(self) -> str:
        """Model and the start of the weights' hash."""
        return self._id

    def embed(self, waveform: NDArray[np.float32]) -> NDArray[np.float32]:
        """Vector ``[D]`` of a 16 kHz mono waveform ``[N]`` in -1..1, scaled as the model's own settings say.

        Raises:
            BadInput: ``judging.bad_waveform``, ``judging.too_short`` (400 samples).
        """
        import torch

        audio = checked_waveform(waveform)
        if audio.size < SHORTEST_SAMPLES:
            raise BadInput(
                "judging.too_short",
                f"{audio.size} samples are too few to hear an emotion in.",
                f"Give at least {SHORTEST_SAMPLES} at 16 kHz.",
            )
        given = self._prepared(audio.astype(np.float32), sampling_rate=SAMPLE_RATE, return_tensors="pt")
        with torch.inference_mode():
            heard = self._network(given["input_values"].to(self._device)).last_hidden_state[0]
            vector: NDArray[np.float32] = heard.mean(dim=0).cpu().numpy()
        return vector


@dataclass(eq=False)
class EmotionLikeness:
    """Implements ``card.functions.MetricFunction``: ``emo_sim`` by the encoder that ``model`` names."""

    model: str | None
    device: str = "cpu"
    judge: str = "emotion"
    metrics: tuple[Metric, ...] = ()
    _encoder: AudioEncoder | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        self.metrics = (listing("emo_sim").metric(self.judge),)

    @property
    def pin(self) -> JudgePin:
        """Model, hashes of its files, device."""
        return model_pin(self.model, self.judge, _FILES, {"device": self.device, "pooling": "mean"})

    def missing(self) -> str | None:
        """Why its model or transformers is not there."""
        return why_no_model(self.model, self.judge, "emotion") or why_no_device(self.device)

    def prepare(self) -> None:
        """Load the encoder."""
        if self._encoder is None:
            self._encoder = AudioEncoder(named_model(self.model, self.judge), self.device)

    def score(self, subject: Subject) -> Mapping[str, Answer]:
        """Cosine of the clip's vector and of the true recording's."""
        self.prepare()
        assert self._encoder is not None
        true = subject.files.get("reference")
        if true is None:
            return {"emo_sim": NO_REFERENCE}
        return {"emo_sim": likeness(self._encoder, read_audio(subject.clip, SAMPLE_RATE), true)}

    def when_failed(self, item: BenchmarkItem) -> Mapping[str, Answer]:
        """What the item has nothing to measure of."""
        return {} if item.reference is not None else {"emo_sim": NO_REFERENCE}
