r"""The autoencoder of pictures in training: its examples and its loss.

Faces are small and still; what has to be learnt is what moves quickly in them, the mouth above all. Where that is, is
told by how quickly a pixel changes over its whole clip: heads sway slowly and lips do not,

.. math:: q = \min(1, c / c_{99.5})^2, \quad c = \overline{\lvert 2 x_t - x_{t-2} - x_{t+2} \rvert}.

The error of a pixel weighs ``1 + m q``; with it goes that of the differences between neighbours (edges). Beside them
stands the error of the motion, of pictures without their mean over time, as a share of its power,

.. math:: s = \frac{\sum q\,(\hat x - \bar{\hat x} - x + \bar x)^2}{\sum q\,(x - \bar x)^2}.

Of clips, the errors of the picture count as far as the motion is there (``1 - s``), or as far as the mean picture is
wrong: faces alone teach so much that a mouth would stay half open for thousands of steps, and motion alone teaches
nobody's face. Measured on held-out clips after 200 steps from the same weights: the mouth's brightness correlates by
.29 with the true one's where the motion comes first, by .10 where all is learnt at once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from dubflow.incontext.pretraining.arrays import MaterialArrays
from dubflow.incontext.pretraining.settings import VideoVaeTraining
from dubflow.incontext.pretraining.sound import split_places
from dubflow.incontext.training.loss import LossParts
from dubflow.training.plan import BatchPlan, spread
from dubflow.training.seeds import seed_of

_SPAN = 2
_STILL = 1e-8
_WRONG = 3.0
"""A mean picture with an error of a third of the pictures' power is wrong enough to count in full."""


@dataclass(frozen=True, eq=False)
class Pictures:
    """Stretches of clips ``[B, 3, F, H, W]``, -1..1, and how quickly their pixels change, ``[B, 1, 1, H, W]``, 0..1."""

    pixels: Tensor
    quick: Tensor


class PictureMaterial:
    """Stretches of drawn clips, half of them mirrored, chosen by batch number alone."""

    def __init__(self, arrays: MaterialArrays, settings: VideoVaeTraining) -> None:
        self.arrays, self.settings = arrays, settings
        train, held = split_places(arrays)
        self.train = [place for place in train if arrays.clips[place].part != "voices"]
        self._held = [place for place in held if arrays.clips[place].part != "voices"]
        self._quick: dict[int, NDArray[np.float16]] = {}
        ones = [1] * len(self.train)
        self._plan = BatchPlan(ones, batch_items=settings.batch_items, seed=settings.seed)
        self._still = BatchPlan(ones, batch_items=settings.still_items, seed=settings.seed)

    def batch(self, number: int) -> Pictures:
        """Batch ``number`` of the training."""
        settings = self.settings
        still = number // settings.accumulate < settings.still_steps
        plan, frames = (self._still, 1) if still else (self._plan, settings.frames)
        places = [self.train[one] for one in plan.batch(number)]
        return _together([self._stretch(one, frames, seed_of(settings.seed, number, one), True) for one in places])

    def held(self) -> list[Pictures]:
        """Stretches of people held out, not mirrored, one a batch."""
        places = spread(self._held, self.settings.validate_items)
        frames = self.settings.frames
        return [_together([self._stretch(place, frames, seed_of("held", place), False)]) for place in places]

    def _stretch(self, place: int, count: int, seed: int, mirrored: bool) -> tuple[Tensor, Tensor]:
        frames = self.arrays[place].frames
        assert frames is not None
        rng = np.random.default_rng(seed)
        first = int(rng.integers(len(frames) - count + 1))
        if place not in self._quick:
            self._quick[place] = quickness(frames)
        turn = -1 if mirrored and rng.random() < 0.5 else 1
        cut = np.array(frames[first : first + count, :, ::turn])  # a copy: the file is not ours to write
        quick = torch.from_numpy(np.ascontiguousarray(self._quick[place][:, ::turn]))
        return torch.from_numpy(cut).permute(3, 0, 1, 2).float() / 127.5 - 1.0, quick[None, None].float()


def quickness(frames: NDArray[np.uint8]) -> NDArray[np.float16]:
    """How quickly each pixel of a clip ``[F, H, W, 3]`` changes, ``[H, W]`` in 0..1: 1 where it does so most."""
    grey = frames.mean(axis=3, dtype=np.float32)
    if len(grey) <= 2 * _SPAN:
        return np.zeros(grey.shape[1:], np.float16)
    found = np.abs(2 * grey[_SPAN:-_SPAN] - grey[: -2 * _SPAN] - grey[2 * _SPAN :]).mean(axis=0)
    most = max(float(np.percentile(found, 99.5)), 1e-6)
    squared: NDArray[np.float16] = np.minimum(1, (found / most) ** 2).astype(np.float16)
    return squared


def _together(stretches: Sequence[tuple[Tensor, Tensor]]) -> Pictures:
    return Pictures(*(torch.stack(one) for one in zip(*stretches, strict=True)))


def video_vae_loss(vae: Any, batch: Pictures, settings: VideoVaeTraining) -> LossParts:
    """The error of pictures that went through the autoencoder; ``psnr`` and ``moving_psnr`` (dB) stand beside it."""
    pixels = batch.pixels
    mean = vae.encode(pixels).latent_dist.mean.float()
    latents = mean
    if vae.training:
        latents = mean + settings.latent_noise * mean.detach().std() * torch.randn_like(mean)
    error = vae.decode(latents, return_dict=False)[0].float() - pixels
    weight = 1 + settings.motion_weight * batch.quick
    pixel = (error.abs() * weight).mean()
    edge = error.diff(dim=4).abs().mean() + error.diff(dim=3).abs().mean()
    moves = pixels - pixels.mean(dim=2, keepdim=True)
    missed = ((error - error.mean(dim=2, keepdim=True)).square() * batch.quick).mean()
    motion = missed / ((moves.square() * batch.quick).mean() + _STILL)
    wrong = error.detach().mean(dim=2).square().mean() / (pixels.var() + _STILL)
    share = torch.maximum(1 - motion.detach(), _WRONG * wrong).clamp(min=settings.least_picture, max=1)
    size = mean.square().mean()
    total = motion + share * (pixel + settings.edge_weight * edge) + settings.latent_weight * size
    with torch.no_grad():
        squared = error.square().mean(dim=1, keepdim=True)
        moving = (batch.quick > 0.5).float().expand_as(squared)
        psnr = 10 * torch.log10(4 / squared.mean().clamp(min=1e-8))
        inside = (squared * moving).sum() / moving.sum().clamp(min=1)
        moving_psnr = 10 * torch.log10(4 / inside.clamp(min=1e-8))
    values = {"pixel": pixel, "edge": edge, "motion": motion, "psnr": psnr, "moving_psnr": moving_psnr}
    return LossParts(total, values)


@torch.no_grad()
def set_video_statistics(vae: Any, material: PictureMaterial, batches: int = 12) -> None:
    """Mean and deviation of every channel over training material, written into the autoencoder."""
    first = material.settings.still_steps * material.settings.accumulate
    numbers = range(first, first + batches)
    found = [vae.encode(material.batch(number).pixels).latent_dist.mean.float() for number in numbers]
    latents = torch.cat([one.transpose(0, 1).flatten(1) for one in found], dim=1)
    vae.latents_mean.copy_(latents.mean(dim=1))
    vae.latents_std.copy_(latents.std(dim=1).clamp(min=1e-4))
