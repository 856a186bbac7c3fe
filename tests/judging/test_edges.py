from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dubflow.errors import BadInput
from dubflow.judging.edges import STEP_S, WINDOW_S, Edges, edge_error, mouth_edges, speech_edges
from dubflow.speech.espeak import EspeakSynthesizer

from .conftest import RATE, spoken


def burst(start: float, end: float, total: float, amplitude: float = 0.3, noise: float = 0.0) -> np.ndarray:
    times = np.arange(round(total * RATE)) / RATE
    wave = amplitude * (2 * (210 * times % 1) - 1) * ((times >= start) & (times < end))
    return (wave + np.random.default_rng(0).normal(0, noise, times.size)).astype(np.float32)


@given(
    start=st.floats(0, 0.8),
    length=st.floats(0.1, 1.0),
    amplitude=st.floats(0.02, 1.0),
    snr_db=st.sampled_from([30.0, 40.0, 200.0]),
)
@settings(deadline=None, max_examples=60)
def test_known_edges(start: float, length: float, amplitude: float, snr_db: float) -> None:
    noise = amplitude / np.sqrt(3) / 10 ** (snr_db / 20)
    found = speech_edges(burst(start, start + length, 2.0, amplitude, noise))
    assert found is not None
    assert abs(found.start - start) <= STEP_S + WINDOW_S / 2
    assert abs(found.end - (start + length)) <= STEP_S + WINDOW_S / 2


def test_later_sound_has_later_edges_and_loudness_changes_nothing() -> None:
    wave = burst(0.3, 0.9, 1.5)
    found, later = speech_edges(wave), speech_edges(np.concatenate([np.zeros(round(0.25 * RATE), np.float32), wave]))
    assert found is not None
    assert later is not None
    error = edge_error(later, found)
    assert (error.start, error.end) == pytest.approx((0.25, 0.25))
    assert error.frames == pytest.approx((6.25, 6.25))
    assert speech_edges(wave * np.float32(0.1)) == found


def test_clicks_are_no_speech() -> None:
    wave = burst(0.5, 1.0, 2.0)
    wave[round(0.1 * RATE) : round(0.1 * RATE) + 40] = 0.5
    wave[round(1.8 * RATE) : round(1.8 * RATE) + 40] = 0.5
    found = speech_edges(wave)
    assert found is not None
    assert found.start == pytest.approx(0.5, abs=0.016)
    assert found.end == pytest.approx(1.0, abs=0.016)


def test_neither_hum_nor_rumble_nor_hiss_is_speech(synthesizer: EspeakSynthesizer) -> None:
    wave, phones = spoken(synthesizer, "Lay it by now, please.")
    wave = np.pad(wave, (8000, 8000))
    voiced = [phone for phone in phones if not phone.silent]
    wanted = Edges(voiced[0].start + 0.5, voiced[-1].end + 0.5)
    times, rng = np.arange(wave.size) / RATE, np.random.default_rng(0)
    rumble = np.convolve(rng.normal(0, 1, wave.size), np.ones(400) / 400, "same")
    power = np.sqrt(np.mean(np.square(wave)))
    for noise in (np.sin(2 * np.pi * 50 * times), rumble / rumble.std(), 0.2 * rng.normal(0, 1, wave.size)):
        found = speech_edges((wave + 0.1 * power * noise).astype(np.float32))
        assert found is not None
        assert edge_error(found, wanted).within(0.04)


@pytest.mark.parametrize(
    "wave",
    [
        np.zeros(0),
        np.zeros(50),
        np.zeros(RATE),
        np.full(RATE, 1e-5),
        np.random.default_rng(0).normal(0, 0.1, RATE),
        np.random.default_rng(1).normal(0, 1e-5, RATE),
    ],
)
def test_silence_and_even_noise_have_no_edges(wave: np.ndarray) -> None:
    assert speech_edges(wave.astype(np.float32)) is None


def test_exact_alignments_of_synthesised_speech(synthesizer: EspeakSynthesizer) -> None:
    """Sentences that begin and end with sounds, not with silent closures."""
    errors = []
    for text in ("Seven men will soon be home again.", "Lay it by now, please.", "We are all here on Sunday."):
        for variant in ("", "Annie"):
            wave, phones = spoken(synthesizer, text, variant=variant)
            wave = np.pad(wave, (6400, 8000))
            voiced = [phone for phone in phones if not phone.silent]
            found = speech_edges(wave)
            assert found is not None
            errors.append(edge_error(found, Edges(voiced[0].start + 0.4, voiced[-1].end + 0.4)))
    assert all(error.within(0.04) for error in errors), errors
    assert np.median([abs(error.start) for error in errors]) < 0.015


def test_within_takes_the_worse_end() -> None:
    assert edge_error(Edges(1.0, 2.0), Edges(1.04, 2.0)).within(0.0401)
    assert not edge_error(Edges(1.0, 2.0), Edges(1.0, 2.05)).within(0.04)


@pytest.mark.parametrize("pair", [(1.0, 0.5), (-0.1, 1.0), (0.0, float("inf"))])
def test_impossible_edges_are_refused(pair: tuple[float, float]) -> None:
    with pytest.raises(BadInput) as caught:
        Edges(*pair)
    assert caught.value.code == "judging.bad_edges"


def test_a_mouth_that_opens_and_shuts() -> None:
    curve = np.full(75, 0.02, np.float32)
    curve[20:50] = 0.02 + 0.2 * np.abs(np.sin(np.arange(30) / 2 + 0.6))
    curve[5] = np.nan
    found = mouth_edges(curve)
    assert found is not None
    assert found.start == pytest.approx(20 / 25)
    assert found.end == pytest.approx(50 / 25, abs=0.081)
    assert mouth_edges(np.full(75, 0.1, np.float32)) is None
    assert mouth_edges(np.full(75, np.nan, np.float32)) is None
    with pytest.raises(BadInput):
        mouth_edges(np.zeros((3, 3), np.float32))
