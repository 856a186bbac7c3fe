"""What is written is what is read: frames, samples, colours, bytes."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dubflow.errors import WrongUse
from dubflow.media.decode import read_audio, read_clip
from dubflow.media.digest import sha256_file
from dubflow.media.encode import replace_audio, write_audio, write_clip
from dubflow.media.mp4 import AAC_RATES

EXACT_RATES = [Fraction(25), Fraction(30000, 1001), Fraction(24000, 1001), Fraction(24), Fraction(50), Fraction(15, 2)]


def tone(count: int, rate: int) -> np.ndarray:
    return (0.4 * np.sin(2 * np.pi * 440 * np.arange(count) / rate)).astype(np.float32)


@given(
    count=st.integers(1, 40),
    fps=st.sampled_from(EXACT_RATES),
    samples=st.integers(1, 20000),
    sample_rate=st.sampled_from([8000, 16000, 22050, 44100, 48000]),
)
@settings(deadline=None, max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_counts_survive_the_round_trip(tmp_path, numbered, shown, count, fps, samples, sample_rate):
    path = tmp_path / "clip.mp4"
    write_clip(path, (numbered(i) for i in range(count)), fps, tone(samples, sample_rate), sample_rate)
    clip = read_clip(path, fps=fps, sample_rate=sample_rate)
    assert shown(clip.frames) == list(range(count))
    assert clip.source.frame_map.tolist() == list(range(count))
    assert clip.sample_count == samples
    assert clip.fps == fps
    assert clip.source.start_offset == 0
    # Another reader sees the same in the headers.
    with av.open(str(path)) as container:
        video, audio = container.streams.video[0], container.streams.audio[0]
        assert video.average_rate == fps
        assert video.frames == count
        assert video.duration * video.time_base == count / fps
        assert audio.duration * audio.time_base == Fraction(samples, sample_rate)


@pytest.mark.parametrize("sample_rate", AAC_RATES)
def test_sound_comes_back_in_place(tmp_path, numbered, sample_rate):
    # A sound with a clear place in time: a chirp, whose correlation with itself has one sharp peak.
    time = np.arange(sample_rate) / sample_rate
    sound = (0.5 * np.sin(2 * np.pi * (200 + 1000 * time) * time)).astype(np.float32)
    path = tmp_path / "clip.mp4"
    write_clip(path, [numbered(0)] * 25, 25, sound, sample_rate)
    back = read_audio(path, sample_rate)
    assert len(back) == len(sound)
    scores = [float(np.dot(back[32 + lag : len(back) - 32 + lag], sound[32:-32])) for lag in range(-32, 33)]
    assert int(np.argmax(scores)) - 32 == 0
    assert np.corrcoef(back, sound)[0, 1] > 0.98


def test_colours_survive(tmp_path):
    colours = [(255, 0, 0), (0, 255, 0), (0, 0, 255), (200, 120, 60), (16, 16, 16), (255, 255, 255), (90, 60, 180)]
    for size in ((64, 64), (720, 64)):
        frames = [np.full((*size, 3), colour, np.uint8) for colour in colours]
        write_clip(tmp_path / "c.mp4", frames, 25, crf=4)
        back = read_clip(tmp_path / "c.mp4", audio=False).frames
        assert back.shape == (7, *size, 3)
        assert np.abs(back.astype(int) - np.stack(frames)).max() <= 4


def test_equal_input_gives_equal_bytes(tmp_path, numbered):
    digests = set()
    for name in ("a.mp4", "b.mp4"):
        write_clip(tmp_path / name, [numbered(i) for i in range(30)], Fraction(30000, 1001), tone(16003, 16000))
        digests.add(sha256_file(tmp_path / name))
    assert len(digests) == 1
    assert digests == {hashlib.sha256((tmp_path / "a.mp4").read_bytes()).hexdigest()}


def test_a_clip_says_where_it_came_from(tmp_path, numbered):
    path = tmp_path / "clip.mp4"
    write_clip(path, [numbered(i) for i in range(10)], Fraction(50), tone(3200, 16000))
    clip = read_clip(path)
    assert clip.source.sha256 == sha256_file(path)
    assert clip.source.size == path.stat().st_size
    assert (clip.source.video_stream, clip.source.audio_stream) == (0, 1)
    assert clip.source.frame_map.tolist() == [0, 2, 4, 6, 8]
    assert np.allclose(clip.source.frame_times, np.arange(10) / 50)
    assert clip.source.frame_time(3) == Fraction(3, 50)
    assert clip.seconds == 0.2


def test_every_source_frame_once(tmp_path, numbered, shown):
    write_clip(tmp_path / "clip.mp4", [numbered(i) for i in range(7)], Fraction(24000, 1001))
    clip = read_clip(tmp_path / "clip.mp4", fps=None, audio=False)
    assert shown(clip.frames) == list(range(7))
    assert clip.fps == Fraction(24000, 1001)


def test_wav_of_16_bit_values_is_exact(tmp_path):
    steps = np.random.default_rng(3).integers(-32768, 32768, 5001)
    sound = (steps / 32768).astype(np.float32)
    write_audio(tmp_path / "x.wav", sound, 16000)
    assert np.array_equal(read_audio(tmp_path / "x.wav"), sound)


@pytest.mark.parametrize(("rate", "new_rate"), [(44100, 16000), (48000, 16000), (8000, 16000), (22050, 16000)])
def test_resampling_keeps_length_place_and_pitch(tmp_path, rate, new_rate):
    count = rate + 17
    write_audio(tmp_path / "x.wav", tone(count, rate), rate)
    back = read_audio(tmp_path / "x.wav", new_rate)
    assert len(back) == round(count * new_rate / rate)
    middle = slice(new_rate // 10, -new_rate // 10)
    assert np.abs(back - tone(len(back), new_rate))[middle].max() < 2e-3


def test_stereo_becomes_the_mean(maker, tmp_path):
    import wave

    left, right = np.full(1600, 8000, "<i2"), np.full(1600, -2000, "<i2")
    with wave.open(str(tmp_path / "s.wav"), "wb") as file:
        file.setnchannels(2)
        file.setsampwidth(2)
        file.setframerate(16000)
        file.writeframes(np.stack([left, right], 1).tobytes())
    assert np.allclose(read_audio(tmp_path / "s.wav"), 3000 / 32768)


def test_eight_planar_channels_become_the_mean(tmp_path):
    rate, count = 48000, 48000
    spoken = tone(count, rate)
    channels = np.zeros((8, count), np.float32)
    channels[:2] = spoken  # front left and right
    with av.open(str(tmp_path / "e.mp4"), "w") as container:
        track = container.add_stream("aac", rate=rate, layout="7.1", bit_rate=512000)
        for start in range(0, count, 1024):
            piece = np.ascontiguousarray(channels[:, start : start + 1024].T).reshape(1, -1)
            packed = av.AudioFrame.from_ndarray(piece, format="flt", layout="7.1")
            packed.sample_rate, packed.pts, packed.time_base = rate, start, Fraction(1, rate)
            resampler = av.AudioResampler(format="fltp", layout="7.1", rate=rate)
            for frame in resampler.resample(packed):
                container.mux(track.encode(frame))
        container.mux(track.encode(None))
    heard = read_audio(tmp_path / "e.mp4", rate)
    assert len(heard) == count
    inner = slice(4096, -4096)
    assert np.abs(heard[inner] - spoken[inner] / 4).max() < 0.01


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        ({"path": "x.avi"}, "media.unknown_output"),
        ({"frames": []}, "media.no_frames"),
        ({"frames": [np.zeros((63, 64, 3), np.uint8)]}, "media.odd_size"),
        ({"frames": [np.zeros((64, 64), np.uint8)]}, "media.frame_shape"),
        ({"frames": [np.zeros((64, 64, 3), np.float32)]}, "media.frame_shape"),
        ({"frames": [np.zeros((64, 64, 3), np.uint8), np.zeros((32, 64, 3), np.uint8)]}, "media.frame_shape"),
        ({"fps": 0}, "media.bad_rate"),
        ({"fps": Fraction(29.97)}, "media.bad_rate"),
        ({"sample_rate": 12345}, "media.unsupported_sample_rate"),
        ({"waveform": np.array([0.0, np.nan])}, "media.bad_waveform"),
        ({"waveform": np.zeros((2, 100))}, "media.bad_waveform"),
        ({"waveform": np.zeros(100, np.int16)}, "media.bad_waveform"),
        ({"waveform": np.zeros(0)}, "media.bad_waveform"),
    ],
)
def test_wrong_use_is_refused_and_leaves_nothing(tmp_path, arguments, code):
    given_ = {
        "path": "x.mp4",
        "frames": [np.zeros((64, 64, 3), np.uint8)],
        "fps": 25,
        "waveform": np.zeros(100),
        **arguments,
    }
    with pytest.raises(WrongUse) as caught:
        write_clip(tmp_path / given_.pop("path"), **given_)
    assert caught.value.code == code
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["12:30.mp4", "http:x/a b.mp4", "line\nfeed é.mp4", "per%03d.mp4"])
def test_relative_names_are_only_names(tmp_path, monkeypatch, numbered, name):
    monkeypatch.chdir(tmp_path)
    write_clip(name, [numbered(0)], 25, tone(640, 16000))
    replace_audio(name, tone(320, 16000), 16000, name)
    clip = read_clip(name)
    assert (clip.frame_count, clip.sample_count) == (1, 320)


def test_a_failing_source_of_frames_leaves_nothing(tmp_path, numbered):
    def frames():
        yield numbered(0)
        raise RuntimeError("the painter fell off his ladder")

    with pytest.raises(RuntimeError, match="ladder"):
        write_clip(tmp_path / "x.mp4", frames(), 25)
    assert list(tmp_path.iterdir()) == []


_WRITE = """
import hashlib, sys
import numpy as np
from dubflow.media.encode import write_clip

y, x = np.mgrid[:96, :96]
frames = np.empty((30, 96, 96, 3), np.uint8)
for time, frame in enumerate(frames):
    frame[...] = np.stack([2 * x + 3 * time, 128 + 100 * np.sin(y / 9 + time / 3), 0 * x + 60], axis=2).astype(np.uint8)
    frame[np.hypot(x - 48 - 5 * np.sin(time / 2), y - 48) < 24 + 2 * np.sin(time)] = (220, 180, 150)
write_clip(sys.argv[1], frames, 25)
print(hashlib.sha256(open(sys.argv[1], "rb").read()).hexdigest())
"""


def test_the_same_pictures_give_the_same_bytes_whatever_lay_in_memory_before(tmp_path: Path) -> None:
    digests = {
        subprocess.run(
            [sys.executable, "-c", _WRITE, str(tmp_path / f"{filled}.mp4")],
            env=os.environ | {"MALLOC_PERTURB_": filled},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for filled in ("0", "85", "170", "254")
    }
    assert len(digests) == 1
