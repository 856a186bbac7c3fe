from __future__ import annotations

import itertools
import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dubflow.errors import BadInput
from dubflow.speech.durations import (
    expand,
    frame_durations_to_tokens,
    frame_to_tokens,
    frames_to_samples,
    frames_to_tokens,
    spans_to_durations,
    token_to_frame,
    tokens_to_samples,
)


def test_tokens_of_every_clip_length() -> None:
    for frames in range(501):
        tokens = frames_to_tokens(frames)
        assert tokens == math.ceil(Fraction(16 * frames, 5))
        assert 0 <= tokens_to_samples(tokens) - frames_to_samples(frames) < 200


def test_frames_partition_their_tokens() -> None:
    for frames in range(1, 501):
        spans = [frame_to_tokens(frame) for frame in range(frames)]
        assert spans[0][0] == 0
        assert spans[-1][1] == frames_to_tokens(frames)
        assert all(a[1] == b[0] for a, b in itertools.pairwise(spans))
        owners = [token_to_frame(token) for token in range(frames_to_tokens(frames))]
        assert owners == [frame for frame, (start, end) in enumerate(spans) for _ in range(start, end)]


def test_sums_are_exact_for_every_clip_length() -> None:
    for frames in range(1, 501):
        rng = np.random.default_rng(frames)
        seconds = frames / 25
        edges = np.concatenate([[0.0], np.sort(rng.uniform(0, seconds, rng.integers(0, 40))), [seconds]])
        for total, rate in ((frames, 25), (frames_to_tokens(frames), 80)):
            durations = spans_to_durations(edges, total, rate)
            assert durations.sum() == total
            assert (durations >= 0).all()
            assert len(durations) == len(edges) - 1
            placed = np.concatenate([[0], np.cumsum(durations)])
            assert np.abs(placed[:-1] - edges[:-1] * rate).max() <= 0.5 + 1e-9
        by_frame = spans_to_durations(edges, frames, 25)
        assert frame_durations_to_tokens(by_frame).sum() == frames_to_tokens(frames)


@given(
    st.lists(st.floats(0, 0.7), min_size=1, max_size=60),
    st.floats(-0.4, 0.4),
    st.sampled_from([Fraction(25), Fraction(80), Fraction(30000, 1001), Fraction(24000, 1001)]),
)
@settings(deadline=None, max_examples=150)
def test_sums_are_exact_when_audio_and_picture_differ(lengths: list[float], drift: float, rate: Fraction) -> None:
    edges = np.concatenate([[0.0], np.cumsum(lengths)])
    total = max(0, round(float(edges[-1] * float(rate)) + drift * float(rate)))
    durations = spans_to_durations(edges, total, rate)
    assert durations.sum() == total
    assert (durations >= 0).all()
    placed, wanted = np.concatenate([[0], np.cumsum(durations)])[:-1], edges[:-1] * float(rate)
    inside = wanted <= total
    assert (np.abs(placed - wanted)[inside] <= 0.5 + 1e-6).all()
    assert (placed[~inside] == total).all()


def test_known_example() -> None:
    assert spans_to_durations([0, 0.05, 0.09, 0.2], 5, 25).tolist() == [1, 1, 3]
    assert expand([2, 0, 1]).tolist() == [0, 0, 2]
    assert frame_durations_to_tokens([1, 1, 3]).tolist() == [4, 3, 9]


@pytest.mark.parametrize(
    "edges", [[0.0], [], [0.1, 1.0], [0.0, 0.5, 0.4], [0.0, float("nan")], [[0.0, 1.0]], [0.0, float("inf")]]
)
def test_bad_boundaries_are_refused(edges: list[float]) -> None:
    with pytest.raises(BadInput) as caught:
        spans_to_durations(edges, 25, 25)
    assert caught.value.code == "speech.bad_boundaries"


def test_an_alignment_of_another_clip_is_refused() -> None:
    with pytest.raises(BadInput) as caught:
        spans_to_durations([0, 3.0], 25, 25)
    assert caught.value.code == "speech.durations_disagree"
    assert spans_to_durations([0, 3.0], 25, 25, max_drift_s=5).tolist() == [25]


def test_negative_frames_are_refused() -> None:
    with pytest.raises(BadInput):
        frames_to_tokens(-1)
    with pytest.raises(BadInput):
        frame_durations_to_tokens([3, -1])
