"""Other light, cut, sharpness and dirt than the corpus has, so that the judge sees mouths and not drawings.

Everything is drawn once a clip and stays for its length, as a camera does: what moves is the mouth alone.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from dubflow.judging.sync_judge.crops import CUT

_SHIFT_PX, _SCALE, _TURN = 3.0, 0.1, 0.12
"""Furthest shift, change of scale and turn (radians) of a crop."""

Crops = NDArray[np.uint8]


def changed_mouths(crops: Crops, rng: np.random.Generator) -> Crops:
    """Crops ``[F, 64, 64]`` of another light, sharpness and place, sometimes behind a bar."""
    steps: list[tuple[float, Callable[[Crops, np.random.Generator], Crops]]] = [
        (0.5, _mirrored), (0.8, _moved), (0.3, _blurred), (0.8, _lit), (0.25, _covered), (0.4, _grainy),
    ]  # fmt: skip
    for share, change in steps:
        if rng.random() < share:
            crops = change(crops, rng)
    return crops


def _mirrored(crops: Crops, rng: np.random.Generator) -> Crops:
    return np.ascontiguousarray(crops[:, :, ::-1])


def _moved(crops: Crops, rng: np.random.Generator) -> Crops:
    import cv2

    turn, scale = rng.uniform(-_TURN, _TURN), 1 + rng.uniform(-_SCALE, _SCALE)
    affine = cv2.getRotationMatrix2D((CUT / 2, CUT / 2), float(np.degrees(turn)), scale)
    affine[0] *= 1 + rng.uniform(-_SCALE, _SCALE)  # a head that is turned is narrower
    affine[:, 2] += rng.uniform(-_SHIFT_PX, _SHIFT_PX, 2)
    return np.stack([cv2.warpAffine(one, affine, (CUT, CUT), borderMode=cv2.BORDER_REPLICATE) for one in crops])


def _blurred(crops: Crops, rng: np.random.Generator) -> Crops:
    import cv2

    sigma = rng.uniform(0.4, 1.6)
    return np.stack([cv2.GaussianBlur(one, (0, 0), sigma) for one in crops])


def _lit(crops: Crops, rng: np.random.Generator) -> Crops:
    values = crops.astype(np.float32) / 255
    values = values ** rng.uniform(0.5, 2.0) * rng.uniform(0.3, 1.2)
    across = np.linspace(-1, 1, CUT, dtype=np.float32)
    values *= 1 + rng.uniform(-0.3, 0.3) * across[None, None, :] + rng.uniform(-0.3, 0.3) * across[None, :, None]
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
