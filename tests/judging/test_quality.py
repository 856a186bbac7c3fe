"""PESQ, STOI and DNSMOS."""

from __future__ import annotations

import json
import wave
from pathlib import Path

import numpy as np
import pytest

from dubflow.errors import BadInput
from dubflow.judging.dnsmos import LEVEL_DB, Dnsmos, at_one_level
from dubflow.judging.pesq import LONGEST_S, pesq_score
from dubflow.judging.stoi import stoi_score

from .conftest import RATE

SILENCE = np.zeros(RATE, np.float32)


@pytest.fixture(scope="module")
def speech(commands: dict[str, np.ndarray]) -> np.ndarray:
    return np.concatenate(list(commands.values())[:2])


@pytest.fixture(scope="module")
def noise(speech: np.ndarray) -> np.ndarray:
    return np.random.default_rng(0).normal(0, speech.std(), speech.size).astype(np.float32)


@pytest.fixture(scope="module")
def dnsmos() -> Dnsmos:
    pytest.importorskip("speechmos.dnsmos")
    return Dnsmos()


def read(path: Path) -> np.ndarray:
    with wave.open(str(path)) as file:
        assert (file.getframerate(), file.getnchannels()) == (RATE, 1)
        return np.frombuffer(file.readframes(file.getnframes()), "<i2").astype(np.float32) / 32768


def test_published_pesq(shared_data: Path) -> None:
    pytest.importorskip("pesq")
    folder = shared_data / "expected_pesq"
    known = json.loads((folder / "expected.json").read_text())
    pair = read(folder / known["ref"]), read(folder / known["deg"])
    assert pesq_score(*pair) == pytest.approx(known["pesq_wb"], abs=2e-3)
    assert pesq_score(*pair, band="narrow") == pytest.approx(known["pesq_nb"], abs=2e-3)


def test_pesq_falls_with_noise(speech: np.ndarray, noise: np.ndarray) -> None:
    pytest.importorskip("pesq")
    scores = [pesq_score(speech, speech + np.float32(gain) * noise) for gain in (0, 0.01, 0.1, 1)]
    assert scores[0] > 4.6
    assert scores == sorted(scores, reverse=True)
    assert scores[-1] < 1.3


def test_pesq_has_room_for_a_quarter_of_a_minute_of_bursts() -> None:
    """Its reference code ends the process where there are more than it has room for."""
    pytest.importorskip("pesq")
    rng = np.random.default_rng(0)
    moments = np.arange(round(LONGEST_S * RATE)) / RATE
    bursts = (rng.normal(0, 0.1, moments.size) * (moments % 0.42 < 0.2)).astype(np.float32)
    noise = rng.normal(0, 1e-3, moments.size).astype(np.float32)
    assert 1 < pesq_score(bursts, bursts + noise) < 4.6


@pytest.mark.parametrize(
    ("pair", "code"),
    [
        ((SILENCE, SILENCE), "judging.nobody_speaks"),
        ((SILENCE + np.float32(1e-9), SILENCE), "judging.nobody_speaks"),
        ((SILENCE[:100], SILENCE[:100]), "judging.too_short"),
        ((np.zeros(round((LONGEST_S + 1) * RATE), np.float32), SILENCE), "judging.too_long"),
        ((np.full(RATE, np.nan, np.float32), SILENCE), "judging.bad_waveform"),
    ],
)
def test_what_pesq_cannot_judge(pair: tuple[np.ndarray, np.ndarray], code: str) -> None:
    pytest.importorskip("pesq")
    with pytest.raises(BadInput) as caught:
        pesq_score(*pair)
    assert caught.value.code == code


@pytest.mark.parametrize("extended", [False, True])
def test_stoi_falls_with_noise_and_does_not_hear_level(speech: np.ndarray, noise: np.ndarray, extended: bool) -> None:
    pytest.importorskip("pystoi")
    scores = [stoi_score(speech, speech + np.float32(gain) * noise, extended=extended) for gain in (0, 0.1, 0.5, 3)]
    assert scores[0] == pytest.approx(1, abs=1e-6)
    assert scores == sorted(scores, reverse=True)
    assert scores[-1] < 0.75
    noisy = speech + np.float32(0.5) * noise
    for gain in (1e-4, 0.1, 7.0):
        assert stoi_score(speech, np.float32(gain) * noisy, extended=extended) == pytest.approx(scores[2], abs=1e-4)
        assert stoi_score(np.float32(gain) * speech, noisy, extended=extended) == pytest.approx(scores[2], abs=1e-4)


def test_stoi_of_silence_and_of_other_words(speech: np.ndarray) -> None:
    pytest.importorskip("pystoi")
    assert stoi_score(speech, np.zeros_like(speech)) == 0
    assert stoi_score(speech, speech[::-1].copy()) < 0.4


@pytest.mark.parametrize(
    ("pair", "code"),
    [
        ((SILENCE, SILENCE), "judging.nobody_speaks"),
        ((SILENCE, SILENCE[1:]), "judging.unequal_lengths"),
        ((np.full(3000, 0.5, np.float32),) * 2, "judging.too_short"),
        ((np.full(100, 0.5, np.float32),) * 2, "judging.too_short"),
    ],
)
def test_what_stoi_cannot_judge(pair: tuple[np.ndarray, np.ndarray], code: str) -> None:
    pytest.importorskip("pystoi")
    with pytest.raises(BadInput) as caught:
        stoi_score(*pair)
    assert caught.value.code == code


@pytest.mark.slow
def test_dnsmos_hears_noise_and_not_level(dnsmos: Dnsmos, speech: np.ndarray, noise: np.ndarray) -> None:
    clean, noisy = dnsmos.judge(speech), dnsmos.judge(speech + noise)
    silent = dnsmos.judge(np.zeros_like(speech))
    assert clean.overall > max(noisy.overall, silent.overall) + 0.5
    assert clean.background > noisy.background + 1
    assert clean.p808 > noisy.p808
    assert all(0.5 < value < 5.2 for value in (clean.signal, clean.background, clean.overall, clean.p808))
    beyond_full_scale = dnsmos.judge(np.float32(30) * speech)
    assert beyond_full_scale.overall == pytest.approx(clean.overall, abs=1e-3)


@pytest.mark.slow
def test_dnsmos_as_it_is(dnsmos: Dnsmos, speech: np.ndarray) -> None:
    soft = np.float32(0.5 / np.abs(speech).max()) * speech
    assert dnsmos.judge(soft, "as_is").overall != dnsmos.judge(np.float32(0.01) * soft, "as_is").overall
    for waveform, code in (
        (np.float32(3 / np.abs(speech).max()) * speech, "judging.too_loud"),
        (np.zeros(0, np.float32), "judging.nothing_to_judge"),
    ):
        with pytest.raises(BadInput) as caught:
            dnsmos.judge(waveform, "as_is")
        assert caught.value.code == code


def test_one_level() -> None:
    tone = 0.05 * np.sin(2 * np.pi * 200 * np.arange(RATE) / RATE)
    levelled = at_one_level(np.concatenate([np.zeros(RATE), tone]))[RATE:]  # a pause beside it changes nothing
    assert 10 * np.log10(np.square(levelled).mean()) == pytest.approx(LEVEL_DB, abs=0.01)
    click = 0.05 * tone
    click[400] = 1.0
    assert np.abs(at_one_level(click)).max() == pytest.approx(1)  # a peak above the rest stops at full scale
    assert not at_one_level(np.zeros(RATE)).any()


def test_the_judge_has_a_name(dnsmos: Dnsmos) -> None:
    assert dnsmos.id.startswith("dnsmos-speechmos-")
