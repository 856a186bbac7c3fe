from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dubflow.errors import BadInput
from dubflow.judging.catalogue import listing
from dubflow.judging.mcd import cheapest_path, mcd_dtw, mcd_plain, spectra_of, warped_distortion
from dubflow.speech.espeak import EspeakSynthesizer

from .conftest import spoken

TO_DB = 10 * np.sqrt(2) / np.log(10)


def test_the_published_value(shared_data: Path) -> None:
    folder = shared_data / "expected_mcd"
    known = json.loads((folder / "expected.json").read_text())["dtw_ref_vs_synth"]
    assert known
    for name, expected in known.items():
        reference, synthetic = (
            np.fromfile(folder / kind / f"{name}.mgc", "<f4").reshape(-1, 40).astype(np.float64)
            for kind in ("ref-examples", "synth-examples")
        )
        assert (len(reference), len(synthetic)) == (expected["frames"], expected["synth_frames"])
        assert warped_distortion(reference[:, 1:], synthetic[:, 1:]) == pytest.approx(expected["mcd"], abs=5e-6)


def slow_path(costs: np.ndarray) -> float:
    total = np.full((costs.shape[0] + 1, costs.shape[1] + 1), np.inf)
    total[0, 0] = 0
    for i in range(costs.shape[0]):
        for j in range(costs.shape[1]):
            total[i + 1, j + 1] = costs[i, j] + min(total[i, j], total[i, j + 1], total[i + 1, j])
    return float(total[-1, -1])


@given(st.integers(0, 2**32 - 1), st.integers(1, 9), st.integers(1, 9))
@settings(deadline=None, max_examples=80)
def test_the_path_is_the_cheapest(seed: int, rows: int, columns: int) -> None:
    costs = np.random.default_rng(seed).uniform(0, 1, (rows, columns))
    assert cheapest_path(costs) == pytest.approx(slow_path(costs))
    assert cheapest_path(costs.T) == pytest.approx(cheapest_path(costs))


def test_known_distances() -> None:
    one = np.zeros((5, 3))
    two = one.copy()
    two[:, 0] = 1.0
    assert warped_distortion(one, two) == pytest.approx(TO_DB)
    ramp = np.arange(6.0)[:, None]
    assert warped_distortion(ramp, np.repeat(ramp, 3, axis=0)) == pytest.approx(0, abs=1e-6)  # slower is no distortion


def test_speech_against_itself_slower_and_another(synthesizer: EspeakSynthesizer) -> None:
    text = "Place red in q nine again."
    one = spectra_of(spoken(synthesizer, text, rate=150)[0])
    slow = spectra_of(spoken(synthesizer, text, rate=120)[0])
    other = spectra_of(spoken(synthesizer, "We were away a year ago, you and I.", rate=150)[0])
    assert mcd_plain(one, one) == 0
    itself, paced, foreign = mcd_dtw(one, one), mcd_dtw(one, slow), mcd_dtw(one, other)
    assert itself == pytest.approx(0, abs=1e-4)
    assert paced is not None
    assert foreign is not None
    assert paced < 0.6 * foreign


def test_a_louder_copy_is_hardly_a_distortion(synthesizer: EspeakSynthesizer) -> None:
    """Not quite none: below -80 dB of full scale everything counts as silence."""
    wave, _ = spoken(synthesizer, "We were away a year ago.")
    one, quiet = spectra_of(wave), spectra_of(wave * np.float32(0.5))
    noisy = spectra_of((wave + np.random.default_rng(0).normal(0, 0.03, wave.size)).astype(np.float32))
    softer, worse = mcd_plain(one, quiet), mcd_plain(one, noisy)
    assert softer is not None
    assert worse is not None
    assert softer < 1.0
    assert softer < 0.2 * worse


def test_silence_has_no_distortion_and_clocks_must_agree(synthesizer: EspeakSynthesizer) -> None:
    speech = spectra_of(spoken(synthesizer, "We were away.")[0])
    silence = spectra_of(np.zeros(len(speech) * 200, np.float32))
    assert mcd_plain(silence, speech) is mcd_dtw(silence, speech) is mcd_dtw(speech, silence) is None
    with pytest.raises(BadInput) as caught:
        mcd_plain(speech, spectra_of(np.zeros(16_000 * 5, np.float32)))
    assert caught.value.code == "judging.unequal_lengths"
    for pair in ((np.zeros((0, 3)), np.zeros((2, 3))), (np.zeros((2, 3)), np.zeros((2, 4)))):
        with pytest.raises(BadInput):
            warped_distortion(*pair)


def test_what_a_failed_clip_counts_is_worse_than_noise_or_silence(synthesizer: EspeakSynthesizer) -> None:
    wave, _ = spoken(synthesizer, "Place red in q nine again.")
    speech = spectra_of(wave)
    for other in (np.zeros_like(wave), np.random.default_rng(0).normal(0, 0.3, wave.size).astype(np.float32)):
        found = mcd_plain(speech, spectra_of(other))
        assert found is not None
        assert 5 < found < listing("mcd").worst
