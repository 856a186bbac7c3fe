"""Learns how voices differ: sound classes without labels, and eigenvoices over them, by expectation-maximisation."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dubflow.speech.codecs.world.normalisation import CLASSIFIED, SHAPE, VoiceModel
from dubflow.speech.codecs.world.quantizer import kmeans, nearest

Floats = NDArray[np.float64]

ROUNDS = 8
_SMALLEST_VARIANCE = 1e-3
_SHRINKAGE = 20.0  # frames of a class that outweigh the belief that a voice is like the average
_START_SAMPLE = 20_000
_START_ITERATIONS = 12


@dataclass(frozen=True, eq=False)
class Voiced:
    """The sounding frames of one speaker: shapes float64 ``[n, 40]`` and how much of the voice is in each ``[n]``."""

    shape: Floats
    weight: Floats


def fit_voice_model(
    speakers: Sequence[Voiced],
    *,
    classes: int,
    rank: int,
    rng: np.random.Generator,
    on_round: Callable[[], None] = lambda: None,
) -> VoiceModel:
    """The model of these speakers' frames; ``rank`` beyond what they can show is filled with zeros.

    ``on_round`` is called :data:`ROUNDS` times.
    """
    voices = [np.zeros(2 * SHAPE + rank) for _ in speakers]
    model = _first_model(speakers, classes, rank, rng)
    for speaker, voice in zip(speakers, voices, strict=True):
        voice[:SHAPE] = _mean(speaker) / model.spread
    for _ in range(ROUNDS):
        posteriors = [
            model.posteriors(s.shape - model.offsets_for(s.shape, v)) for s, v in zip(speakers, voices, strict=True)
        ]
        statistics = [model.statistics(s.shape, s.weight, p) for s, p in zip(speakers, posteriors, strict=True)]
        voices = [model.most_probable(*one, voice) for one, voice in zip(statistics, voices, strict=True)]
        model, voices = _with_loadings(model, statistics, voices, rank)
        model = _with_classes(model, speakers, posteriors, voices)
        on_round()
    return model


def _first_model(speakers: Sequence[Voiced], classes: int, rank: int, rng: np.random.Generator) -> VoiceModel:
    centred = np.concatenate([s.shape[s.weight > 0.5] - _mean(s) for s in speakers])
    sample = centred[rng.choice(len(centred), min(len(centred), _START_SAMPLE), replace=False)]
    seen = sample[:, :CLASSIFIED].astype(np.float32)
    owner = nearest(seen, kmeans(seen, size=classes, iterations=_START_ITERATIONS, rng=rng))[0]
    onehot = np.eye(classes)[owner]
    weights, means, variances = _mixture(onehot, sample)
    spread = np.std([_mean(s) for s in speakers], axis=0) + 0.02
    return VoiceModel(weights, means, variances, np.zeros((classes, SHAPE, rank)), spread)


def _mean(speaker: Voiced) -> Floats:
    result: Floats = speaker.weight @ speaker.shape / max(speaker.weight.sum(), 1.0)
    return result


def _mixture(soft: Floats, frames: Floats) -> tuple[Floats, Floats, Floats]:
    counts = soft.sum(0) + 1.0
    mean_all, variance_all = frames.mean(0), frames.var(0)
    means = (soft.T @ frames + mean_all) / counts[:, None]
    squares = (soft.T @ frames**2 + (variance_all + mean_all**2)) / counts[:, None]
    return counts / counts.sum(), means, np.maximum(squares - means**2, _SMALLEST_VARIANCE)


def _with_loadings(
    model: VoiceModel, statistics: Sequence[tuple[Floats, Floats]], voices: Sequence[Floats], rank: int
) -> tuple[VoiceModel, list[Floats]]:
    """Principal directions of what the speakers' class means leave beside ``d``, and each speaker's place in them."""
    offsets = np.stack([voice[:SHAPE] * model.spread for voice in voices])
    spread = offsets.std(0) + 0.02
    counts = np.stack([count for count, _ in statistics])
    sums = np.stack([total for _, total in statistics]) - counts[:, :, None] * offsets[:, None]
    deviation = np.sqrt(model.variances * model.weights.mean() / np.maximum(model.weights[:, None], 1e-6))
    left = sums / (counts[:, :, None] + _SHRINKAGE) / deviation
    left = left - left.mean(0)
    _, strength, directions = np.linalg.svd(left.reshape(len(left), -1), full_matrices=False)
    kept = min(rank, len(left) - 1)
    loadings = np.zeros((*model.means.shape, rank))
    scaled = directions[:kept] * (strength[:kept, None] / np.sqrt(len(left)))
    loadings[:, :, :kept] = np.moveaxis(scaled.reshape(kept, *model.means.shape), 0, -1) * deviation[:, :, None]
    model = VoiceModel(model.weights, model.means, model.variances, loadings, spread)
    placed = [np.concatenate([offset / spread, np.zeros(SHAPE + rank)]) for offset in offsets]
    for _ in range(2):
        placed = [model.most_probable(*one, voice) for one, voice in zip(statistics, placed, strict=True)]
    return model, placed


def _with_classes(
    model: VoiceModel, speakers: Sequence[Voiced], posteriors: Sequence[Floats], voices: Sequence[Floats]
) -> VoiceModel:
    """Classes of what is left when every speaker's voice is taken out."""
    soft, rest = [], []
    for speaker, classes, voice in zip(speakers, posteriors, voices, strict=True):
        soft.append(classes * speaker.weight[:, None])
        rest.append(speaker.shape - model.offsets(classes, voice))
    weights, means, variances = _mixture(np.concatenate(soft), np.concatenate(rest))
    return VoiceModel(weights, means, variances, model.loadings, model.spread)
