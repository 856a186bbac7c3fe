"""Broken and hostile files: each ends in its own typed error, by content and not by name."""

from __future__ import annotations

import os
import struct
import zipfile
import zlib
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from dubflow.errors import BadInput
from dubflow.media.decode import read_audio, read_clip, stream_frames
from dubflow.media.limits import MEBI, Limits, default_limits
from dubflow.media.probe import probe


@pytest.fixture(scope="module")
def clip(session_maker, clicking) -> Path:
    """One second of picture and sound in MP4."""
    sound = clicking(1.0, 16000, [0.5])
    return session_maker.video("good.mp4", [i * 512 for i in range(25)], Fraction(1, 12800), sound=sound)


@pytest.fixture(scope="module")
def silent(session_maker) -> Path:
    return session_maker.video("silent.mp4", [i * 512 for i in range(25)], Fraction(1, 12800))


@pytest.fixture(scope="module")
def spoken(session_maker, clicking) -> Path:
    return session_maker.audio("spoken.wav", clicking(1.0, 16000, [0.5]), 16000, "pcm_s16le")


def both(path: Path, code_of, limits: Limits | None = None, **arguments) -> str:
    """The code with which probing and reading refuse a file; they must agree."""
    codes = {
        code_of(lambda: probe(path, limits or Limits())),
        code_of(lambda: read_clip(path, limits=limits, **arguments)),
    }
    assert len(codes) == 1
    return codes.pop()


def test_missing_and_unreadable(tmp_path, code_of):
    assert both(tmp_path / "nowhere.mp4", code_of) == "media.missing"
    assert both(tmp_path, code_of) == "media.not_a_file"
    assert both(Path("/dev/zero"), code_of) == "media.not_a_file"
    os.mkfifo(tmp_path / "pipe.mp4")
    assert both(tmp_path / "pipe.mp4", code_of) == "media.not_a_file"
    (tmp_path / "empty.mp4").touch()
    assert both(tmp_path / "empty.mp4", code_of) == "media.empty_file"


def test_content_counts_and_not_the_name(tmp_path, clip, code_of):
    disguised = tmp_path / "notes.txt"
    disguised.write_bytes(clip.read_bytes())
    assert read_clip(disguised).frame_count == 25
    disguised = tmp_path / "sound.wav"
    disguised.write_bytes(clip.read_bytes())
    assert probe(disguised).container == "mov"
    others = {
        "text.mp4": b"Dear diary, today nothing happened.\n" * 50,
        "noise.mp4": os.urandom(5000),
        "words.TextGrid": b'File type = "ooTextFile"\nObject class = "TextGrid"\n',
    }
    for name, content in others.items():
        (tmp_path / name).write_bytes(content)
        assert both(tmp_path / name, code_of) == "media.not_media"


@pytest.mark.parametrize("keep", [20, 100, 900, 0.5, 0.9, 0.999])
@pytest.mark.parametrize("kind", ["mp4", "faststart.mp4", "mkv", "avi", "wav", "flac", "png"])
def test_truncated(session_maker, tmp_path, clicking, code_of, kind, keep):
    whole = session_maker.folder / f"whole.{kind}"
    if not whole.exists():
        _write_whole(session_maker, whole, kind, clicking)
    data = whole.read_bytes()
    cut = tmp_path / whole.name
    cut.write_bytes(data[: keep if isinstance(keep, int) else int(len(data) * keep)])
    sound_only = kind in ("wav", "flac")
    assert both(cut, code_of, video=not sound_only, audio=sound_only) == "media.truncated"


def _write_whole(maker, path: Path, kind: str, clicking) -> None:
    if kind == "png":
        rows = np.random.default_rng(1).integers(0, 256, (64, 65), np.uint8)
        rows[:, 0] = 0  # no row filter
        path.write_bytes(png(64, 64, rows.tobytes()))
    elif kind in ("wav", "flac"):
        noise = np.random.default_rng(1).normal(0, 0.1, 16000).astype(np.float32)
        maker.audio(path.name, noise, 16000, "pcm_s16le" if kind == "wav" else "flac")
    else:
        sound = clicking(1.0, 16000, [0.5]) if kind != "avi" else None
        muxer = {"movflags": "+faststart"} if kind.startswith("fast") else {}
        ticks = [i * 40 for i in range(25)] if kind != "avi" else range(25)
        base = Fraction(1, 1000) if kind != "avi" else Fraction(1, 25)
        maker.video(path.name, list(ticks), base, options={"bf": "0"}, muxer=muxer, sound=sound)


