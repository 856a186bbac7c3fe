"""A minute of speech by several voices, analysed, and a small codec fitted to it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import soxr

from dubflow.speech.codecs.world.analysis import Features, analyse
from dubflow.speech.codecs.world.codec import WorldCodec
from dubflow.speech.espeak import EspeakSynthesizer, Utterance
from dubflow.speech.voices import Voice

TEXTS = (
    "The birch canoe slid on the smooth planks, and we went home.",
    "She sells sea shells by the sea shore every morning.",
    "Bin blue at f two now, place red with x nine please.",
    "A young girl would enjoy the old oak tree.",
)
VOICES = tuple(
    Voice(variant=variant, pitch=pitch)
    for variant, pitch in (
        ("f2", 60), ("m3", 40), ("steph", 50), ("david", 22), ("sandro", 22), ("anika", 68), ("m5", 30), ("f5", 50),
    )
)  # fmt: skip


@dataclass(frozen=True, eq=False)
class Spoken:
    """An utterance: who said which text, the 16 kHz waveform and what WORLD hears in it."""

    voice: Voice
    text: str
    waveform: np.ndarray
    features: Features
    utterance: Utterance


@dataclass(frozen=True, eq=False)
class World:
    """Speech and the codec fitted to it."""

    speech: tuple[Spoken, ...]
    codec: WorldCodec

    def said(self, voice: int, text: int) -> Spoken:
        """The ``text``-th text by the ``voice``-th voice."""
        return self.speech[voice * len(TEXTS) + text]


def speak(synthesizer: EspeakSynthesizer, text: str, voice: Voice) -> Spoken:
    utterance = synthesizer.synthesize(text, voice)
    waveform = soxr.resample(utterance.waveform, utterance.sample_rate, 16_000).astype(np.float32)
    return Spoken(voice, text, waveform, analyse(waveform), utterance)
