"""What was said, by Whisper (Radford et al., 2022) as transformers runs it, from a folder or hub id that is named.

Decoding is pinned: greedy, in the item's language, as transcription, without timestamps, each stretch by itself and
without what was heard before. A stretch is at most 30 s, which is all that Whisper hears at a time; longer recordings
are cut where they are quietest in the last third of a stretch. Whisper writes numbers as digits and may make up words
where nobody speaks; neither is mended here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dubflow.errors import BadInput
from dubflow.judging.card.functions import Answer, Unmeasured
from dubflow.judging.card.items import BenchmarkItem, Subject
from dubflow.judging.card.rows import JudgePin, Metric
from dubflow.judging.catalogue import listing
from dubflow.judging.full.pretrained import (
    Setting,
    load_model,
    load_part,
    model_pin,
    named_model,
    quiet,
    why_no_model,
)
from dubflow.judging.full.weights import why_no_device
from dubflow.judging.offline.words import rates
from dubflow.judging.recogniser import SAMPLE_RATE, checked_waveform
from dubflow.media.decode import read_audio

STRETCH_S = 30
_QUIET_FROM_S = 20
_PAUSE_S = 0.2
_NAMES = ("wer", "wer_mean", "wer_legacy", "cer")
_FILES = (
    "config.json",
    "generation_config.json",
    "preprocessor_config.json",
    "processor_config.json",
    "tokenizer.json",
    "vocab.json",
)
_SETTINGS: dict[str, Setting] = {"decoding": "greedy", "timestamps": False, "stretch_s": STRETCH_S}


class Whisper:
    """Hears one utterance at a time; implements :class:`dubflow.judging.recogniser.Recogniser`.

    Args:
        model: folder or hub id.
        device: of torch.

    Raises:
        BadInput: ``judging.no_model``, ``judging.weights_do_not_fit``, ``judging.unknown_encoder`` for a model that is
            no Whisper or does not hear 16 kHz.
        WrongUse: ``install.missing_extra``.
    """

    def __init__(self, model: str, device: str = "cpu") -> None:
        config = load_part("AutoConfig", model)
        if config.model_type != "whisper":
            raise BadInput(
                "judging.unknown_encoder",
                f"{model} is a {config.model_type!r}, not a Whisper.",
                "Name a Whisper model.",
            )
        self._features = load_part("WhisperFeatureExtractor", model)
        self._tokenizer = load_part("WhisperTokenizer", model)
        self._network = load_model("WhisperForConditionalGeneration", model).to(device)
        self._device = device
        settings = self._network.generation_config
        tokens = getattr(settings, "lang_to_id", None) or {}
        self._languages: dict[str, int] = {token.strip("<|>"): index for token, index in tokens.items()}
        if self._features.sampling_rate != SAMPLE_RATE or not hasattr(settings, "no_timestamps_token_id"):
            raise BadInput(
                "judging.unknown_encoder",
                f"{model} does not hear {SAMPLE_RATE} Hz or has no generation_config.json of Whisper's.",
                "Give the model as it was published.",
            )
        pin = model_pin(model, "whisper", (), {})
        self._id = f"{pin.version}-{(pin.sha256 or '')[:16]}"

    @property
    def id(self) -> str:
        """Model and the start of the weights' hash."""
        return self._id

    @property
    def languages(self) -> tuple[str, ...]:
        """Codes of the languages that it knows; of a model for English only, ``en``."""
        return tuple(self._languages) or ("en",)

    def hear(self, waveform: NDArray[np.float32], language: str | None = None) -> str:
        """Words of a 16 kHz mono waveform ``[N]`` in -1..1 in the language of that code, or in the one that each
        stretch sounds like.

        Raises:
            BadInput: ``judging.bad_waveform``, ``judging.unknown_language``.
        """
        audio = checked_waveform(waveform).astype(np.float32)
        if language is not None and language not in self.languages:
            raise BadInput(
                "judging.unknown_language",
                f"{self._id} does not know the language {language!r}.",
                f"It knows {', '.join(self.languages)}.",
            )
        heard = (self._heard(stretch, language) for stretch in stretches(audio))
        return " ".join(text for text in heard if text)

    def detect_language(self, waveform: NDArray[np.float32]) -> str:
        """Code of the language that the first 30 s of a 16 kHz mono waveform ``[N]`` sound like.

        Raises:
            BadInput: ``judging.bad_waveform``, ``judging.nobody_speaks`` for a recording of no samples.
        """
        audio = checked_waveform(waveform).astype(np.float32)
        if not audio.size:
            raise BadInput("judging.nobody_speaks", "The recording has no samples.", "Its language cannot be told.")
        if not self._languages:
            return "en"
        found = int(self._network.detect_language(self._seen(audio[: STRETCH_S * SAMPLE_RATE]))[0])
        return {index: code for code, index in self._languages.items()}[found]

    def _heard(self, stretch: NDArray[np.float32], language: str | None) -> str:
        import torch

        spoken = {"task": "transcribe", "language": language} if self._languages else {}
        with torch.inference_mode(), quiet():
            tokens = self._network.generate(
                self._seen(stretch), return_timestamps=False, num_beams=1, do_sample=False, **spoken
            )
        return str(self._tokenizer.decode(tokens[0], skip_special_tokens=True)).strip()

    def _seen(self, stretch: NDArray[np.float32]) -> Any:
        seen = self._features(stretch, sampling_rate=SAMPLE_RATE, return_tensors="pt")
        return seen["input_features"].to(self._device)


