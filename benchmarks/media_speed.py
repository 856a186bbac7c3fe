"""What the confined child costs: frames a second of writing, reading and streaming beside PyAV alone in this process.

python benchmarks/media_speed.py
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import av
import numpy as np

from dubflow.media.decode import read_clip, stream_frames
from dubflow.media.encode import write_clip
from dubflow.media.probe import probe
from dubflow.media.sandbox import shared_sandbox

SIDE, FRAMES, SHORT, REPEATS = 256, 750, 75, 5


def timed(call: Callable[[], object]) -> float:
    """Best wall time of a few calls, in seconds: the least disturbed one."""
    times = []
    for _ in range(REPEATS):
        started = time.perf_counter()
        call()
        times.append(time.perf_counter() - started)
    return min(times)


def alone(path: Path) -> None:
    """Decode to RGB in this process, one thread."""
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        stream.codec_context.thread_count = 1
        np.stack([frame.to_ndarray(format="rgb24") for frame in container.decode(stream)])


def main() -> None:
    """Measure and print the table."""
    random = np.random.default_rng(0)
    scene = random.integers(0, 256, (16, 16, 3), np.uint8).repeat(SIDE // 16, 0).repeat(SIDE // 16, 1)
    started = time.perf_counter()
    shared_sandbox()
    print(f"starting the zygote, once a process: {time.perf_counter() - started:.2f} s\n")
    with tempfile.TemporaryDirectory() as folder:
        long, short = Path(folder) / "long.mp4", Path(folder) / "short.mp4"
        sound = np.zeros(SHORT * 640, np.float32)
        write = timed(lambda: write_clip(long, (np.roll(scene, 2 * i, 1) for i in range(FRAMES)), 25))
        write_clip(short, (np.roll(scene, 2 * i, 1) for i in range(SHORT)), 25, sound)
        rows = [
            ("write_clip", FRAMES, write),
            ("PyAV alone, 30 s", FRAMES, timed(lambda: alone(long))),
            ("read_clip, 30 s", FRAMES, timed(lambda: read_clip(long, audio=False))),
            ("stream_frames, 30 s", FRAMES, timed(lambda: sum(map(len, stream_frames(long))))),
            ("PyAV alone, 3 s", SHORT, timed(lambda: alone(short))),
            ("read_clip with sound, 3 s", SHORT, timed(lambda: read_clip(short))),
            ("probe, 3 s", SHORT, timed(lambda: probe(short))),
        ]
    print(f"| {SIDE}x{SIDE} | frames a second | milliseconds a call |")
    print("|---|---|---|")
    for name, frames, seconds in rows:
        print(f"| {name} | {frames / seconds:.0f} | {1000 * seconds:.0f} |")


if __name__ == "__main__":
    main()
