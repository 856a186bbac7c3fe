"""A small world to dub in: talkers, a codec fitted in seconds, and a network of random weights stored with it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch

from dubflow.corpora.manifest import ClipRow, CorpusManifest, read_manifest
from dubflow.corpora.settings import PrepareSettings
from dubflow.corpora.transform import build_tools
from dubflow.diflow.nets.dubber import DubberNetwork
from dubflow.diflow.nets.settings import TINY, NetSettings
from dubflow.diflow.nets.tts import TtsNetwork
from dubflow.diflow.stored import ModelFacts, save_model
from dubflow.progress import Silent
from dubflow.speech.codecs.world.codec import WorldCodec
from dubflow.speech.codecs.world.fitting import WorldSettings, fit_world
from dubflow.speech.codecs.world.storage import Origin, save_world
from dubflow.speech.phonemes import LANGUAGES
from dubflow.speech.voices import Voice
from dubflow.talkers.render import render_corpus
from dubflow.talkers.settings import TalkerSettings

TEXTS = (
    "The birch canoe slid on the smooth planks, and we went home.",
    "She sells sea shells by the sea shore every morning.",
    "Bin blue at f two now, place red with x nine please.",
)
FITTED = WorldSettings(classes=4, rank=2, iterations=1)
PREPARE = PrepareSettings()


@dataclass(frozen=True)
class Room:
    """Where everything lies."""

    corpus: CorpusManifest
    codec: Path
    model: Path

    def row(self, number: int = 0) -> ClipRow:
        """A clip's row."""
        return self.corpus.rows[number]

    def clip(self, number: int = 0) -> Path:
        """A clip's file."""
        return self.corpus.media_path(self.row(number))


def fit_codec(folder: Path) -> WorldCodec:
    """A codec of few classes, from half a minute of speech."""
    import soxr

    from dubflow.speech.espeak import EspeakSynthesizer

    speech = []
    with EspeakSynthesizer() as synthesizer:
        for variant in ("f2", "m3", "anika"):
            for spoken in synthesizer.synthesize_all(TEXTS, Voice(variant=variant)):
                wave = soxr.resample(spoken.waveform, spoken.sample_rate, 16_000).astype(np.float32)
                speech.append((variant, wave))
    codec = fit_world(speech, seed=1, settings=FITTED, progress=Silent())
    seconds = sum(len(wave) for _, wave in speech) / 16_000
    origin = Origin(corpus="test", recordings=len(speech), speakers=3, seconds=seconds, seed=1, settings=FITTED)
    save_world(codec, folder, origin=origin)
    return codec


def network_settings(codec: WorldCodec) -> NetSettings:
    """The tiny network for a codec's speaker vectors."""
    return TINY.model_copy(update={"speaker": codec.speaker_size})


def facts_of(codec: WorldCodec, stage: str = "dubber") -> ModelFacts:
    """Facts as training would write them."""
    return ModelFacts.model_validate(
        {
            "stage": stage,
            "settings": network_settings(codec).model_dump(),
            "codec": codec.id,
            "extractors": build_tools(PREPARE, None).ids,
            "prepare": PREPARE.content(),
            "world": "embedded",
            "languages": LANGUAGES,
            "preset": "tiny",
            "steps": 0,
        }
    )


def random_network(codec: WorldCodec, stage: str = "dubber", seed: int = 4) -> DubberNetwork | TtsNetwork:
    """A network of random weights, gates included, so that everything it hears and sees changes what it says."""
    torch.manual_seed(seed)
    network = (DubberNetwork if stage == "dubber" else TtsNetwork)(network_settings(codec))
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(0.05 * torch.randn(parameter.shape))
    return network.eval()


def shared_room(factory: pytest.TempPathFactory) -> Room:
    """The room of this test run, whichever folder's tests ask first."""
    root = factory.getbasetemp() / "dubbing-room"
    if not (root / "model").exists():
        build_room(root)
    return Room(read_manifest(root / "corpus"), root / "codec", root / "model")


def build_room(root: Path) -> None:
    """Render, fit and store below ``root``."""
    settings = TalkerSettings(size=160, mix={"plain": 1.0}, grid_share=1.0, event_share=0.0)
    render_corpus(
        root / "corpus", identities=1, clips=2, languages=("en",), seed=2, settings=settings, workers=1,
        progress=Silent(),
    )  # fmt: skip
    codec = fit_codec(root / "codec")
    network = random_network(codec)
    save_model(root / "model", network, facts_of(codec), card="# Random", lineage={}, codec=root / "codec")
