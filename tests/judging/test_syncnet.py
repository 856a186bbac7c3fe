from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dubflow.errors import BadInput
from dubflow.judging.syncnet import FARTHEST, over_tracks, sync_score


def embeddings(seed: int, frames: int = 80, width: int = 24) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(frames, width))


def later(table: np.ndarray, frames: int) -> np.ndarray:
    """The same sound, so many frames later (earlier when negative), with other sound where it is missing."""
    other = embeddings(99, len(table), table.shape[1])
    if frames >= 0:
        return np.concatenate([other[:frames], table[: len(table) - frames]])
    return np.concatenate([table[-frames:], other[:-frames]])


def by_hand(video: np.ndarray, audio: np.ndarray) -> list[float]:
    """The definition, one distance at a time."""
    curve = []
    for k in range(-FARTHEST, FARTHEST + 1):
        total = 0.0
        for v in range(len(video)):
            inside = 0 <= v + k < len(audio)
            total += float(np.sqrt(np.square(video[v] - (audio[v + k] if inside else 0)).sum()))
        curve.append(total / len(video))
    return curve


def test_the_definition() -> None:
    video, audio = embeddings(0, 20, 5), embeddings(1, 20, 5)
    found = sync_score(video, audio)
    curve = by_hand(video, audio)
    assert found.curve == pytest.approx(curve)
    assert found.distance == pytest.approx(min(curve))
    assert found.confidence == pytest.approx(sorted(curve)[FARTHEST] - min(curve))
    assert found.offset == FARTHEST - int(np.argmin(curve))


@pytest.mark.parametrize("late", [-15, -7, -1, 0, 3, 15])
def test_a_known_shift_is_found(late: int) -> None:
    video = embeddings(2)
    found = sync_score(video, later(video, late))
    assert found.offset == -late  # positive: the sound is ahead
    assert found.confidence > 1


def test_embeddings_with_the_figures_of_the_published_demonstration(shared_data: Path) -> None:
    """Its clip is at no hand; these embeddings have its three figures by construction, but for the clip's ends.

    Moments are orthogonal to each other, so all pairs that do not belong together are equally far; the sound has a part
    of its own, which keeps those that do at a distance.
    """
    known = json.loads((shared_data / "expected_syncnet" / "documented.json").read_text())
    offset, least, confidence = known["av_offset_frames"], known["min_dist"], known["confidence"]
    frames = 600
    size = np.sqrt(((least + confidence) ** 2 - least**2) / 2)
    moments = size * np.eye(frames + offset, frames + offset + 1)
    video, audio = moments[:frames], moments[offset:].copy()
    audio[:, -1] = least
    found = sync_score(video, audio)
    assert found.offset == offset
    assert found.distance == pytest.approx(least, rel=0.01)
    assert found.confidence == pytest.approx(confidence, rel=0.01)


def test_the_same_is_best_and_noise_makes_it_worse() -> None:
    video = embeddings(3)
    noise = embeddings(4)
    scores = [sync_score(video, video + gain * noise) for gain in (0, 0.3, 1, 3)]
    assert (scores[0].distance, scores[0].offset) == (0, 0)
    assert [one.distance for one in scores] == sorted(one.distance for one in scores)
    assert [one.confidence for one in scores] == sorted((one.confidence for one in scores), reverse=True)


@given(st.integers(0, 2**32 - 1), st.integers(1, 40), st.integers(1, 6), st.floats(0.1, 10))
@settings(deadline=None, max_examples=40)
def test_laws(seed: int, frames: int, width: int, scale: float) -> None:
    rng = np.random.default_rng(seed)
    video, audio = rng.normal(size=(frames, width)), rng.normal(size=(frames + 3, width))
    found = sync_score(video, audio)
    assert found.frames == frames
    assert found.confidence >= 0
    turn, _ = np.linalg.qr(rng.normal(size=(width, width)))
    turned = sync_score(video @ turn, audio @ turn)
    assert turned.curve == pytest.approx(found.curve)
    assert sync_score(scale * video, scale * audio).distance == pytest.approx(scale * found.distance)


def test_over_tracks() -> None:
    video = embeddings(5)
    scores = [sync_score(video, later(video, late)) for late in (-2, -1, 0)]
    found = over_tracks(scores)
    assert (found.offset, found.absolute_offset, found.latentsync_offset) == (1, 1, 1)
    mixed = over_tracks([sync_score(video, later(video, late)) for late in (3, -2, -2, -1)])
    assert (mixed.offset, mixed.absolute_offset, mixed.latentsync_offset) == (0.5, 2, 0)
    assert found.confidence == pytest.approx(np.mean([one.confidence for one in scores]))


@pytest.mark.parametrize(
    ("pair", "code"),
    [
        ((np.zeros(3), np.zeros((3, 1))), "judging.bad_vectors"),
        ((np.zeros((3, 2)), np.zeros((3, 1))), "judging.bad_vectors"),
        ((np.full((3, 2), np.inf), np.zeros((3, 2))), "judging.bad_vectors"),
        ((np.zeros((0, 2)), np.zeros((3, 2))), "judging.too_short"),
    ],
)
def test_what_cannot_be_judged(pair: tuple[np.ndarray, np.ndarray], code: str) -> None:
    with pytest.raises(BadInput) as caught:
        sync_score(*pair)
    assert caught.value.code == code
    with pytest.raises(BadInput):
        over_tracks([])
