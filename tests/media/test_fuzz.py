"""Mutated files: every one ends as a clip or as a typed error, and the parent is none the worse.

Families of damage: flipped bytes, cut tails, swapped and repeated blocks, numbers in headers replaced by extreme ones.
"""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from dubflow.errors import BadInput
from dubflow.media.decode import read_clip
from dubflow.media.limits import MEBI, Limits
from dubflow.media.probe import probe
from dubflow.media.sandbox import shared_sandbox

MUTANTS = 24  # of each seed file; ten seeds
TIGHT = Limits(seconds=60, pixels=2**20, wall_s=20, memory=1024 * MEBI, decoded=512 * MEBI)
EXTREMES = [
    b"\x00" * 4,
    b"\xff" * 4,
    b"\x7f\xff\xff\xff",
    b"\x80\x00\x00\x00",
    b"\x00\x00\x00\x01",
    b"\x00\x01\x00\x00",
]


def mutated(data: bytes, random: np.random.Generator) -> bytes:
    """``data`` with one to three wounds of one family."""
    wounded = bytearray(data)
    family = random.integers(0, 6)
    for _ in range(random.integers(1, 4)):
        # Half of the wounds go into the first kilobyte, where headers are.
        reach = len(wounded) if random.random() < 0.5 else min(len(wounded), 1024)
        at = int(random.integers(0, max(1, reach)))
        length = int(random.integers(1, 200))
        if family == 0:
            for position in random.integers(0, reach, 20):
                wounded[position] ^= 1 << int(random.integers(0, 8))
        elif family == 1:
            del wounded[max(16, at) :]
        elif family == 2:
            other = int(random.integers(0, len(wounded)))
            wounded[at : at + length], wounded[other : other + length] = (
                wounded[other : other + length],
                wounded[at : at + length],
            )
        elif family == 3:
            wounded[at:at] = wounded[at : at + length] * int(random.integers(1, 10))
        elif family == 4:
            wounded[at : at + 4] = EXTREMES[int(random.integers(0, len(EXTREMES)))]
        else:
            wounded[at : at + length] = random.bytes(length)
    return bytes(wounded)


@pytest.fixture(scope="module")
def seeds(session_maker, clicking) -> dict[str, bytes]:
    """A small file of each container."""
    maker, short = session_maker, 8
    sound = clicking(0.4, 16000, [0.1])
    at_25 = [40 * i for i in range(short)]
    milli, plain = Fraction(1, 1000), {"bf": "0"}
    files = {
        "mp4": maker.video("s.mp4", at_25, milli, sound=sound, options={"bf": "2"}),
        "faststart.mp4": maker.video("f.mp4", at_25, milli, sound=sound, muxer={"movflags": "+faststart"}),
        "fragmented.mp4": maker.video("g.mp4", at_25, milli, muxer={"movflags": "+frag_keyframe+empty_moov"}),
        "mkv": maker.video("s.mkv", at_25, milli, sound=sound, options=plain),
        "ts": maker.video("s.ts", at_25, milli, sound=sound, options=plain),
        "mpg": maker.video("s.mpg", range(short), Fraction(1, 25), codec="mpeg1video", options=plain),
        "avi": maker.video("s.avi", range(short), Fraction(1, 25), codec="mpeg4", options=plain),
        "wav": maker.audio("s.wav", sound, 16000, "pcm_s16le"),
        "flac": maker.audio("s.flac", sound, 16000, "flac"),
        "mp3": maker.audio("s.mp3", sound, 16000, "libmp3lame"),
    }
    return {kind: path.read_bytes() for kind, path in files.items()}


@pytest.mark.parametrize(
    "kind", ["mp4", "faststart.mp4", "fragmented.mp4", "mkv", "ts", "mpg", "avi", "wav", "flac", "mp3"]
)
def test_mutants_end_as_a_clip_or_a_typed_error(seeds, kind, tmp_path):
    zygote = shared_sandbox().process_id
    random = np.random.default_rng(sum(kind.encode()))
    ends: dict[str, int] = {}
    for number in range(MUTANTS):
        path = tmp_path / f"{number}.{kind}"
        path.write_bytes(mutated(seeds[kind], random))
        outcome = outcome_of(path)
        ends[outcome] = ends.get(outcome, 0) + 1
    assert sum(ends.values()) == MUTANTS
    # Each family of wounds is there: were all of them harmless, or all fatal at the door, nothing was tested.
    assert any(end != "clip" for end in ends)
    assert shared_sandbox().process_id == zygote, "the zygote never dies of a file"


def outcome_of(path: Path) -> str:
    """``clip``, or the code of the error; an untyped one, and ``media.reader_failed``, escape and fail the test."""
    try:
        info = probe(path, TIGHT)
        clip = read_clip(path, limits=TIGHT, video=info.video is not None, audio=info.video is None)
    except BadInput as error:
        return error.code
    if clip.frames is not None:
        assert clip.frames.shape == (len(clip.source.frame_map), *clip.frames.shape[1:3], 3)
        assert clip.source.frame_map.max() < len(clip.source.frame_pts)
    else:
        assert np.isfinite(clip.waveform).all()
        assert np.abs(clip.waveform).max(initial=0) <= 1
    return "clip"