@dataclass(eq=False)
class WhisperWords:
    """Implements ``card.functions.MetricFunction``: the metrics of content by the Whisper that ``model`` names.

    An item's language is forced; where it names none, each stretch is heard in the one that it sounds like.
    """

    model: str | None
    device: str = "cpu"
    judge: str = "whisper"
    metrics: tuple[Metric, ...] = ()
    _recogniser: Whisper | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        self.metrics = tuple(listing(name).metric(self.judge) for name in _NAMES)

    @property
    def pin(self) -> JudgePin:
        """Model, hashes of its files, how it decodes, device."""
        return model_pin(self.model, self.judge, _FILES, {**_SETTINGS, "device": self.device})

    def missing(self) -> str | None:
        """Why its model or transformers is not there."""
        return why_no_model(self.model, self.judge, "whisper") or why_no_device(self.device)

    def prepare(self) -> None:
        """Load the model."""
        if self._recogniser is None:
            self._recogniser = Whisper(named_model(self.model, self.judge), self.device)

    def score(self, subject: Subject) -> Mapping[str, Answer]:
        """An answer for each metric."""
        self.prepare()
        assert self._recogniser is not None
        text, language = subject.item.transcript, _code(subject.item.language)
        if text is None:
            return _unasked("The item does not say what must be said.")
        if language is not None and language not in self._recogniser.languages:
            return _unasked(f"{self._recogniser.id} does not know the item's language, {language!r}.")
        return rates(text, self._recogniser.hear(read_audio(subject.clip, SAMPLE_RATE), language))

    def when_failed(self, item: BenchmarkItem) -> Mapping[str, Answer]:
        """Every word of the text was left out."""
        if item.transcript is None:
            return _unasked("The item does not say what must be said.")
        silent = rates(item.transcript, "")
        return {name: silent[name] for name in ("wer", "cer")}


def stretches(waveform: NDArray[np.float32]) -> list[NDArray[np.float32]]:
    """A 16 kHz waveform ``[N]`` in stretches of at most 30 s, cut in the middle of the quietest 0.2 s of each one's
    last third; together they are the waveform."""
    longest, earliest, pause = (round(seconds * SAMPLE_RATE) for seconds in (STRETCH_S, _QUIET_FROM_S, _PAUSE_S))
    cut: list[NDArray[np.float32]] = []
    while waveform.size > longest:
        power = np.square(waveform[earliest:longest], dtype=np.float64)
        summed = np.concatenate(([0.0], np.cumsum(power)))
        place = earliest + int(np.argmin(summed[pause:] - summed[:-pause])) + pause // 2
        cut.append(waveform[:place])
        waveform = waveform[place:]
    return [*cut, waveform] if waveform.size else cut


def _code(language: str | None) -> str | None:
    """ISO 639-1 without a region."""
    return None if language is None else language.lower().split("-")[0]


def _unasked(reason: str) -> dict[str, Answer]:
    return {name: Unmeasured(reason, "item") for name in _NAMES}
