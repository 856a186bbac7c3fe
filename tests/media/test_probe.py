"""What a probe says, on made files and on real ones against what their manifests say."""

from __future__ import annotations

import csv
import json
import re
from fractions import Fraction
from pathlib import Path

import pytest

from dubflow.media.decode import read_clip
from dubflow.media.digest import sha256_file
from dubflow.media.limits import Limits
from dubflow.media.probe import probe

MEDIA = {".mp4", ".mpg", ".wav", ".flac", ".mp3", ".png"}


def test_everything_about_a_clip(maker, clicking):
    ticks = [1001 * i for i in range(60)]
    path = maker.video(
        "x.mp4",
        ticks,
        Fraction(1, 30000),
        rate=Fraction(30000, 1001),
        sound=clicking(2.0, 22050, [1.0]),
        sound_rate=22050,
        options={"bf": "2", "g": "30", "preset": "medium"},
    )
    info = probe(path)
    assert (info.container, info.size, info.sha256) == ("mov", path.stat().st_size, sha256_file(path))
    picture, sound = info.video, info.audio
    assert (picture.index, picture.kind, picture.codec, picture.time_base) == (0, "video", "h264", Fraction(1, 30000))
    assert (picture.start, picture.duration, picture.packets) == (0, Fraction(60 * 1001, 30000), 60)
    assert (picture.video.width, picture.video.height, picture.video.pixel_format) == (64, 64, "yuv420p")
    assert picture.video.rate == Fraction(30000, 1001)
    assert (picture.video.frames, picture.video.keyframes) == (60, 2)
    assert picture.video.reordered
    assert not picture.video.variable_rate
    assert (sound.codec, sound.audio.sample_rate, sound.audio.channels, sound.audio.layout) == ("aac", 22050, 1, "mono")
    assert sound.audio.samples == 44100
    assert info.audio_offset == 0
    assert info.duration == Fraction(60 * 1001, 30000)


def test_as_dict_is_json_and_keeps_the_exact_rate(maker):
    path = maker.video("x.mp4", [1001 * i for i in range(10)], Fraction(1, 24000), rate=Fraction(24000, 1001))
    told = json.loads(json.dumps(probe(path).as_dict()))
    assert told["streams"][0]["video"]["rate"] == "24000/1001"
    assert told["duration"] == "1001/2400"
    assert told["duration_s"] == pytest.approx(1001 / 2400, abs=1e-6)
    assert told["default_video"] == 0
    assert told["default_audio"] is None


def test_a_single_picture_has_no_variable_rate(maker):
    info = probe(maker.video("x.mp4", [0], Fraction(1, 25)))
    assert info.video.video.frames == 1
    assert not info.video.video.variable_rate


def media_rows(shared_data: Path) -> list[tuple[Path, dict[str, str]]]:
    """Every media file that a manifest describes, with its row."""
    found = []
    for manifest in sorted(shared_data.glob("*/MANIFEST.tsv")):
        with manifest.open(encoding="utf-8", newline="") as file:
            for row in csv.DictReader(file, delimiter="\t"):
                path = manifest.parent / row["file"]
                if path.suffix in MEDIA:
                    found.append((path, row))
    return found


def test_every_real_file_is_what_its_manifest_says(shared_data):
    rows = media_rows(shared_data)
    assert len(rows) >= 80
    for path, row in rows:
        info = probe(path)
        assert info.sha256 == row["sha256"], path
        if row["duration_s"]:
            assert float(info.duration) == pytest.approx(float(row["duration_s"]), abs=0.002), path
        if row["resolution"]:
            assert f"{info.video.video.width}x{info.video.video.height}" == row["resolution"], path
        if row["fps"]:
            assert info.video.video.rate == Fraction(row["fps"]), path
            assert not info.video.video.variable_rate, path
        if row["audio"]:
            tracks = [stream for stream in info.streams if stream.audio is not None]
            told = [f"{s.codec} {s.audio.sample_rate}Hz {s.audio.channels}ch" for s in tracks]
            assert "/".join(told) == row["audio"], path


def test_default_streams_of_a_file_with_six(shared_data):
    info = probe(shared_data / "negatives" / "nasa_13013.mp4")
    assert [s.kind for s in info.streams] == ["video", "audio", "subtitle", "video", "audio", "subtitle"]
    assert (info.default_video, info.default_audio) == (0, 1)
    assert {s.language for s in info.streams} == {"eng"}
    assert info.streams[3].video.rate == Fraction(30000, 1001)
    assert (info.streams[0].video.frames, info.streams[3].video.frames) == (325, 390)
    second = read_clip(info.path, fps=None, audio=False, video_track=1)
    assert second.frames.shape == (390, 270, 480, 3)
    assert second.source.video_stream == 3


def test_real_files_decode_to_the_length_they_have(shared_data):
    for name, frames in (("grid_lipnet/bbaf2n.mpg", 75), ("negatives/eye_contact_sample.mp4", 200)):
        info = probe(shared_data / name)
        clip = read_clip(shared_data / name, limits=Limits(wall_s=120))
        assert clip.frame_count == frames
        assert clip.sample_count == pytest.approx(float(info.audio.duration) * 16000, abs=1)
        assert re.fullmatch("[0-9a-f]{64}", clip.source.sha256)
    still = read_clip(shared_data / "negatives" / "portrait.png", audio=False)
    assert still.frames.shape == (1, 1024, 1820, 3)
