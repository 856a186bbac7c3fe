"""Exact time bases, checked by what the pictures show and when the sound clicks, not by numbers alone."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from dubflow.media.decode import read_audio, read_clip
from dubflow.media.probe import probe
from dubflow.media.timing import frame_map

NTSC, FILM = Fraction(30000, 1001), Fraction(24000, 1001)


def grid(count: int, rate: Fraction, time_base: Fraction, start: int = 0) -> list[int]:
    return [start + round(index / (rate * time_base)) for index in range(count)]


@pytest.mark.parametrize(
    ("name", "rate", "time_base"),
    [
        ("ntsc.mp4", NTSC, Fraction(1, 30000)),
        ("film.mp4", FILM, Fraction(1, 24000)),
        ("pal.mp4", Fraction(25), Fraction(1, 12800)),
        ("fast.mp4", Fraction(60000, 1001), Fraction(1, 60000)),
        ("ntsc.mkv", NTSC, Fraction(1, 1000)),
        ("film.mkv", FILM, Fraction(1, 1000)),
        ("ntsc.ts", NTSC, Fraction(1, 90000)),
        ("film.avi", FILM, 1 / FILM),
    ],
)
def test_constant_rates_by_picture(maker, shown, name, rate, time_base):
    ticks = grid(90, rate, time_base)
    # AVI holds no presentation times, so there pictures are stored in the order they are shown.
    options = {"bf": "0"} if name.endswith("avi") else {}
    path = maker.video(name, ticks, time_base, rate=rate, options=options)
    video = probe(path).video.video
    assert video.rate == rate
    assert not video.variable_rate
    assert video.frames == 90
    clip = read_clip(path, audio=False)
    expected = frame_map(ticks, ticks[0] + round(90 / (rate * time_base)), time_base, Fraction(25))
    assert shown(clip.frames) == expected.tolist() == clip.source.frame_map.tolist()
    assert len(clip.frames) == round(90 / rate * 25)
    assert shown(read_clip(path, fps=None, audio=False).frames) == list(range(90))


def test_b_frames_come_in_the_order_they_are_shown(maker, shown):
    ticks = grid(60, Fraction(25), Fraction(1, 12800))
    path = maker.video(
        "b.mp4", ticks, Fraction(1, 12800), options={"bf": "3", "b-pyramid": "normal", "preset": "medium"}
    )
    assert probe(path).video.video.reordered
    clip = read_clip(path, audio=False)
    assert shown(clip.frames) == list(range(60))
    assert clip.source.frame_pts.tolist() == ticks


def test_variable_rate_by_picture(maker, shown):
    base = Fraction(1, 1000)
    gaps = [33, 33, 34, 100, 10, 10, 10, 250, 40, 40, 5, 500, 40]
    ticks = [sum(gaps[:index]) for index in range(len(gaps))]
    path = maker.video("vfr.mkv", ticks, base, options={"bf": "0"})
    video = probe(path).video.video
    assert video.variable_rate
    assert video.rate == Fraction(12 * 1000, ticks[-1])
    clip = read_clip(path, audio=False)
    assert clip.source.frame_pts.tolist() == ticks
    for index, number in enumerate(shown(clip.frames)):
        moment = (index + 0.45) * 40
        assert number == max(i for i, tick in enumerate(ticks) if tick <= moment)


def test_a_long_last_frame_is_shown_for_as_long_as_it_says(maker, shown):
    path = maker.video(
        "slides.mp4", [0, 12800, 25600], Fraction(1, 12800), options={"bf": "0"}, last_duration=3 * 12800
    )
    clip = read_clip(path, audio=False)
    assert shown(clip.frames) == [0] * 25 + [1] * 25 + [2] * 75


@pytest.mark.parametrize(
    ("name", "start"), [("late.mp4", Fraction(1, 2)), ("late.mkv", Fraction(3)), ("late.ts", Fraction(2))]
)
def test_sound_and_picture_keep_their_distance_whatever_starts_first(maker, clicking, name, start):
    # A click every second on the container's clock; the picture starts at `start`, the sound at 0.
    sound = clicking(5.0, 16000, [0.25, 1.25, 2.25, 3.25, 4.25])
    ticks = [int(start * 90000) + 3600 * i for i in range(50)]
    path = maker.video(name, ticks, Fraction(1, 90000), sound=sound, options={"bf": "0"})
    clip = read_clip(path)
    info = probe(path)
    assert abs(info.audio_offset + start) < Fraction(2, 1000) + Fraction(1024, 16000)
    assert abs(clip.source.start_offset + start) < Fraction(2, 1000) + Fraction(1024, 16000)
    onsets = np.flatnonzero(np.abs(clip.waveform) > 0.4) / 16000
    expected = [moment - float(start) for moment in (0.25, 1.25, 2.25, 3.25, 4.25) if moment > start]
    for moment in expected:
        assert np.abs(onsets - moment).min() < 0.003
    assert onsets.min() > expected[0] - 0.003
    assert np.array_equal(read_audio(path), clip.waveform)


@pytest.mark.parametrize("name", ["quiet.mp4", "quiet.mkv"])
def test_silence_stands_before_sound_that_starts_later(maker, clicking, name):
    sound = clicking(1.0, 16000, [0.1])
    path = maker.video(name, [3600 * i for i in range(50)], Fraction(1, 90000), sound=sound, sound_start=Fraction(3, 4))
    clip = read_clip(path)
    assert abs(clip.source.start_offset - Fraction(3, 4)) < Fraction(70, 1000)
    first = np.flatnonzero(np.abs(clip.waveform) > 0.4)[0] / 16000
    assert abs(first - 0.85) < 0.003
    assert np.abs(clip.waveform[: int(0.6 * 16000)]).max() < 1e-3


def test_a_hole_before_the_first_picture_moves_nothing(tmp_path, numbered, clicking):
    import av

    # Sound from 0 s on, a quarter of a second of it missing at 0.5 s, the first picture at 1 s.
    path = tmp_path / "early.mkv"
    sound = (clicking(2.0, 16000, [1.4])[None] * 32767).astype(np.int16)
    with av.open(str(path), "w") as container:
        picture = container.add_stream("libx264", rate=25, options={"bf": "0"})
        picture.width, picture.height, picture.pix_fmt = 64, 64, "yuv420p"
        track = container.add_stream("pcm_s16le", rate=16000, layout="mono")
        packets = []
        for index in range(25):
            frame = av.VideoFrame.from_ndarray(numbered(index), format="rgb24").reformat(format="yuv420p")
            frame.pts, frame.time_base = 25 + index, Fraction(1, 25)
            packets += picture.encode(frame)
        packets += picture.encode(None)
        for start in (*range(0, 8000, 160), *range(12000, 32000, 160)):
            frame = av.AudioFrame.from_ndarray(sound[:, start : start + 160].copy(), format="s16", layout="mono")
            frame.sample_rate, frame.pts, frame.time_base = 16000, start, Fraction(1, 16000)
            packets += track.encode(frame)
        for packet in sorted(packets, key=lambda packet: packet.pts * packet.time_base):
            container.mux(packet)
    clip = read_clip(path)
    assert (clip.frame_count, clip.sample_count) == (25, 16000)
    assert np.flatnonzero(np.abs(clip.waveform) > 0.4)[0] == 6400


def test_a_hole_in_the_sound_stays_a_hole(tmp_path, maker, clicking):
    import av

    # Two pieces of PCM in Matroska with half a second missing between them.
    path = tmp_path / "hole.mkv"
    with av.open(str(path), "w") as container:
        track = container.add_stream("pcm_s16le", rate=16000, layout="mono")
        for start, at in ((0, 0.1), (24000, 0.2)):
            piece = (clicking(1.0, 16000, [at])[None] * 32767).astype(np.int16)
            for offset in range(0, 16000, 1600):
                frame = av.AudioFrame.from_ndarray(piece[:, offset : offset + 1600].copy(), format="s16", layout="mono")
                frame.sample_rate, frame.pts, frame.time_base = 16000, start + offset, Fraction(1, 16000)
                container.mux(track.encode(frame))
        container.mux(track.encode(None))
    clip = read_clip(path, video=False)
    assert clip.sample_count == 40000
    assert np.flatnonzero(np.abs(clip.waveform) > 0.4)[[0, -1]].tolist() == [1600, 24000 + 3200 + 79]
    assert any("0.500 s of sound are missing at 1.000 s" in notice for notice in clip.source.notices)


@pytest.mark.parametrize("degrees", [90, 180, -90])
def test_rotation_is_applied(maker, numbered, degrees):
    path = maker.video("turned.mp4", [0, 512], Fraction(1, 12800), rotation=degrees)
    assert probe(path).video.video.rotation == degrees % 360
    frame = read_clip(path, audio=False).frames[1].astype(int)
    upright = numbered(1).astype(int)
    errors = {turns: np.abs(frame - np.rot90(upright, turns)).mean() for turns in range(4)}
    assert min(errors, key=errors.get) == degrees // 90 % 4


def test_pictures_before_the_edit_list_are_not_shown(maker, shown):
    # Frames with negative times are decoded for the sake of later ones, and skipped by an edit list.
    ticks = [(index - 5) * 512 for index in range(25)]
    path = maker.video("edited.mp4", ticks, Fraction(1, 12800), options={"bf": "0"})
    clip = read_clip(path, audio=False)
    assert shown(clip.frames) == list(range(5, 25))
    assert probe(path).video.video.frames == 20
