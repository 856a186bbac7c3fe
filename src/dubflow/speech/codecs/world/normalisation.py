"""What belongs to the speaker and is taken out of every frame: the level, the pitch range, the shape of the voice.

The spectral part is eigenvoices over a Gaussian mixture (Kuhn, Junqua, Nguyen and Niedzielski, 2000; the estimate is
that of Dehak, Kenny, Dehak, Dumouchel and Ouellet, 2011, for i-vectors). A frame of speaker ``s`` in class ``k`` is

    x = m_k + s_s (c - m_k) + d_s + V_k y_s

with ``c`` the speaker-independent rest, ``m_k`` the mean of the class, ``d_s`` an offset of all classes, ``s_s`` how
widely the voice varies in each cepstrum, and ``V_k y_s`` what the voice does to this class in particular: a longer
vocal tract moves the formants of an /i/ and of an /a/ by different cepstra, which one mean and deviation an utterance
cannot say. Where nobody speaks, the voice fades out (:func:`gate`).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dubflow.speech.codecs.world.analysis import CEPSTRA, POWER_FLOOR, Features

Floats = NDArray[np.float64]

SHAPE = CEPSTRA
"""Values of a frame that a voice shapes: cepstra 1 to 39 and the aperiodicity."""
CLASSIFIED = 24
"""Of those the first so many (cepstra 1 to 24) tell the sound classes apart."""
TRAITS = 3
"""Level, mean and spread of the log pitch."""

_ACTIVE_RANGE = 8.0  # nepers of power (35 dB) below the loudest frame
_SPEECH_ABOVE_FLOOR = 2.5
_GATE_AT, _GATE_WIDTH = -5.0, 0.7  # nepers of power relative to the level
_TRAIT_CENTRE = np.array([-10.0, 4.9, -1.7])  # usual level, log Hz, log of the spread of log Hz
_TRAIT_SCALE = np.array([2.0, 0.35, 0.4])
_NARROWEST, _WIDEST = 0.03, 0.6  # spread of log Hz
_APERIODICITY_DB = 5.0
_INDEPENDENT = 0.7
_WIDTH_SPREAD = 0.2
_WIDTH_PRIOR = 10.0  # independent frames


@dataclass(frozen=True)
class Traits:
    """Level (natural-log power), mean and standard deviation of the natural log of the pitch in Hz."""

    level: float
    pitch: float
    spread: float

    def as_vector(self) -> Floats:
        """Around 0 with about unit deviation over voices, ``[3]``."""
        values: Floats = (np.array([self.level, self.pitch, np.log(self.spread)]) - _TRAIT_CENTRE) / _TRAIT_SCALE
        return values

    @classmethod
    def from_vector(cls, vector: Floats) -> Traits:
        """The inverse of :meth:`as_vector`, with the spread kept within what voices have."""
        level, pitch, spread = np.asarray(vector, dtype=np.float64) * _TRAIT_SCALE + _TRAIT_CENTRE
        narrow, wide = np.log([_NARROWEST, _WIDEST])
        return cls(float(level), float(pitch), float(np.exp(np.clip(spread, narrow, wide))))


def measure_traits(features: Features) -> Traits:
    """Traits of an utterance; where nothing is voiced or nothing sounds, the usual ones."""
    usual = Traits.from_vector(np.zeros(TRAITS))
    sounding = active(features)
    level = float(features.cepstrum[sounding, 0].mean()) if sounding.any() else usual.level
    logs = np.log(features.hz[features.voiced])
    if logs.size < 2:
        return Traits(level, usual.pitch, usual.spread)
    # Octave errors of a few frames must not widen a voice: the middle of the distribution decides.
    middle = float(np.median(logs))
    logs = logs[np.abs(logs - middle) < np.log(1.8)]
    if not logs.size:  # two accidents far apart, with the middle between them and nothing there
        return Traits(level, usual.pitch, usual.spread)
    return Traits(level, float(logs.mean()), float(np.clip(logs.std(), _NARROWEST, _WIDEST)))


def active(features: Features) -> NDArray[np.bool_]:
    """Frames ``[L]`` in which somebody speaks: near the loudest, and above the floor."""
    level = features.cepstrum[:, 0]
    if not level.size:
        return np.zeros(0, dtype=bool)
    result: NDArray[np.bool_] = level > max(level.max() - _ACTIVE_RANGE, np.log(POWER_FLOOR) + _SPEECH_ABOVE_FLOOR)
    return result


def gate(relative_level: Floats) -> Floats:
    """How much of the voice is in a frame, 0..1 ``[L]``, from its level less the utterance's: silence has no voice."""
    opened: Floats = 1.0 / (1.0 + np.exp(-(relative_level - _GATE_AT) / _GATE_WIDTH))
    return opened


