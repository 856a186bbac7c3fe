from __future__ import annotations

import numpy as np
import pytest

from dubflow.judging.prosody import compare_pitch, prosody_error
from dubflow.speech.prosody import Pitch

RATE = 16_000


def melody(hz: np.ndarray) -> np.ndarray:
    """A sawtooth that follows ``hz`` (80 values a second); 0 is silent."""
    rate = np.repeat(hz, RATE // 80)
    phase = np.cumsum(rate) / RATE
    return (0.4 * (2 * (phase % 1) - 1) * (rate > 0)).astype(np.float32)


def track(hz: list[float]) -> Pitch:
    values = np.array(hz, np.float64)
    return Pitch(values, values > 0)


RISE = np.linspace(120, 220, 80)


def test_a_melody_is_like_itself() -> None:
    found = prosody_error(melody(RISE), melody(RISE))
    assert found.f0_correlation == pytest.approx(1)
    assert found.log_f0_rmse == 0
    assert found.voicing_error == found.gross_pitch_error == found.frame_error == 0


def test_transposed_and_inverted_melodies() -> None:
    third = prosody_error(melody(RISE), melody(RISE * 2 ** (4 / 12)))
    assert third.f0_correlation is not None
    assert third.f0_correlation > 0.99
    assert third.log_f0_rmse == pytest.approx(np.log(2) / 3, abs=0.02)
    assert third.gross_pitch_error is not None
    assert third.gross_pitch_error > 0.95  # 26 % off
    falling = prosody_error(melody(RISE), melody(RISE[::-1].copy()))
    assert falling.f0_correlation is not None
    assert falling.f0_correlation < -0.95


def test_voicing() -> None:
    half = RISE.copy()
    half[40:] = 0
    assert prosody_error(melody(RISE), melody(half)).voicing_error == pytest.approx(0.5, abs=0.05)
    silent = prosody_error(melody(RISE), np.zeros(RATE, np.float32))
    assert silent.voicing_error > 0.9
    assert silent.f0_correlation is silent.log_f0_rmse is silent.gross_pitch_error is None


def test_known_values() -> None:
    found = compare_pitch(track([100, 100, 200, 0, 150]), track([100, 130, 190, 100, 0]))
    assert found.voicing_error == pytest.approx(2 / 5)
    assert found.gross_pitch_error == pytest.approx(1 / 3)
    assert found.frame_error == pytest.approx(3 / 5)
    assert found.f0_correlation == pytest.approx(np.corrcoef([100, 100, 200], [100, 130, 190])[0, 1])
    assert found.log_f0_rmse == pytest.approx(np.sqrt((np.log(1.3) ** 2 + np.log(0.95) ** 2) / 3))


def test_what_is_undefined_is_none() -> None:
    assert compare_pitch(track([100, 100, 100, 100]), track([90, 95, 100, 105])).f0_correlation is None  # flat
    assert compare_pitch(track([100, 120, 0]), track([100, 120, 0])).f0_correlation is None  # too few
    assert compare_pitch(track([]), track([])).voicing_error == 0