def png(width: int, height: int, raw: bytes) -> bytes:
    """A grey PNG with any size in its header and any pixel data."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(raw)) + chunk(b"IEND", b"")


def test_what_is_asked_for_must_be_there(silent, spoken, code_of):
    assert code_of(lambda: read_clip(silent)) == "media.no_audio"
    assert code_of(lambda: read_audio(silent)) == "media.no_audio"
    assert code_of(lambda: read_clip(spoken)) == "media.no_video"
    assert code_of(lambda: list(stream_frames(spoken))) == "media.no_video"
    assert code_of(lambda: read_clip(silent, video=False, audio=False)) == "media.nothing_asked"
    assert probe(silent).audio is None
    assert probe(spoken).video is None


def test_a_cover_picture_is_no_video(tmp_path, clicking, code_of):
    import av

    path = tmp_path / "song.mp3"
    with av.open(str(path), "w") as container:
        track = container.add_stream("libmp3lame", rate=16000, layout="mono")
        cover = container.add_stream("png", rate=1)
        cover.width, cover.height, cover.pix_fmt = 64, 64, "rgb24"
        cover.disposition = av.stream.Disposition.attached_pic
        picture = av.VideoFrame.from_ndarray(np.zeros((64, 64, 3), np.uint8), format="rgb24")
        packets = cover.encode(picture) + cover.encode(None)
        sound = clicking(1.0, 16000, [0.5])
        for position in range(0, 16000, 1152):
            frame = av.AudioFrame.from_ndarray(
                sound[None, position : position + 1152].copy(), format="fltp", layout="mono"
            )
            frame.sample_rate, frame.pts, frame.time_base = 16000, position, Fraction(1, 16000)
            packets += track.encode(frame)
        for packet in packets + track.encode(None):
            container.mux(packet)
    info = probe(path)
    assert [stream.kind for stream in info.streams] == ["audio", "video"]
    assert info.video is None
    assert "attached_pic" in info.streams[1].dispositions
    assert code_of(lambda: read_clip(path)) == "media.no_video"
    assert len(read_audio(path)) > 15000


def test_two_audio_tracks_default_choice_and_track(tmp_path, code_of):
    import av

    path = tmp_path / "two.mkv"
    with av.open(str(path), "w") as container:
        tracks = [container.add_stream("pcm_s16le", rate=16000, layout="mono") for _ in range(3)]
        tracks[1].disposition = av.stream.Disposition.default
        for level, track in zip((1000, 2000, 3000), tracks, strict=True):
            track.metadata["language"] = "eng"
            samples = np.full((1, 1600), level, np.int16)
            frame = av.AudioFrame.from_ndarray(samples, format="s16", layout="mono")
            frame.sample_rate, frame.pts, frame.time_base = 16000, 0, Fraction(1, 16000)
            container.mux(track.encode(frame) + track.encode(None))
    info = probe(path)
    marked = [s.index for s in info.streams if "default" in s.dispositions]
    assert info.default_audio == marked[0]
    clip = read_clip(path, video=False)
    assert clip.source.audio_stream == info.default_audio
    assert "3 audio tracks" in clip.source.notices[0]
    for track, level in enumerate((1000, 2000, 3000)):
        assert np.allclose(read_audio(path, audio_track=track), level / 32768)
    assert code_of(lambda: read_audio(path, audio_track=3)) == "media.no_such_track"
    assert code_of(lambda: read_audio(path, audio_track=-1)) == "media.no_such_track"


def test_absurd_dimensions(tmp_path, code_of):
    for size in (60000, 2**31 - 1):
        path = tmp_path / f"{size}.png"
        path.write_bytes(png(size, size, bytes(1000)))
        assert both(path, code_of, audio=False) == "media.too_large_pixels"


def test_absurd_dimensions_in_a_video(silent, tmp_path, code_of):
    # The sample description lies about the size; the stream itself is 64x64.
    data = silent.read_bytes()
    lie = tmp_path / "lie.mp4"
    lie.write_bytes(data.replace(struct.pack(">HH", 64, 64), struct.pack(">HH", 65000, 65000)))
    try:
        frames = read_clip(lie, audio=False, limits=Limits(pixels=10**6, memory=1024 * MEBI)).frames
    except BadInput:
        frames = np.zeros((25, 64, 64, 3))
    assert frames.shape == (25, 64, 64, 3)
    assert code_of(lambda: read_clip(silent, audio=False, limits=Limits(pixels=1000))) == "media.too_large_pixels"
    assert code_of(lambda: probe(silent, Limits(pixels=1000))) == "media.too_large_pixels"


def test_limits_on_bytes_seconds_and_wall_time(clip, code_of):
    assert both(clip, code_of, Limits(bytes=100)) == "media.too_many_bytes"
    assert both(clip, code_of, Limits(seconds=0.5)) == "media.too_long"
    assert both(clip, code_of, Limits(wall_s=1e-6)) == "media.too_slow"
    assert both(clip, code_of, Limits(streams=1)) == "media.too_many_streams"
    assert code_of(lambda: read_clip(clip, limits=Limits(decoded=64 * 64 * 3 * 24))) == "media.too_large_to_hold"
    assert code_of(lambda: read_audio(clip, limits=Limits(decoded=63000))) == "media.too_large_to_hold"
    assert code_of(lambda: Limits(seconds=0)) == "media.bad_limit"
    assert code_of(lambda: Limits(wall_s=float("inf"))) == "media.bad_limit"
    assert code_of(lambda: Limits(memory=2**63)) == "media.bad_limit"
    assert read_clip(clip, limits=Limits(seconds=float("inf"))).frame_count == 25
    # Just enough is enough.
    assert read_clip(clip, limits=Limits(seconds=1.07, decoded=64 * 64 * 3 * 25, pixels=64 * 64)).frame_count == 25


def test_the_environment_sets_the_limits_of_readers_that_are_given_none(monkeypatch, clip, code_of):
    assert default_limits() == Limits()
    monkeypatch.setenv("DUBFLOW_DECODE_SECONDS", "0.5")
    assert default_limits() == Limits(seconds=0.5)
    assert code_of(lambda: read_clip(clip)) == "media.too_long"


def test_limit_on_memory(tmp_path, code_of):
    size = 4000
    path = tmp_path / "large.png"
    path.write_bytes(png(size, size, bytes(size * (size + 1))))
    assert read_clip(path, audio=False).frames.shape == (1, size, size, 3)
    assert both(path, code_of, Limits(memory=64 * MEBI), audio=False) == "media.memory"


def test_a_timestamp_far_away_costs_nothing(maker, code_of):
    # Two frames a year apart: at 25 fps that would be 788 million frames.
    path = maker.video("year.mkv", [0, 365 * 86400 * 1000], Fraction(1, 1000), options={"bf": "0"})
    assert both(path, code_of, audio=False) == "media.too_long"


def test_a_header_that_lies_about_length(spoken, tmp_path, code_of):
    data = bytearray(spoken.read_bytes())
    at = data.index(b"data") + 4
    data[at : at + 4] = struct.pack("<I", 2**31)
    (tmp_path / "lie.wav").write_bytes(data)
    assert both(tmp_path / "lie.wav", code_of, video=False) == "media.truncated"


def test_archives(tmp_path, clip, code_of):
    with zipfile.ZipFile(tmp_path / "clip.mp4", "w") as archive:
        archive.write(clip, "clip.mp4")
    assert both(tmp_path / "clip.mp4", code_of) == "media.archive"
    import gzip
    import tarfile

    (tmp_path / "g.mp4").write_bytes(gzip.compress(clip.read_bytes()))
    with tarfile.open(tmp_path / "t.mp4", "w") as archive:
        archive.add(clip, "clip.mp4")
    for name in ("g.mp4", "t.mp4"):
        assert both(tmp_path / name, code_of) == "media.archive"


def test_damage_inside_is_an_error_and_not_a_shorter_clip(maker, code_of):
    path = maker.audio("x.flac", np.random.default_rng(2).normal(0, 0.1, 32000).astype(np.float32), 16000, "flac")
    data = bytearray(path.read_bytes())
    middle = len(data) // 2
    data[middle : middle + 2000] = bytes(2000)
    path.write_bytes(data)
    assert code_of(lambda: read_audio(path)) in ("media.damaged", "media.truncated")


def test_unsupported_codec(tmp_path, code_of):
    import av

    path = tmp_path / "x.avi"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("zmbv", rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 64, "bgr0"
        picture = av.VideoFrame.from_ndarray(np.zeros((64, 64, 3), np.uint8), format="rgb24").reformat(format="bgr0")
        container.mux(stream.encode(picture) + stream.encode(None))
    assert code_of(lambda: read_clip(path, audio=False)) == "media.unsupported_codec"
    assert probe(path).video.codec == "zmbv"
