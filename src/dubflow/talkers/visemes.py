"""From phone times to mouth curves, with coarticulation.

Each phone pulls the mouth towards its shape (``speech.articulation``) with a weight, its dominance function, that is
greatest within the phone and falls off before and after it; the mouth is the weighted mean (Cohen and Massaro, 1993,
"Modeling coarticulation in synthetic visual speech", eqs. 1 to 4, with the exponent 1 and a plateau over the phone):

    z(t) = sum_p D_p(t) T_p / sum_p D_p(t),    D_p(t) = a_p exp(-d_p(t) / theta)

where d is the time outside the phone's core and theta depends on the feature and on the side: lips round early, the
jaw is slow. Two things a mean cannot promise are then imposed: lips shut for p, b, m (lower lip near the teeth for f,
v), and a mouth at rest in silence.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from dubflow.speech.articulation import MouthShape, articulation
from dubflow.speech.intervals import Interval

Curve = npt.NDArray[np.float64]

_FEATURES: Final = ("openness", "width", "rounding", "press", "teeth", "tongue")
# Seconds after which a phone's pull has fallen to 1/e: before it begins (anticipation) and after it has ended.
_BEFORE: Final = {"openness": 0.045, "width": 0.06, "rounding": 0.09, "press": 0.02, "teeth": 0.04, "tongue": 0.03}
_AFTER: Final = {"openness": 0.05, "width": 0.06, "rounding": 0.06, "press": 0.02, "teeth": 0.05, "tongue": 0.03}
_CORE: Final = 0.5  # the part of a phone, around its middle, in which its pull is full
_OPENING_PER_S: Final = 14.0  # how fast the lips leave a contact, in openness a second: wide open after 70 ms
_REST_AFTER_S: Final = 0.12  # the mouth is shut this long after the last sound, and until as long before the first


@dataclass(frozen=True)
class MouthCurves:
    """Mouth shape at each of ``T`` times; every array ``[T]``, in the units of ``speech.articulation.MouthShape``."""

    openness: Curve
    width: Curve
    rounding: Curve
    press: Curve
    teeth: Curve
    tongue: Curve


@dataclass(frozen=True)
class _Pull:
    start: float
    end: float
    shape: MouthShape
    dominance: float
    contact: bool


def frame_centres(frames: int, fps: float = 25.0) -> Curve:
    """Times (s) in the middle of each of ``frames`` frames: what a camera with an open shutter shows, ``[frames]``."""
    return (np.arange(frames) + 0.5) / fps


def mouth_curves(phones: Sequence[Interval], times: Curve) -> MouthCurves:
    """The mouth at ``times`` (s, ascending, ``[T]``) while ``phones`` are spoken; silence is the label ``""``.

    At every time within a p, b or m the openness is 0, and each of them closes the lips at no less than one of the
    times (that nearest to its middle, should none fall inside it). Silence longer than 0.24 s has the mouth at rest.

    Raises:
        BadInput: ``speech.unknown_phone``.
    """
    pulls = [pull for phone in phones for pull in _pulls(phone)]
    if not pulls:
        zeros = np.zeros(len(times))
        return MouthCurves(zeros, zeros, zeros, zeros, zeros, zeros)
    curves = {feature: _blend(pulls, times, feature) for feature in _FEATURES}
    awake = _awake(phones, times)
    curves = {feature: curve * awake for feature, curve in curves.items()}
    for pull in pulls:
        if pull.contact and len(times):
            _touch(pull, times, curves)
    return MouthCurves(**curves)


def _pulls(phone: Interval) -> list[_Pull]:
    if phone.end <= phone.start:
        return []
    spoken = articulation(phone.label)
    edges = np.linspace(phone.start, phone.end, len(spoken.shapes) + 1)
    return [
        _Pull(
            float(start),
            float(end),
            shape,
            spoken.dominance,
            contact=shape.press >= 0.3 or (spoken.is_labiodental and shape.openness <= 0.1),
        )
        for start, end, shape in zip(edges[:-1], edges[1:], spoken.shapes, strict=True)
    ]


def _blend(pulls: Sequence[_Pull], times: Curve, feature: str) -> Curve:
    """The dominance-weighted mean of the targets of one feature, ``[T]``."""
    starts, ends, strengths = (np.array([getattr(p, name) for p in pulls]) for name in ("start", "end", "dominance"))
    targets = np.array([getattr(pull.shape, feature) for pull in pulls])
    middles, half_cores = (starts + ends) / 2, _CORE / 2 * (ends - starts)
    offset = times[:, None] - middles[None, :]
    outside = np.maximum(np.abs(offset) - half_cores[None, :], 0.0)
    decay = np.where(offset < 0, _BEFORE[feature], _AFTER[feature])
    # Far from every phone all weights vanish; subtracting the smallest exponent keeps their ratios.
    exponent = outside / decay
    weights = strengths[None, :] * np.exp(exponent.min(axis=1, keepdims=True) - exponent)
    # A mean lies between its targets; rounding may leave it a hair outside.
    # No matrix product: BLAS adds in another order with another number of threads, and a clip's bytes would follow.
    mean: Curve = (weights * targets).sum(axis=1) / weights.sum(axis=1)
    return np.clip(mean, targets.min(), targets.max())


def _awake(phones: Sequence[Interval], times: Curve) -> Curve:
    """1 while something is said, falling smoothly to 0 within ``_REST_AFTER_S`` on either side, ``[T]``."""
    spoken = [phone for phone in phones if phone.label]
    distance = np.full(len(times), np.inf)
    for phone in spoken:
        distance = np.minimum(distance, np.maximum(np.maximum(phone.start - times, times - phone.end), 0.0))
    nearness = np.clip(1.0 - distance / _REST_AFTER_S, 0.0, 1.0)
    return np.asarray(nearness * nearness * (3.0 - 2.0 * nearness))


def _touch(pull: _Pull, times: Curve, curves: dict[str, Curve]) -> None:
    """Bring lips (or lip and teeth) together during ``pull``, in place; they part at a limited speed around it."""
    middle = (pull.start + pull.end) / 2
    nearest = times[int(np.argmin(np.abs(times - middle)))]
    start, end = pull.start, pull.end
    if not np.any((times >= start) & (times <= end)):
        start, end = min(start, nearest), max(end, nearest)
    outside = np.maximum(np.maximum(start - times, times - end), 0.0)
    ceiling = pull.shape.openness + _OPENING_PER_S * outside
    curves["openness"] = np.minimum(curves["openness"], ceiling)
    if pull.shape.press > 0:
        grip = pull.shape.press * np.clip(1.0 - outside / 0.03, 0.0, 1.0)
        curves["press"] = np.maximum(curves["press"], grip)
    else:
        hold = np.clip(1.0 - outside / 0.05, 0.0, 1.0)
        curves["teeth"] = np.maximum(curves["teeth"], pull.shape.teeth * hold)
