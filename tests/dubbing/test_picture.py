"""New pictures go in at the source's own rate, size and count, and only where they are wanted."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis.extra.numpy import arrays

from dubflow.dubbing.picture import NewPicture, blended, write_picture
from dubflow.media.decode import read_clip
from dubflow.media.encode import write_clip
from dubflow.media.probe import probe

SIZE = (48, 64, 3)
DARK, LIGHT = 40, 200


def clip(path: Path, rate: Fraction, seconds: int = 2) -> Path:
    """Dark frames; the sound is there because a clip has one."""
    count = int(seconds * rate)
    write_clip(path, [np.full(SIZE, DARK, np.uint8)] * count, rate, np.zeros(16_000 * seconds, np.float32), crf=0)
    return path


def shown(path: Path) -> np.ndarray[Any, Any]:
    frames = read_clip(path, fps=None, audio=False).frames
    assert frames is not None
    return frames


@pytest.mark.parametrize("rate", [Fraction(25), Fraction(30000, 1001), Fraction(24000, 1001), Fraction(50)])
def test_every_source_frame_is_written_once_at_its_own_rate(tmp_path: Path, rate: Fraction) -> None:
    source, out = clip(tmp_path / "a.mp4", rate), tmp_path / "b.mp4"
    facts = probe(source)
    # 25 a second: the second half of the clip becomes light.
    light = np.full((25, *SIZE), LIGHT, np.uint8)
    written = write_picture(facts, [(25, NewPicture(light))], out)
    before, after = facts.video, probe(out).video
    assert before is not None
    assert after is not None
    assert before.video is not None
    assert after.video is not None
    assert (after.video.frames, after.video.rate) == (before.video.frames, rate)
    assert after.duration == before.duration
    assert (after.video.width, after.video.height) == (64, 48)
    assert written.notices == ()
    levels = shown(out).mean(axis=(1, 2, 3))
    middles = (np.arange(len(levels)) + 0.5) / float(rate)
    assert np.abs(levels[middles < 0.999] - DARK).max() < 4
    assert np.abs(levels[middles > 1.001] - LIGHT).max() < 4


def test_each_frame_shows_what_is_seen_in_its_middle(tmp_path: Path) -> None:
    source, out = clip(tmp_path / "a.mp4", Fraction(50), 1), tmp_path / "b.mp4"
    rising = np.stack([np.full(SIZE, 40 + 6 * number, np.uint8) for number in range(25)])
    write_picture(probe(source), [(0, NewPicture(rising[:10])), (10, NewPicture(rising[10:]))], out)
    levels = shown(out).mean(axis=(1, 2, 3))
    assert np.abs(levels - np.repeat(40 + 6 * np.arange(25), 2)).max() < 4


def test_outside_the_region_the_source_stays(tmp_path: Path) -> None:
    source, out = clip(tmp_path / "a.mp4", Fraction(25), 1), tmp_path / "b.mp4"
    weight = np.zeros((25, *SIZE[:2]), np.uint8)
    weight[:, :, 32:] = 255
    write_picture(probe(source), [(0, NewPicture(np.full((25, *SIZE), LIGHT, np.uint8), weight))], out)
    frames = shown(out).astype(int)
    assert np.abs(frames[:, :, :30] - DARK).max() < 6
    assert np.abs(frames[:, :, 34:] - LIGHT).max() < 6


@settings(deadline=None, max_examples=50)
@given(pixels=arrays(np.uint8, (2, 3, 4, 3)), weight=arrays(np.uint8, (3, 4)))
def test_blending_is_exact_at_both_ends_and_between_them_in_between(
    pixels: np.ndarray[Any, Any], weight: np.ndarray[Any, Any]
) -> None:
    own, new = pixels
    made = blended(own, new, weight)
    assert np.array_equal(made[weight == 0], own[weight == 0])
    assert np.array_equal(made[weight == 255], new[weight == 255])
    assert (made >= np.minimum(own, new)).all()
    assert (made <= np.maximum(own, new)).all()
    exact = own + (new.astype(float) - own) * (weight[..., None] / 255)
    assert np.abs(made - exact).max() <= 0.5
    assert blended(own, new, None) is new


def test_frames_without_a_constant_rate_become_25_a_second_and_it_is_said(tmp_path: Path, repository: Path) -> None:
    import av

    source, out = tmp_path / "a.mkv", tmp_path / "b.mp4"
    with av.open(str(source), "w") as container:
        stream = container.add_stream("libx264", rate=1000)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        stream.codec_context.time_base = Fraction(1, 1000)
        for tick in (0, 35, 90, 120, 200, 233, 300, 420, 455, 500, 600, 720, 800, 905, 1000):
            frame = av.VideoFrame.from_ndarray(np.full(SIZE, DARK, np.uint8), format="rgb24")
            frame.pts, frame.time_base = tick, Fraction(1, 1000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    facts = probe(source)
    assert facts.video is not None
    assert facts.video.video is not None
    assert facts.video.video.variable_rate
    written = write_picture(facts, [(0, NewPicture(np.full((30, *SIZE), LIGHT, np.uint8)))], out)
    assert written.rate == 25
    assert "constant rate" in written.notices[0]
    assert np.abs(shown(out).astype(int) - LIGHT).max() < 6
