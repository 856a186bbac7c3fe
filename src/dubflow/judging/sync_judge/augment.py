"""Other faces, light, cut, sharpness and dirt than the corpus has, so that the judge sees mouths and not drawings.

What is drawn once a clip stays for its length, as a face and a camera do; what moves besides the mouth moves slowly, as
a head does that is followed imperfectly.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from dubflow.judging.sync_judge.crops import CUT

_SHIFT_PX, _SCALE, _TURN = 3.0, 0.12, 0.12
"""Furthest shift, change of scale and turn (radians) of a crop."""
_BEND_PX = 1.5
"""Deviation of the points of a coarse grid by which a face is bent into another one."""
_DRIFT_PX, _TREMBLE_PX = 2.0, 0.3
"""Deviation of where the mouth is taken to be: over the clip, and from frame to frame."""

Crops = NDArray[np.uint8]
_Change = Callable[[Crops, np.random.Generator], Crops]


def changed_mouths(crops: Crops, rng: np.random.Generator) -> Crops:
    """Crops ``[F, 64, 64]`` of another face, light, sharpness and place, sometimes behind a bar."""
    for share, change in _CHANGES:
        if rng.random() < share:
            crops = change(crops, rng)
    return crops


def _mirrored(crops: Crops, rng: np.random.Generator) -> Crops:
    return np.ascontiguousarray(crops[:, :, ::-1])


def _moved(crops: Crops, rng: np.random.Generator) -> Crops:
    """Turned, scaled, bent, and drifting: one map for the clip, and a shift of it for each frame."""
    import cv2

    frames = len(crops)
    turn, scale = rng.uniform(-_TURN, _TURN), 1 + rng.uniform(-_SCALE, _SCALE)
    across = scale * (1 + rng.uniform(-_SCALE, _SCALE))  # a head that is turned is narrower
    y, x = (np.mgrid[:CUT, :CUT] - (CUT - 1) / 2).astype(np.float32)
    map_x = (x * np.cos(turn) - y * np.sin(turn)) / across
    map_y = (x * np.sin(turn) + y * np.cos(turn)) / scale
    bend = rng.normal(0, _BEND_PX, (2, 4, 4)).astype(np.float32)
    map_x += cv2.resize(bend[0], (CUT, CUT), interpolation=cv2.INTER_CUBIC) + (CUT - 1) / 2
    map_y += cv2.resize(bend[1], (CUT, CUT), interpolation=cv2.INTER_CUBIC) + (CUT - 1) / 2
    times = np.linspace(0, 1, frames)
    drift = np.stack([np.interp(times, np.linspace(0, 1, 4), rng.normal(0, _DRIFT_PX / 2, 4)) for _ in range(2)], 1)
    shifts = drift + rng.uniform(-_SHIFT_PX, _SHIFT_PX, 2) + rng.normal(0, _TREMBLE_PX, (frames, 2))
    return np.stack(
        [
            cv2.remap(one, map_x + float(right), map_y + float(down), cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
            for one, (right, down) in zip(crops, shifts, strict=True)
        ]
    )


def _blurred(crops: Crops, rng: np.random.Generator) -> Crops:
    import cv2

    sigma = rng.uniform(0.4, 1.6)
    return np.stack([cv2.GaussianBlur(one, (0, 0), sigma) for one in crops])


def _toned(crops: Crops, rng: np.random.Generator) -> Crops:
    """Other greys for skin, lips, teeth and the dark between them: any curve, mostly rising."""
    knots = np.linspace(0, 255, 6)
    curve = np.interp(np.arange(256), knots, np.clip(knots + rng.normal(0, 30, knots.size), 0, 255))
    toned: Crops = curve.astype(np.uint8)[crops]
    return toned


def _lit(crops: Crops, rng: np.random.Generator) -> Crops:
    values = crops.astype(np.float32) / 255
    values = values ** rng.uniform(0.5, 2.0) * rng.uniform(0.3, 1.2)
    across = np.linspace(-1, 1, CUT, dtype=np.float32)
    values *= 1 + rng.uniform(-0.4, 0.4) * across[None, None, :] + rng.uniform(-0.4, 0.4) * across[None, :, None]
    return np.clip(values * 255, 0, 255).astype(np.uint8)


def _covered(crops: Crops, rng: np.random.Generator) -> Crops:
    """A bar of one grey over an edge: half of the mouth at most."""
    crops = crops.copy()
    grey, width = rng.integers(0, 256), int(rng.integers(8, 30))
    side = rng.integers(0, 4)
    bar = slice(0, width) if side % 2 else slice(CUT - width, CUT)
    if side < 2:
        crops[:, bar, :] = grey
    else:
        crops[:, :, bar] = grey
    return crops


def _grainy(crops: Crops, rng: np.random.Generator) -> Crops:
    noise = rng.normal(0, rng.uniform(1, 6), crops.shape)
    return np.clip(crops + noise, 0, 255).astype(np.uint8)


_CHANGES: tuple[tuple[float, _Change], ...] = (
    (0.5, _mirrored), (0.9, _moved), (0.6, _toned), (0.3, _blurred), (0.8, _lit), (0.25, _covered), (0.4, _grainy),
)  # fmt: skip
"""Share of the clips that each change befalls."""
