"""Frames a second of the drawn head on one processor core, against two ways of drawing without keeping anything.

- anew: the same picture, but skin, hair and clothes are painted from their formulas for every frame.
- plain: a much poorer picture by shading every pixel anew in numpy: a frontal head from a height field at twice the
  size, Lambert light with a highlight, eyes and mouth by masks; no hair shell, skin grain, turn of the head or room.

    python benchmarks/talkers_paint.py [--frames 100] [--looks 8]
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable

import cv2
import numpy as np

from dubflow.talkers.backgrounds import Scenery
from dubflow.talkers.events import SoundEvent
from dubflow.talkers.look import Look
from dubflow.talkers.painter import HeadPainter
from dubflow.talkers.pose import Pose

SIZES = (128, 256, 512)


def poses(count: int) -> list[Pose]:
    """A head that talks, turns and blinks."""
    times = np.arange(count) / 25.0
    return [
        Pose(
            opening=float(0.15 + 0.15 * np.sin(25 * t)),
            width=float(0.1 * np.sin(9 * t)),
            rounding=float(0.5 + 0.5 * np.sin(5 * t)),
            blink=float(np.clip(6 * np.sin(2 * t) - 5, 0, 1)),
            brow_raise=float(np.sin(3 * t)),
            gaze_x=float(np.sin(4 * t)),
            yaw=float(0.3 * np.sin(1.5 * t)),
            pitch=float(0.1 * np.sin(1.1 * t)),
            roll=float(0.08 * np.sin(1.3 * t)),
            dx=float(0.02 * np.sin(t)),
        )
        for t in times
    ]


def shade_all(pose: Pose, size: int) -> np.ndarray:
    """The plain baseline: one frontal head, every pixel from scratch."""
    double = 2 * size
    y, x = np.mgrid[0:double, 0:double].astype(np.float32)
    u, v = (x / double - 0.5) / 0.34, (y / double - 0.48) / 0.34

    def hill(at_u: float, at_v: float, wide: float, high: float) -> np.ndarray:
        return np.exp(-(((u - at_u) / wide) ** 2) - ((v - at_v) / high) ** 2)

    radius = np.sqrt((u / 0.75) ** 2 + (v / 1.05) ** 2)
    height = 0.8 * np.sqrt(np.clip(1.0 - radius**2, 0.0, 1.0))
    height += 0.13 * hill(0, 0.25, 0.09, 0.12) + 0.08 * hill(0, 0.0, 0.08, 0.2)
    height += 0.04 * hill(0, 0.5, 0.25, 0.05) + 0.05 * hill(0, 0.62, 0.22, 0.06) + 0.05 * hill(0, 0.85, 0.16, 0.1)
    for side in (-1, 1):
        height += -0.08 * hill(0.31 * side, -0.06, 0.16, 0.1) + 0.04 * hill(0.4 * side, 0.2, 0.18, 0.15)
    slope_v, slope_u = np.gradient(height, 1.0 / (0.34 * double))
    normal = np.stack([-slope_u, -slope_v, np.ones_like(u)], axis=-1)
    normal /= np.linalg.norm(normal, axis=-1, keepdims=True)
    key = np.clip(normal @ np.array([-0.44, -0.54, 0.72], dtype=np.float32), 0, 1)
    shine = np.clip(normal @ np.array([-0.25, -0.3, 0.92], dtype=np.float32), 0, 1) ** 24
    picture = np.array([0.86, 0.66, 0.55], dtype=np.float32) * (0.4 + 0.6 * key)[..., None] + 0.1 * shine[..., None]
    gap = 0.92 * pose.opening
    arch = np.clip(1.0 - (u / 0.28) ** 2, 0.0, 1.0) ** 0.6
    lips = (np.abs(v - 0.55 - 0.4 * gap) < 0.07 * arch + 0.5 * gap * arch) & (arch > 0)
    inside = (np.abs(v - 0.55 - 0.4 * gap) < 0.5 * gap * arch) & (arch > 0)
    picture[lips] = picture[lips] * np.array([0.9, 0.55, 0.55], dtype=np.float32)
    picture[inside] = (0.2, 0.06, 0.06)
    for side in (-1, 1):
        across = np.clip(1.0 - ((u - 0.31 * side) / 0.15) ** 2, 0.0, 1.0)
        eye = np.abs(v + 0.06) < 0.06 * (1.0 - pose.blink) * across
        pupil = np.hypot(u - 0.31 * side - 0.05 * pose.gaze_x, v + 0.06) < 0.05
        picture[eye] = 0.9
        picture[eye & pupil] = 0.15
        brow = (np.abs(v + 0.26 + 0.05 * pose.brow_raise) < 0.03) & (np.abs(u - 0.31 * side) < 0.18)
        picture[brow] *= 0.4
    hair = (v < -0.6) & (radius < 1.0)
    picture[hair] *= 0.3
    picture = np.where((radius < 1.0)[..., None], picture, 0.6)
    small = cv2.resize(picture, (size, size), interpolation=cv2.INTER_AREA)
    return (np.clip(small, 0, 1) * 255).astype(np.uint8)


def frames_a_second(draw: Callable[[Pose, int], object], sequence: list[Pose]) -> float:
    """Frames a second of processor time, so that other work on the machine does not count."""
    draw(sequence[0], 0)
    start = time.process_time()
    for at, pose in enumerate(sequence):
        draw(pose, at)
    return len(sequence) / (time.process_time() - start)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--frames", type=int, default=100)
    parser.add_argument("--looks", type=int, default=8)
    options = parser.parse_args()
    cv2.setNumThreads(1)
    sequence = poses(options.frames)
    print(f"frames a second of processor time, one core, {options.frames} frames, {options.looks} looks")
    columns = ("painter", "slowest look", "with events", "anew", "factor", "plain", "factor", "set-up s")
    print(f"{'size':>5}" + "".join(f"{column:>14}" for column in columns))
    for size in SIZES:
        rates, set_up, with_events = [], [], []
        for seed in range(options.looks):
            start = time.process_time()
            head, room = HeadPainter(Look.from_seed(seed), size), Scenery(seed, size)
            set_up.append(time.process_time() - start)
            rates.append(frames_a_second(lambda pose, at, h=head, r=room: h.paint(pose, r.frame(at)), sequence))
            if seed < 2:
                events = [SoundEvent("door", 10), SoundEvent("dog", 30), SoundEvent("clap", 50)]
                busy = Scenery(seed, size, events)
                with_events.append(
                    frames_a_second(lambda pose, at, h=head, r=busy: h.paint(pose, r.frame(at)), sequence)
                )
        few = sequence[: max(3, options.frames // 10)]
        background = Scenery(0, size).frame(0)
        anew = float(
            np.mean(
                [
                    frames_a_second(
                        lambda pose, _, n=seed, b=background, s=size: HeadPainter(Look.from_seed(n), s).paint(pose, b),
                        few,
                    )
                    for seed in range(3)
                ]
            )
        )
        plain = frames_a_second(lambda pose, _, s=size: shade_all(pose, s), few)
        mean = float(np.mean(rates))
        values = (
            f"{mean:.0f}",
            f"{min(rates):.0f}",
            f"{np.mean(with_events):.0f}",
            f"{anew:.1f}",
            f"{mean / anew:.0f}x",
            f"{plain:.1f}",
            f"{mean / plain:.0f}x",
            f"{np.mean(set_up):.2f}",
        )
        print(f"{size:>5}" + "".join(f"{value:>14}" for value in values))


if __name__ == "__main__":
    main()