def shape_of(features: Features, voiced: NDArray[np.bool_], usual_aperiodicity: Floats) -> Floats:
    """Cepstra 1 to 39 and the aperiodicity relative to the usual one of its kind (unvoiced, voiced): ``[L, 40]``."""
    aperiodicity = (features.aperiodicity - usual_aperiodicity[voiced.astype(int)]) / _APERIODICITY_DB
    return np.concatenate([features.cepstrum[:, 1:], aperiodicity[:, None]], axis=1)


def aperiodicity_of(shape: Floats, voiced: NDArray[np.bool_], usual_aperiodicity: Floats) -> Floats:
    """dB ``[L]`` of a shape ``[L, 40]``; the inverse of what :func:`shape_of` does to it."""
    bands: Floats = shape[:, -1] * _APERIODICITY_DB + usual_aperiodicity[voiced.astype(int)]
    return bands


@dataclass(frozen=True, eq=False)
class VoiceModel:
    """Sound classes and how voices differ in them.

    Attributes:
        weights: ``[K]``. means: ``[K, 40]``. variances: ``[K, 40]``. loadings: ``[K, 40, R]``. spread: ``[40]``,
            standard deviation of ``d`` over speakers.
    """

    weights: Floats
    means: Floats
    variances: Floats
    loadings: Floats
    spread: Floats

    @property
    def size(self) -> int:
        """Values of a voice: 40 of ``d`` and 40 of ``log s`` (both in deviations), then R of ``y``."""
        return 2 * SHAPE + self.loadings.shape[2]

    def posteriors(self, shape: Floats) -> Floats:
        """Probability of each class ``[n, K]`` for speaker-independent frames ``[n, >= 24]``."""
        x = shape[:, :CLASSIFIED]
        precision = 1.0 / self.variances[:, :CLASSIFIED]
        means = self.means[:, :CLASSIFIED]
        constant = np.log(self.weights) + 0.5 * np.log(precision).sum(1) - 0.5 * (means**2 * precision).sum(1)
        score = constant - 0.5 * (x**2) @ precision.T + x @ (means * precision).T
        score -= score.max(1, keepdims=True)
        likelihood = np.exp(score)
        result: Floats = likelihood / likelihood.sum(1, keepdims=True)
        return result

    def remove(self, shape: Floats, opened: Floats, voice: Floats) -> Floats:
        """``c``: frames ``[n, 40]`` without the voice, as far as the gate ``[n]`` is open."""
        offset = self.offsets_for(shape, voice)
        usual = self.posteriors(shape - offset) @ self.means
        rest = shape - opened[:, None] * offset
        content: Floats = usual + (rest - usual) / self.widths(opened, voice)
        return content

    def restore(self, content: Floats, opened: Floats, voice: Floats) -> Floats:
        """Frames ``[n, 40]`` with the voice put back on ``c`` ``[n, 40]``."""
        classes = self.posteriors(content)
        usual = classes @ self.means
        widened = usual + (content - usual) * self.widths(opened, voice)
        shape: Floats = widened + opened[:, None] * self.offsets(classes, voice)
        return shape

    def widths(self, opened: Floats, voice: Floats) -> Floats:
        """``s`` of each frame ``[n, 40]``; 1 where the gate is shut."""
        widths: Floats = np.exp(opened[:, None] * np.clip(voice[SHAPE : 2 * SHAPE] * _WIDTH_SPREAD, -1.0, 1.0))
        return widths

    def offsets(self, posteriors: Floats, voice: Floats) -> Floats:
        """``d + V_k y`` of each frame ``[n, 40]``, averaged over its classes."""
        return voice[:SHAPE] * self.spread + posteriors @ (self.loadings @ voice[2 * SHAPE :])

    def estimate(self, shape: Floats, weight: Floats, rounds: int = 4) -> Floats:
        """The voice ``[80 + R]`` of an utterance's frames ``[n, 40]``, each counted ``weight`` ``[n]``.

        The most probable ``d`` and ``y`` in turn, classes as they are without the last estimate; then ``s``.
        """
        voice = np.zeros(self.size)
        if weight.sum() < 1.0:
            return voice
        start = (weight @ (shape - self.means.T @ self.weights)) / (weight.sum() + 10.0)
        voice[:SHAPE] = start / self.spread
        for _ in range(rounds):
            classes = self.posteriors(shape - self.offsets_for(shape, voice))
            voice = self.most_probable(*self.statistics(shape, weight, classes), voice)
        rest = shape - self.offsets_for(shape, voice)
        voice[SHAPE : 2 * SHAPE] = self._log_widths(rest, weight) / _WIDTH_SPREAD
        return voice

    def _log_widths(self, rest: Floats, weight: Floats) -> Floats:
        """``log s`` ``[40]``: deviation within the classes against the model's; little speech draws it to 0."""
        soft = self.posteriors(rest) * weight[:, None]
        precision = 1.0 / self.variances
        squares = soft.sum(0) @ (self.means**2 * precision)
        squares += ((soft @ precision) * rest**2).sum(0) - 2 * ((soft @ (self.means * precision)) * rest).sum(0)
        ratio = (squares * _INDEPENDENT + _WIDTH_PRIOR) / (weight.sum() * _INDEPENDENT + _WIDTH_PRIOR)
        logs: Floats = 0.5 * np.log(np.maximum(ratio, 1e-3))
        return logs

    def offsets_for(self, shape: Floats, voice: Floats) -> Floats:
        """Offsets of frames whose speaker-independent form is not known yet ``[n, 40]``: two fixed-point steps."""
        offset = np.broadcast_to(voice[:SHAPE] * self.spread, shape.shape)
        for _ in range(2):
            offset = self.offsets(self.posteriors(shape - offset), voice)
        return offset

    def statistics(self, shape: Floats, weight: Floats, classes: Floats) -> tuple[Floats, Floats]:
        """Frames of each class ``[K]`` and their sum relative to its mean ``[K, 40]``."""
        soft = classes * weight[:, None]
        counts = soft.sum(0)
        return counts, soft.T @ shape - counts[:, None] * self.means

    def most_probable(self, counts: Floats, sums: Floats, voice: Floats) -> Floats:
        """``d`` given ``y``, then ``y`` given ``d``, both with standard normal priors: the voice ``[80 + R]``.

        Neighbouring frames say much the same, so a frame counts as ``_INDEPENDENT`` of one.
        """
        counts, sums = counts * _INDEPENDENT, sums * _INDEPENDENT
        scaled = self.loadings / self.variances[:, :, None]
        own = sums - counts[:, None] * (self.loadings @ voice[2 * SHAPE :])
        precision = (counts[:, None] / self.variances).sum(0) + 1.0 / self.spread**2
        d = (own / self.variances).sum(0) / precision
        own = sums - counts[:, None] * d
        matrix = np.einsum("k,kdr,kds->rs", counts, self.loadings, scaled) + np.eye(self.loadings.shape[2])
        y = np.linalg.solve(matrix, np.einsum("kdr,kd->r", scaled, own))
        return np.concatenate([d / self.spread, voice[SHAPE : 2 * SHAPE], y])
