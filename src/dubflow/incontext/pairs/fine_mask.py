r"""Which latents know of the lips: JUST-DUB-IT's latent-aware fine mask (Sec. 3.2, A.1), and two others beside it.

An encoder with a wide receptive field carries lip pixels into latents far around them. Noising only those that lie over
the lips leaves echoes of the old motion, from which the model repaints it. With ``E`` the encoder to latents normalised
a channel, ``m`` the lip mask and ``tau`` a threshold, a latent is remade where the greatest of its channels passes tau:

.. math:: \text{fine:}\ |E(m) - E(0)| > \tau, \qquad \text{content:}\ |E(V) - E(V (1 - m))| > \tau

``m`` is rendered as a clip, white lips on black; ``E(0)`` is an all-black clip. The paper says neither what is painted
nor how channels are reduced; these are our readings, and pairs record which was used. *Fine* hangs on where the lips
are alone, and so is the same for any content. *Content* is the one that promises something of any encoder: two clips
that differ within m only have latents at most 2 tau apart outside of both their masks. *Naive* is what the paper argues
against: latents whose own pixels touch the lips.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field
from torch import Tensor

from dubflow.config import Strict
from dubflow.errors import BadInput
from dubflow.incontext.backbone.geometry import Geometry
from dubflow.incontext.backbone.parts import Backbone
from dubflow.incontext.backbone.video import encode_video
from dubflow.incontext.pairs.engine_parts import Frames, Span
from dubflow.incontext.pairs.lip_mask import Mask, mask_video

Definition = Literal["fine", "content", "naive"]


class MaskSettings(Strict):
    """How lips in pixels become lips in latents."""

    definition: Definition = Field(
        "fine",
        description="fine: the encoded mask against black, as A.1; content: the clip against itself without lips, as "
        "Sec. 3.2 can be read; naive: latents over the lips alone.",
    )
    threshold: float = Field(0.1, ge=0, description="How far a normalised channel may be moved by the lips (tau).")
    beyond: int = Field(
        1,
        ge=0,
        description="Latent frames behind the half that may be remade with it: the encoder is causal and carries lips "
        "on, but further on the other half is to be left as it is.",
    )


def latent_lips(backbone: Backbone, frames: Frames, lips: Mask, settings: MaskSettings) -> Tensor:
    """Latents to be remade, bool ``[F', H', W']`` on the backbone's device.

    Args:
        frames: the clip, uint8 ``[F, H, W, 3]``; F = 8k + 1, sides multiples of 32. lips: bool ``[F, H, W]``.

    Raises:
        BadInput: ``incontext.bad_mask`` unless there are as many pixels of lips as of frames; what the encoder says.
    """
    if lips.shape != frames.shape[:3]:
        raise BadInput("incontext.bad_mask", f"A mask {lips.shape} does not fit frames {frames.shape[:3]}.")
    if settings.definition == "naive":
        return torch.from_numpy(touched(lips, backbone.geometry)).to(backbone.device)
    if settings.definition == "fine":
        moved = lip_motion(backbone, mask_video(lips), np.zeros_like(frames))
    else:
        moved = lip_motion(backbone, frames, np.where(lips[..., None], np.uint8(0), frames))
    return moved > settings.threshold


def lip_motion(backbone: Backbone, one: Frames, other: Frames) -> Tensor:
    """How far latents of two clips lie apart: the greatest of all channels, ``[F', H', W']``."""
    return (encode_video(backbone, one) - encode_video(backbone, other)).abs().amax(dim=0)


def within(mask: Tensor, span: Span, geometry: Geometry, beyond: int) -> Tensor:
    """``mask`` ``[F', H', W']`` in the latent frames of ``span`` and so many ``beyond`` them; False elsewhere."""
    first, last = (-(-frame // geometry.temporal) for frame in (span.start, span.stop - 1))
    kept = torch.zeros_like(mask)
    kept[first : last + 1 + beyond] = mask[first : last + 1 + beyond]
    return kept


def touched(mask: Mask, geometry: Geometry) -> NDArray[np.bool_]:
    """Latents any of whose own pixels are in ``mask`` ``[F, H, W]``: bool ``[F', H', W']``."""
    frames, rows, columns = geometry.latent_shape(*mask.shape)
    size = geometry.spatial
    cells = mask.reshape(len(mask), rows, size, columns, size).any(axis=(2, 4))
    # The first frame has a latent of its own.
    later = cells[1:].reshape(frames - 1, geometry.temporal, rows, columns).any(axis=1)
    return np.concatenate([cells[:1], later])
