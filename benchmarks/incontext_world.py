"""What only the embedded world can tell of a dub: where a mouth can reach in the picture, and when things sounded."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
from numpy.typing import NDArray

from dubflow.incontext.pretraining.arrays import FPS
from dubflow.judging.picture import psnr
from dubflow.judging.recogniser import SAMPLE_RATE
from dubflow.speech.mel import log_mel
from dubflow.talkers.events import event_waveform
from dubflow.talkers.performance import Performance, intended_pose
from dubflow.talkers.picture import paint_clip
from dubflow.talkers.pose import Pose
from dubflow.talkers.scenes import ClipPlan
from incontext_bench import Frames, Waveform

_MEL_S = 0.0125
_NEAR = 40
_MOUTHS = (
    {"opening": 0.0, "press": 1.0, "rounding": 0.0, "width": -0.4, "jaw": 0.0},
    {"opening": 0.6, "press": 0.0, "rounding": 0.0, "width": 0.4, "jaw": 0.2, "tongue": 1.0},
    {"opening": 0.1, "press": 0.0, "rounding": 1.0, "width": 0.0, "jaw": 0.0},
)
"""A mouth pressed together, one as wide open as it can be, and one of ``u``."""
_MARGIN = 2


def reach_of_mouth(plan: ClipPlan, frames: int) -> NDArray[np.bool_]:
    """Pixels ``[F, H, W]`` that some mouth could change: the true mask, from painting every frame with three mouths."""
    height, width = plan.picture_size
    touched = np.zeros((frames, height, width), np.bool_)
    performances = intended_pose(plan)
    if not performances:
        return touched
    painted = [_painted(plan, performances, frames, mouth) for mouth in _MOUTHS]
    for other in painted[1:]:
        touched |= (painted[0] != other).any(axis=3)
    around = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * _MARGIN + 1,) * 2)
    return np.stack([cv2.dilate(one.astype(np.uint8), around) for one in touched]).astype(np.bool_)


def _painted(plan: ClipPlan, performances: list[Performance], frames: int, mouth: dict[str, float]) -> Frames:
    changed = []
    for one in performances:
        poses = [*one.poses, *([one.poses[-1]] * (frames - len(one.poses)))]
        changed.append(replace(one, poses=tuple(_with(pose, mouth) for pose in poses[:frames])))
    return np.stack(list(paint_clip(plan, changed, frames)))


def _with(pose: Pose, mouth: dict[str, float]) -> Pose:
    return replace(pose, **mouth)


def psnr_outside(true: Frames, made: Frames, mask: NDArray[np.bool_]) -> float:
    """Mean PSNR (dB) of the frames outside of ``mask``."""
    count = min(len(true), len(made), len(mask))
    return float(np.mean([psnr(true[one], made[one], ~mask[one]) for one in range(count)]))


def found_event(sound: Waveform, plan: ClipPlan, number: int) -> float:
    """Seconds from a planned event's time to where, within half a second, the sound is most like that event.

    Likeness is the correlation of log-mel patches, so that a vocoder's phases do not matter. A sound that has nothing
    of the event has its best place anywhere in that second; further away speech over an event is taken for another.
    """
    event = plan.events[number]  # in the order in which they are mixed
    pattern = log_mel(event_waveform(event.kind, SAMPLE_RATE, plan.seed + number))
    patch = _centred(np.maximum(pattern, pattern.max() - 50))
    level = log_mel(sound)
    middle, last = round(event.frame / FPS / _MEL_S), level.shape[1] - patch.shape[1]
    places = range(max(0, middle - _NEAR), min(last, middle + _NEAR) + 1)
    if not places:  # too late in the clip to be heard whole
        return float("inf")
    floor = level.max() - 60
    likeness = [float((patch * _centred(np.maximum(level[:, at : at + patch.shape[1]], floor))).sum()) for at in places]
    return (places.start + int(np.argmax(likeness))) * _MEL_S - event.frame / FPS


def _centred(patch: NDArray[np.float32]) -> NDArray[np.float64]:
    values = patch.astype(np.float64) - patch.mean()
    length = float(np.sqrt((values**2).sum()))
    return values / length if length > 0 else values
