"""A small world to dub in: talkers, a codec fitted in seconds, and a network of random weights stored with it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

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
from dubflow.dubbing.engine import Job, SpokenSegment
from dubflow.dubbing.planning import PlannedSegment
from dubflow.dubbing.watching import Watch
from dubflow.media.decode import read_clip
from dubflow.media.encode import write_clip
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
FRAMES = 30
SAMPLES = 640 * FRAMES


@dataclass(frozen=True)
class Room:
    """Where everything lies."""

    corpus: CorpusManifest
    codec: Path
    model: Path

    def row(self, number: int = 0) -> ClipRow:
        """The row of a rendered talker."""
        return self.corpus.rows[number]

    def talker(self, number: int = 0) -> Path:
        """Its file, of three seconds."""
        return self.corpus.media_path(self.row(number))

    def clip(self, number: int = 0) -> Path:
        """1.2 s out of the middle of it, :data:`FRAMES` frames."""
        return self.codec.parent / "clips" / f"c{number}.mp4"


class Hummer:
    """An engine that hums: as loud as any, and done in a moment. For what does not hang on who speaks."""

    world: Literal["embedded", "real"] = "embedded"
    languages: tuple[str, ...] = LANGUAGES

    def __init__(self) -> None:
        self.looked = 0

    @property
    def id(self) -> str:
        return "hummer"

    def look(self, job: Job, watch: Watch) -> Job:
        self.looked += 1
        return job

    def speak(self, seen: Sequence[Job], watch: Watch) -> list[list[SpokenSegment]]:
        return [[self._hum(segment, job) for segment in job.segments] for job in seen]

    def _hum(self, segment: PlannedSegment, job: Job) -> SpokenSegment:
        hz = 150 + 10 * segment.phones + job.options.seed
        sound = 0.3 * np.sin(2 * np.pi * hz * np.arange(640 * segment.frames) / 16_000)
        return SpokenSegment(sound.astype(np.float32), None, 1.0)


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
    corpus = read_manifest(root / "corpus")
    for number, row in enumerate(corpus):
        whole = read_clip(corpus.media_path(row))
        assert whole.frames is not None
        assert whole.waveform is not None
        sound = whole.waveform[20 * 640 : 20 * 640 + SAMPLES]
        write_clip(root / "clips" / f"c{number}.mp4", whole.frames[20 : 20 + FRAMES], 25, sound, 16_000)
    codec = fit_codec(root / "codec")
    network = random_network(codec)
    save_model(root / "model", network, facts_of(codec), card="# Random", lineage={}, codec=root / "codec")
