"""Windows over clips of any length; every word in one of them; seams that change nothing the two sides agree on."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dubflow.incontext.inference.windows import SpokenText, appended, held, texts_of_windows, windows_of


@settings(deadline=None)
@given(frames=st.integers(1, 900), longest=st.sampled_from([9, 17, 121]), overlap=st.sampled_from([1, 9]))
def test_windows_cover_every_frame_and_share_enough(frames: int, longest: int, overlap: int) -> None:
    if overlap > longest // 2:
        overlap = 1
    windows = windows_of(frames, longest, overlap)
    assert windows[0].start == 0
    assert windows[-1].stop == frames
    for one in windows:
        assert one.length % 8 == 1
        assert one.frames <= one.length <= max(longest, 9)
        assert one.length - one.frames < 8
    for one, other in pairwise(windows):
        assert one.start < other.start
        assert one.stop - other.start >= overlap
    assert len(windows) == 1 or frames > longest
    count, length = len(windows), windows[0].length
    assert frames > (count - 1) * (longest - overlap) + overlap or count == 1, "as few as can be"
    assert count * (length - 8) - (count - 1) * overlap < frames, "as short as can be"


@settings(deadline=None)
@given(frames=st.integers(1, 400), cuts=st.lists(st.integers(0, 400), min_size=2, max_size=8), seed=st.integers(0, 9))
def test_every_word_is_said_once_and_in_order(frames: int, cuts: list[int], seed: int) -> None:
    edges = sorted({min(cut, frames) for cut in cuts} | {0, frames})
    texts = [
        SpokenText(" ".join(f"w{seed}-{start}-{number}" for number in range((stop - start) // 7 + 1)), start, stop)
        for start, stop in pairwise(edges)
    ]
    windows = windows_of(frames, 121, 9)
    said = texts_of_windows(texts, windows)
    assert " ".join(said).split() == " ".join(text.text for text in texts).split()


def test_words_are_said_where_their_window_is() -> None:
    windows = windows_of(200, 121, 9)
    said = texts_of_windows([SpokenText("early", 0, 20), SpokenText("late words", 150, 200)], windows)
    assert said == ["early", "late words"]


@pytest.mark.parametrize("kind", [np.uint8, np.float32])
def test_what_two_windows_agree_on_stays_as_it_is(kind: type) -> None:
    whole = (np.random.default_rng(0).random((60, 3)) * 255).astype(kind)
    joined, filled = np.zeros_like(whole), 0
    for start, stop in ((0, 25), (18, 43), (35, 60)):
        filled = appended(joined, filled, whole[start:stop], start)
    assert filled == 60
    assert np.allclose(joined, whole, atol=1e-4 if kind is np.float32 else 0)


def test_where_they_differ_one_fades_into_the_other() -> None:
    joined = np.zeros(20, np.float32)
    filled = appended(joined, 0, np.zeros(12, np.float32), 0)
    appended(joined, filled, np.ones(12, np.float32), 8)
    assert np.array_equal(joined[:8], np.zeros(8))
    assert np.all(np.diff(joined[7:13]) > 0)
    assert np.array_equal(joined[12:], np.ones(8))
    assert joined[8:12].mean() == pytest.approx(0.5)


def test_the_last_frame_is_held() -> None:
    assert held(np.arange(5, dtype=np.uint8), 9).tolist() == [0, 1, 2, 3, 4, 4, 4, 4, 4]
    assert held(np.arange(5, dtype=np.uint8), 5).tolist() == [0, 1, 2, 3, 4]
