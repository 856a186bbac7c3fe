"""Another sound, the same picture: packet for packet, in its place on the clock."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from dubflow.media.decode import read_clip
from dubflow.media.digest import sha256_file
from dubflow.media.encode import replace_audio, write_clip
from dubflow.media.probe import probe


def packets(path: Path, kind: str) -> list[tuple]:
    """Everything that a copy must keep of every packet of a kind; the gaps between texts are the muxer's."""
    with av.open(str(path)) as container:
        streams = [stream for stream in container.streams if stream.type == kind]
        order = {stream.index: position for position, stream in enumerate(streams)}
        return sorted(
            (
                order[p.stream_index],
                p.dts * p.time_base,
                p.pts * p.time_base,
                p.duration * p.time_base,
                p.is_keyframe,
                bytes(p),
            )
            for p in container.demux(*streams)
            if p.size and bytes(p) != b"\0\0"
        )


@pytest.fixture
def subtitled(tmp_path, maker, clicking) -> Path:
    """H.264 with B-frames, AAC and a text track."""
    source = maker.video(
        "plain.mp4",
        [i * 512 for i in range(50)],
        Fraction(1, 12800),
        sound=clicking(2.0, 16000, [1.0]),
        options={"bf": "2"},
    )
    path = tmp_path / "subtitled.mp4"
    with av.open(str(source)) as given, av.open(str(path), "w") as made:
        copies = {stream.index: made.add_stream_from_template(stream) for stream in given.streams}
        text = made.add_mux_stream("mov_text")
        text.time_base = Fraction(1, 1000)
        for packet in given.demux():
            if packet.size:
                packet.stream = copies[packet.stream_index]
                made.mux(packet)
        for start, words in ((0, b"one"), (1000, b"two")):
            cue = av.Packet(len(words).to_bytes(2, "big") + words)
            cue.stream, cue.time_base = text, Fraction(1, 1000)
            cue.pts = cue.dts = start
            cue.duration = 900
            made.mux(cue)
    return path


def test_picture_and_subtitles_are_copied_packet_for_packet(subtitled, tmp_path, clicking):
    out = tmp_path / "dubbed.mp4"
    sound = clicking(1.7, 24000, [0.3, 1.1])
    replace_audio(subtitled, sound, 24000, out, language="deu")
    for kind in ("video", "subtitle"):
        assert packets(out, kind) == packets(subtitled, kind)
        assert packets(out, kind)
    info = probe(out)
    assert [stream.kind for stream in info.streams] == ["video", "subtitle", "audio"]
    assert (info.audio.language, info.audio.audio.samples, info.audio.audio.sample_rate) == ("deu", len(sound), 24000)
    clip = read_clip(out, sample_rate=24000)
    assert np.array_equal(clip.frames, read_clip(subtitled).frames)
    assert clip.sample_count == len(sound)
    onsets = np.flatnonzero(np.abs(clip.waveform) > 0.4)
    assert abs(onsets[0] - 0.3 * 24000) < 24
    assert np.abs(onsets - 1.1 * 24000).min() < 24


@pytest.mark.parametrize("start", [Fraction(1, 2), Fraction(-1, 5)])
def test_the_new_sound_starts_with_the_first_picture(maker, tmp_path, clicking, start):
    # The picture starts late on the file's clock, or its first frames are hidden by an edit list.
    ticks = [int(start * 12800) + 512 * i for i in range(50)]
    source = maker.video("late.mp4", ticks, Fraction(1, 12800), sound=clicking(3.0, 16000, [2.0]), options={"bf": "0"})
    out = tmp_path / "out.mp4"
    replace_audio(source, clicking(1.0, 16000, [0.25]), 16000, out)
    before, after = read_clip(source, audio=False), read_clip(out)
    assert np.array_equal(before.frames, after.frames)
    first = before.source.frame_pts[0]
    assert (before.source.frame_pts - first).tolist() == after.source.frame_pts.tolist()
    assert after.sample_count == 16000
    assert after.source.start_offset == 0
    assert abs(np.flatnonzero(np.abs(after.waveform) > 0.4)[0] - 4000) < 16


def test_in_place_and_twice_gives_the_same_bytes(subtitled, clicking, tmp_path):
    sound = clicking(1.0, 16000, [0.5])
    replace_audio(subtitled, sound, 16000, tmp_path / "a.mp4")
    replace_audio(subtitled, sound, 16000, subtitled)
    assert sha256_file(subtitled) == sha256_file(tmp_path / "a.mp4")


@pytest.mark.parametrize(("degrees", "name"), [(90, "turned.mp4"), (0, "plain.mov")])
def test_rotation_stays(maker, tmp_path, degrees, name):
    source = maker.video("source.mp4", [0, 512], Fraction(1, 12800), rotation=degrees)
    replace_audio(source, np.zeros(1600), 16000, tmp_path / name)
    assert probe(tmp_path / name).video.video.rotation == degrees
    assert np.array_equal(read_clip(tmp_path / name).frames, read_clip(source, audio=False).frames)


@pytest.mark.parametrize(
    ("name", "codec", "time_base"),
    [("x.ts", "libx264", Fraction(1, 90000)), ("x.mpg", "mpeg2video", Fraction(1, 25))],
)
def test_transport_and_program_streams_as_source(maker, tmp_path, shown, name, codec, time_base):
    ticks = [round(i / (25 * time_base)) for i in range(25)]
    source = maker.video(name, ticks, time_base, codec=codec, options={"bf": "0", "b": "2000000"})
    replace_audio(source, np.full(16000, 0.1), 16000, tmp_path / "out.mp4")
    clip = read_clip(tmp_path / "out.mp4")
    assert shown(clip.frames) == shown(read_clip(source, audio=False).frames) == list(range(25))
    assert clip.sample_count == 16000


def test_refusals_leave_nothing(maker, tmp_path, code_of, clicking):
    wav = maker.audio("x.wav", clicking(1.0, 16000, [0.5]), 16000, "pcm_s16le")
    good = maker.video("x.mp4", [0, 512], Fraction(1, 12800))
    out = tmp_path / "out" / "y.mp4"
    sound = np.zeros(100)
    assert code_of(lambda: replace_audio(wav, sound, 16000, out)) == "media.no_video"
    assert code_of(lambda: replace_audio(good, sound, 16000, out.with_suffix(".avi"))) == "media.unknown_output"
    assert code_of(lambda: replace_audio(good, sound, 12345, out)) == "media.unsupported_sample_rate"
    assert code_of(lambda: replace_audio(good, np.zeros(0), 16000, out)) == "media.bad_waveform"
    vp8 = maker.video("x.webm", [0, 40], Fraction(1, 1000), codec="libvpx", options={"bf": "0"})
    assert code_of(lambda: replace_audio(vp8, sound, 16000, out)) == "media.cannot_copy"
    assert not out.parent.exists() or list(out.parent.iterdir()) == []


def test_a_clip_written_here_can_be_dubbed(tmp_path, numbered, shown):
    write_clip(tmp_path / "a.mp4", [numbered(i) for i in range(30)], Fraction(30000, 1001))
    replace_audio(tmp_path / "a.mp4", np.full(17011, 0.2), 16000, tmp_path / "b.mp4")
    clip = read_clip(tmp_path / "b.mp4", fps=Fraction(30000, 1001))
    assert shown(clip.frames) == list(range(30))
    assert clip.sample_count == 17011
