"""The offline judges of sound in an evaluation: every metric of theirs answered, failures blamed on whose they are."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest
import soxr

from dubflow.errors import WrongUse
from dubflow.judging.card.evaluate import System, evaluate
from dubflow.judging.card.functions import Measured, Unmeasured
from dubflow.judging.card.items import Benchmark, BenchmarkItem, Subject, item_file
from dubflow.judging.offline.sound import SoundJudge, sound_judges
from dubflow.judging.offline.words import GridWords, rates
from dubflow.media.encode import write_audio
from dubflow.speech.espeak import EspeakSynthesizer
from dubflow.speech.voices import Voice

RATE = 16_000
TEXT = "Place red in q nine again."


@pytest.fixture(scope="module")
def speech() -> np.ndarray:
    with EspeakSynthesizer() as synthesizer:
        said = synthesizer.synthesize(TEXT, Voice(rate=160))
    sound = soxr.resample(said.waveform, said.sample_rate, RATE).astype(np.float32)
    return np.pad(sound, 6400)


@pytest.fixture
def item(tmp_path: Path, speech: np.ndarray) -> BenchmarkItem:
    write_audio(tmp_path / "true.wav", speech, RATE)
    return BenchmarkItem(id="one", reference=item_file(tmp_path / "true.wav", tmp_path), transcript=TEXT, language="en")


def asked(judge: SoundJudge | GridWords, item: BenchmarkItem, folder: Path, sound: np.ndarray) -> dict:
    write_audio(folder / "clip.wav", sound.astype(np.float32), RATE)
    files = {"reference": folder / "true.wav"} if item.reference else {}
    ready = pickle.loads(pickle.dumps(judge))  # as it travels to a worker
    ready.prepare()
    return dict(ready.score(Subject(item, folder / "clip.wav", files)))


CHEAP = ("code", "world", "pystoi", "pesq")


@pytest.mark.parametrize("kind", CHEAP)
def test_the_true_recording_is_best(kind: str, item: BenchmarkItem, tmp_path: Path, speech: np.ndarray) -> None:
    judge = SoundJudge(kind)
    noise = np.random.default_rng(0).normal(0, 0.05, speech.size)
    same, worse = asked(judge, item, tmp_path, speech), asked(judge, item, tmp_path, np.roll(speech + noise, 4000))
    assert set(same) == {metric.name for metric in judge.metrics}
    for metric in judge.metrics:
        best, other = same[metric.name], worse[metric.name]
        assert isinstance(best, Measured)
        if metric.name in ("success_rate", "duration_error"):
            assert best == other
            continue
        if isinstance(other, Unmeasured):
            assert other.blame == "clip"
            continue
        if metric.better == "higher":
            assert best.value > other.value, metric.name
        else:
            assert abs(best.value) < abs(other.value), metric.name


def test_silence_is_the_clips_doing_and_a_silent_reference_the_items(
    item: BenchmarkItem, tmp_path: Path, speech: np.ndarray
) -> None:
    silence = np.zeros_like(speech)
    for kind, name in (("pesq", "pesq"), ("code", "int_corr"), ("code", "speech_start_error"), ("world", "gpe")):
        answer = asked(SoundJudge(kind), item, tmp_path, silence)[name]
        assert isinstance(answer, Unmeasured), name
        assert answer.blame == "clip"
    write_audio(tmp_path / "true.wav", silence, RATE)
    for kind, name in (("pesq", "pesq"), ("pystoi", "stoi"), ("world", "mcd"), ("code", "int_corr")):
        answer = asked(SoundJudge(kind), item, tmp_path, speech)[name]
        assert isinstance(answer, Unmeasured), name
        assert answer.blame == "item"


def test_without_a_reference(tmp_path: Path, speech: np.ndarray) -> None:
    alone = BenchmarkItem(id="two")
    for kind in ("code", "pystoi", "world"):
        judge = SoundJudge(kind)
        found = asked(judge, alone, tmp_path, speech)
        measured = {name for name, answer in found.items() if isinstance(answer, Measured)}
        assert measured == ({"success_rate"} if kind == "code" else set())
        assert {answer.blame for answer in found.values() if isinstance(answer, Unmeasured)} == {"item"}
        failed = judge.when_failed(alone)
        assert (set(failed) == set(found)) == (kind != "code")


def test_length_is_an_error_of_its_own(item: BenchmarkItem, tmp_path: Path, speech: np.ndarray) -> None:
    longer = asked(SoundJudge("code"), item, tmp_path, np.pad(speech, (0, RATE // 2)))
    assert longer["duration_error"] == Measured(0.5)
    assert longer["int_corr"].value == pytest.approx(1)  # on the reference's clock nothing has changed


def test_words() -> None:
    found = rates("place red", "place red now")
    assert (found["wer"], found["wer_mean"]) == (Measured(0.5, 1.0, 2.0), Measured(0.5))
    assert found["wer_legacy"].value == pytest.approx(1 / 3)
    silent = rates("place red", "")
    assert silent["wer"] == Measured(1.0, 2.0, 2.0)
    assert isinstance(silent["wer_legacy"], Unmeasured)


def test_the_grammar_hears_commands_only(item: BenchmarkItem, tmp_path: Path, speech: np.ndarray) -> None:
    pytest.importorskip("pocketsphinx")
    found = asked(GridWords(), item, tmp_path, speech)
    assert found["wer"].value <= 0.5
    assert GridWords().when_failed(item)["wer"] == Measured(1.0, 6.0, 6.0)
    other = asked(GridWords(), item.model_copy(update={"transcript": "We were away."}), tmp_path, speech)
    assert {answer.blame for answer in other.values()} == {"item"}


def test_an_evaluation(item: BenchmarkItem, tmp_path: Path, speech: np.ndarray) -> None:
    clips = tmp_path / "clips"
    clips.mkdir()
    write_audio(clips / "one.wav", speech, RATE)
    missing = item.model_copy(update={"id": "two"})
    card = evaluate(
        Benchmark(name="pair", world="embedded", items=(item, missing)),
        tmp_path,
        clips,
        [SoundJudge("code"), SoundJudge("pystoi"), GridWords()],
        System("the true recording"),
        cache=tmp_path / "cache",
        sample_rate=RATE,
        workers=1,
    )
    assert card.success_rate == 0.5
    figures = {(one.metric, one.population): one.value for one in card.aggregates if one.by == "all"}
    assert figures["stoi", "successes"] == pytest.approx(1, abs=1e-6)
    assert figures["stoi", "intention_to_treat"] == pytest.approx(0.5, abs=1e-6)
    assert figures["success_rate", "intention_to_treat"] == 0.5


def test_kinds() -> None:
    assert [one.judge for one in sound_judges()] == ["code", "world", "pesq", "pystoi", "ge2e", "dnsmos"]
    assert all(one.missing() is None and one.pin.version for one in sound_judges())
    with pytest.raises(WrongUse) as caught:
        SoundJudge("a friend")
    assert caught.value.code == "judging.unknown_judge"
