r"""What is minimised: the squared error of the targets' velocities, the face weighing ten times the rest.

JUST-DUB-IT, Eq. 2 and A.3. Of a video target token :math:`n` that is not held clean, with weight :math:`w_n` 1.0 inside
the face and 0.1 outside,

.. math::
    L_v = \frac{\sum_n w_n \lVert \hat v_n - v_n \rVert^2 / C}{\sum_n w_n}, \qquad
    L_a = \frac{1}{TC} \lVert \hat v - v \rVert^2, \qquad L = L_v + L_a.

Dividing by the weights' mean is what the authors' code does: a small face does not make the loss small. What is a
target is said by its role; one that is held clean (a conditioned first frame) is a target too, and has no loss.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor


@dataclass(frozen=True)
class LossParts:
    """A loss, its parts by name, and counts beside them."""

    total: Tensor
    values: Mapping[str, Tensor]
    counts: Mapping[str, int] = field(default_factory=dict)


def mask_weights(mask: Tensor | None, tokens: int, *, inside: float = 1.0, outside: float = 0.1) -> Tensor:
    """Weights ``[tokens]`` of a latent mask (bool, True in the face); without a mask all weigh 1."""
    if mask is None:
        return torch.ones(tokens)
    return torch.where(mask.reshape(tokens), inside, outside)


def masked_error(predicted: Tensor, target: Tensor, weights: Tensor) -> Tensor:
    """Weighted mean of squared errors over the tokens of each item, then the mean over items.

    Args:
        predicted, target: ``[B, N, C]``.
        weights: ``[B, N]``, 0 for what has no loss; an item of which all is 0 adds nothing.
    """
    error = (predicted.float() - target.float()).square().mean(dim=-1)
    sums = weights.sum(dim=1)
    each = (error * weights).sum(dim=1) / torch.where(sums > 0, sums, torch.ones_like(sums))
    return each.mean()


def dubbing_loss(
    video: Tensor, audio: Tensor, video_target: Tensor, audio_target: Tensor, weights: Tensor, *, unmasked: int = 0
) -> LossParts:
    """The loss of a batch of targets.

    Args:
        video, video_target: velocities ``[B, N, C]``. audio, audio_target: ``[B, T, D]``.
        weights: of the video tokens, ``[B, N]``. unmasked: items that have no face mask, which is reported.
    """
    loss_video = masked_error(video, video_target, weights)
    loss_audio = (audio.float() - audio_target.float()).square().mean()
    counts = {"without_mask": unmasked}
    return LossParts(loss_video + loss_audio, {"video": loss_video, "audio": loss_audio}, counts)
