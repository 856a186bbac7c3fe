"""Face landmarks: frames a second by size, coverage of real clips, and how well the mouth is followed.

    python benchmarks/face_landmarks.py [FOLDER_OF_CLIPS ...]

Without folders only drawn heads are measured; real clips are those of the folders given, every video file in them.
Rates are given by the clock and by processor time (frames a second of one busy core), which other work moves less.
"""

from __future__ import annotations

import sys
import time
from collections import Counter
from pathlib import Path

import numpy as np

from dubflow.errors import DubflowError
from dubflow.faces.landmarks import MediaPipeLandmarker
from dubflow.faces.mouth import mouth_opening, mouth_width
from dubflow.faces.tracks import FaceTracks
from dubflow.media.decode import read_clip
from dubflow.talkers.look import Look
from dubflow.talkers.painter import HeadPainter
from dubflow.talkers.pose import Pose

VIDEO = {".mp4", ".mpg", ".mov", ".mkv", ".webm", ".avi"}
PEOPLE, FRAMES = 8, 100


def drawn(person: int, size: int) -> tuple[np.ndarray, np.ndarray]:
    """A speaking head, uint8 [F, size, size, 3], and the openings asked for, [F]."""
    steps = np.arange(FRAMES)
    openings = 0.28 * np.sin(steps * 2 * np.pi / 11 + person) ** 2 * (0.4 + 0.6 * np.sin(steps / 17) ** 2)
    painter = HeadPainter(Look.from_seed(person), size)
    background = np.full((size, size, 3), (110, 130, 120), np.uint8)
    frames = [
        painter.paint(
            Pose(
                opening=float(openings[step]),
                width=0.1 * np.sin(step / 5),
                dx=0.03 * np.sin(step / 7),
                yaw=0.2 * np.sin(step / 9),
                roll=0.1 * np.sin(step / 13),
            ),
            background,
        )
        for step in steps
    ]
    return np.stack(frames), openings


def timed(frames: np.ndarray) -> tuple[FaceTracks, tuple[float, float]]:
    """The tracks, and frames a second by the clock and by processor time."""
    clock, core = time.perf_counter(), time.process_time()
    tracks = MediaPipeLandmarker().landmarks(frames)
    return tracks, (len(frames) / (time.perf_counter() - clock), len(frames) / (time.process_time() - core))


def measure_drawn() -> None:
    print(f"drawn heads, {PEOPLE} people, {FRAMES} frames each")
    print("size   frames/s  a core  coverage  correlation mean, least  slope")
    for size in (64, 128, 256):
        rates, coverage, correlations, slopes = [], [], [], []
        for person in range(PEOPLE):
            frames, asked = drawn(person, size)
            tracks, rate = timed(frames)
            rates.append(rate)
            coverage.append(tracks.coverage)
            if tracks.tracks:
                found = tracks.main.found
                measured = mouth_opening(tracks.main.landmarks)[found]
                correlations.append(np.corrcoef(measured, asked[found])[0, 1])
                slopes.append(np.polyfit(asked[found], measured, 1)[0])
        clock, core = np.median(rates, axis=0)
        print(
            f"{size:4d}   {clock:8.0f}  {core:6.0f}  {np.mean(coverage):8.3f}  "
            f"{np.mean(correlations):11.3f}, {min(correlations):.3f}         {np.mean(slopes):.2f}"
        )


def measure_folder(folder: Path) -> None:
    for path in sorted(path for path in folder.iterdir() if path.suffix in VIDEO):
        try:
            frames = read_clip(path, audio=False).frames
        except DubflowError as error:
            print(f"{path.name}: {error}")
            continue
        if frames is None:
            continue
        tracks, (clock, core) = timed(frames)
        line = f"{path.name:38.38s} {frames.shape[2]:4d}x{frames.shape[1]:<4d} {len(frames):4d} frames "
        line += f"{clock:3.0f}/s, {core:3.0f}/s a core, "
        line += f"coverage {tracks.coverage:.3f} tracks {len(tracks.tracks)}"
        if tracks.tracks:
            opening, width = mouth_opening(tracks.main.landmarks), mouth_width(tracks.main.landmarks)
            line += f" opening {np.nanmin(opening):.3f} to {np.nanmax(opening):.3f} width {np.nanmedian(width):.2f}"
        missing = Counter(reason for reason in tracks.frame_reasons if reason)
        print(line + (f" {dict(missing)}" if missing else ""))


if __name__ == "__main__":
    measure_drawn()
    for argument in sys.argv[1:]:
        measure_folder(Path(argument))
