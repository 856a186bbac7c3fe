from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest
import soxr

from dubflow.judging.card.functions import Measured, Unmeasured
from dubflow.judging.card.items import Benchmark, BenchmarkItem, Subject, item_file
from dubflow.judging.card.rows import Tags
from dubflow.judging.offline.voices import OwnVoice
from dubflow.media.encode import write_audio
from dubflow.speech.espeak import EspeakSynthesizer
from dubflow.speech.voices import Voice

pytest.importorskip("resemblyzer")
VOICES = {"bob": "m5", "ann": "anika"}


def say(synthesizer: EspeakSynthesizer, path: Path, text: str, variant: str) -> Path:
    said = synthesizer.synthesize(text, Voice(variant=variant))
    write_audio(path, soxr.resample(said.waveform, said.sample_rate, 16_000).astype(np.float32), 16_000)
    return path


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("voices")
    with EspeakSynthesizer() as synthesizer:
        for who, variant in VOICES.items():
            say(synthesizer, folder / f"{who}.wav", "Place red in q nine again.", variant)
            say(synthesizer, folder / f"{who}_dub.wav", "The house by the lake was quiet.", variant)
    write_audio(folder / "silence.wav", np.zeros(16_000, np.float32), 16_000)
    return folder


@pytest.fixture(scope="module")
def judge(place: Path) -> OwnVoice:
    items = tuple(
        BenchmarkItem(id=who, voice=item_file(place / f"{who}.wav", place), tags=Tags(speaker=who)) for who in VOICES
    )
    ready = pickle.loads(pickle.dumps(OwnVoice(Benchmark(name="two", world="embedded", items=items), place)))
    ready.prepare()
    return ready


@pytest.mark.parametrize("said_by", VOICES)
def test_whose_voice_it_is(judge: OwnVoice, place: Path, said_by: str) -> None:
    for item in judge.benchmark.items:
        found = judge.score(Subject(item, place / f"{said_by}_dub.wav", {}))["own_voice"]
        assert found == Measured(float(item.id == said_by))


def test_what_has_no_answer(judge: OwnVoice, place: Path) -> None:
    silent = judge.score(Subject(judge.benchmark.items[0], place / "silence.wav", {}))["own_voice"]
    assert isinstance(silent, Unmeasured)
    assert silent.blame == "clip"
    stranger = BenchmarkItem(id="x")
    assert judge.score(Subject(stranger, place / "bob.wav", {})) == judge.when_failed(stranger)
    assert judge.when_failed(stranger)["own_voice"].blame == "item"
    assert judge.when_failed(judge.benchmark.items[0]) == {}
    alone = OwnVoice(judge.benchmark.model_copy(update={"items": judge.benchmark.items[:1]}), place)
    assert alone.when_failed(judge.benchmark.items[0])["own_voice"].blame == "item"
    assert alone.pin != judge.pin


def test_a_speaker_without_a_voice_is_nobody_to_be_told_from(judge: OwnVoice, place: Path) -> None:
    """The others are told apart as before, and the silent one's own items have nothing to measure."""
    mute = BenchmarkItem(id="mute", voice=item_file(place / "silence.wav", place), tags=Tags(speaker="mute"))
    benchmark = judge.benchmark.model_copy(update={"items": (*judge.benchmark.items, mute)})
    with_mute = OwnVoice(benchmark, place)
    with_mute.prepare()
    for item in judge.benchmark.items:
        subject = Subject(item, place / f"{item.id}_dub.wav", {})
        assert with_mute.score(subject) == judge.score(subject) == {"own_voice": Measured(1.0)}
    answer = with_mute.score(Subject(mute, place / "bob_dub.wav", {}))["own_voice"]
    assert isinstance(answer, Unmeasured)
    assert answer.blame == "item"
