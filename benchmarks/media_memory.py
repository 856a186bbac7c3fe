"""A one-hour clip is read in bounded memory: peak resident memory of streaming beside reading it whole.

    python benchmarks/media_memory.py [--minutes 60]

The clip (128x128 at 25 frames a second, sound at 16 kHz) is made in seconds: ten seconds are encoded once and their
packets repeated. Every row runs in a process of its own, so that no row inherits another's peak. The naive way, a list
of all frames, is run on two minutes and its growth extrapolated, since an hour of it may not fit.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

from dubflow.media.decode import stream_audio, stream_frames
from dubflow.media.encode import write_clip
from dubflow.media.sandbox import shared_sandbox

SIDE, FPS, RATE, LOOP_S, NAIVE_MINUTES = 128, 25, 16000, 10, 2
MIB = 2**20


def make_clip(path: Path, minutes: int) -> None:
    """A clip of that many minutes: ten encoded seconds, their packets repeated with later times."""
    random = np.random.default_rng(0)
    scene = random.integers(0, 256, (8, 8, 3), np.uint8).repeat(SIDE // 8, 0).repeat(SIDE // 8, 1)
    frames = (np.roll(scene, 2 * index, axis=1) for index in range(LOOP_S * FPS))
    sound = (0.2 * np.sin(np.arange(LOOP_S * RATE) * 0.05)).astype(np.float32)
    with tempfile.TemporaryDirectory() as folder:
        loop = Path(folder) / "loop.mp4"
        write_clip(loop, frames, FPS, sound, RATE)
        with av.open(str(loop)) as source, av.open(str(path), "w", format="mp4") as target:
            copies = {stream.index: target.add_stream_from_template(stream) for stream in source.streams}
            packets = [
                (p.stream_index, bytes(p), p.pts, p.dts, p.duration, p.time_base, p.is_keyframe)
                for p in source.demux()
                if p.size and not p.is_discard
            ]
            for turn in range(minutes * 60 // LOOP_S):
                for index, data, pts, dts, duration, time_base, key in packets:
                    shift = round(Fraction(turn * LOOP_S) / time_base)
                    packet = av.Packet(data)
                    packet.stream, packet.time_base, packet.is_keyframe = copies[index], time_base, key
                    packet.pts, packet.dts, packet.duration = pts + shift, dts + shift, duration
                    target.mux(packet)


def peak_mib(process: int | str = "self") -> float:
    """Highest resident memory of a process so far, in MiB."""
    for line in Path(f"/proc/{process}/status").read_text().splitlines():
        if line.startswith("VmHWM"):
            return int(line.split()[1]) / 1024
    return 0.0


def decoding_peak() -> float:
    """The highest peak among the processes that decode for us right now."""
    zygote = shared_sandbox().process_id
    jobs = Path(f"/proc/{zygote}/task/{zygote}/children").read_text().split()
    peaks = [0.0]
    for job in jobs:
        try:
            peaks.append(peak_mib(job))
        except OSError:
            continue
    return max(peaks)


def streamed(path: Path) -> dict[str, float]:
    """All frames and all samples, a chunk at a time."""
    frames = samples = 0
    child = 0.0
    for chunk in stream_frames(path):
        frames += len(chunk)
        child = max(child, decoding_peak())
    for piece in stream_audio(path):
        samples += len(piece)
        child = max(child, decoding_peak())
    return {"frames": frames, "seconds_of_sound": samples / RATE, "peak": peak_mib(), "child": child}


def naive(path: Path) -> dict[str, float]:
    """All frames and samples in lists, decoded in this process."""
    before = peak_mib()
    with av.open(str(path)) as container:
        frames = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
    with av.open(str(path)) as container:
        sound = np.concatenate([frame.to_ndarray()[0] for frame in container.decode(audio=0)])
    return {"frames": len(frames), "seconds_of_sound": len(sound) / RATE, "peak": peak_mib(), "before": before}


WAYS = {"streamed": streamed, "naive": naive}


def measured(way: str, path: Path) -> dict[str, float]:
    """Run one way in a process of its own."""
    started = time.monotonic()
    told = subprocess.run(
        [sys.executable, __file__, "--way", way, "--file", str(path)], check=True, capture_output=True, text=True
    )
    return {**json.loads(told.stdout), "wall_s": time.monotonic() - started}


def main() -> None:
    """Make the clips, measure, print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=int, default=60)
    parser.add_argument("--way", choices=sorted(WAYS), help=argparse.SUPPRESS)
    parser.add_argument("--file", type=Path, help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.way:
        print(json.dumps(WAYS[chosen.way](chosen.file)))
        return
    with tempfile.TemporaryDirectory() as folder:
        long, short = Path(folder) / "long.mp4", Path(folder) / "short.mp4"
        started = time.monotonic()
        make_clip(long, chosen.minutes)
        make_clip(short, NAIVE_MINUTES)
        print(f"made {long.stat().st_size / MIB:.0f} MiB of clip in {time.monotonic() - started:.0f} s\n")
        rows = [
            ("streamed", NAIVE_MINUTES, measured("streamed", short)),
            ("streamed", chosen.minutes, measured("streamed", long)),
            ("a list of frames", NAIVE_MINUTES, measured("naive", short)),
        ]
    print("| way | minutes | frames | sound s | wall s | peak MiB, caller | peak MiB, decoding child |")
    print("|---|---|---|---|---|---|---|")
    for name, minutes, row in rows:
        child = f"{row['child']:.0f}" if "child" in row else "-"
        print(
            f"| {name} | {minutes} | {row['frames']} | {row['seconds_of_sound']:.2f} | {row['wall_s']:.1f} "
            f"| {row['peak']:.0f} | {child} |"
        )
    growth = (rows[-1][2]["peak"] - rows[-1][2]["before"]) / NAIVE_MINUTES
    extrapolated = rows[-1][2]["before"] + growth * chosen.minutes
    print(f"| a list of frames, extrapolated | {chosen.minutes} | | | | {extrapolated:.0f} | - |")


if __name__ == "__main__":
    main()
