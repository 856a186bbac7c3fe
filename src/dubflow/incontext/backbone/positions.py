"""Where tokens stand in time and space: bounds ``[start, end)``, always float32.

The middle of the bounds goes into the rotary embedding. Rounded to bfloat16, as the first public code did in training,
they are wrong by up to 0.4 frames at 5 seconds, so nothing here takes a dtype.

.. math::
    t_i = \\max(8 i + 1 - 8, 0) / \\mathrm{fps} \\;\\text{(video)}, \\qquad
    t_i = \\max(4 i + 1 - 4, 0) \\cdot 160 / 16000 \\;\\text{(audio)}
"""

from __future__ import annotations

from fractions import Fraction

import torch
from torch import Tensor

from dubflow.incontext.backbone.geometry import Geometry

_CAUSAL = 1  # frames of the first latent


def video_positions(
    geometry: Geometry,
    latent_shape: tuple[int, int, int],
    fps: float | Fraction,
    device: torch.device | str = "cpu",
) -> Tensor:
    """Bounds of video tokens, in the order of :func:`dubflow.incontext.backbone.video.video_tokens`.

    Args:
        geometry: of the backbone.
        latent_shape: latent frames, rows, columns.
        fps: frames a second; time is in seconds, the rest in pixels.
        device: where the result lies.

    Returns:
        ``[1, 3, N, 2]`` float32: time, row, column; start, end.
    """
    frames, rows, columns = latent_shape
    edges = [torch.arange(count + 1, dtype=torch.float32, device=device) for count in (frames, rows, columns)]
    time = (edges[0] * geometry.temporal + _CAUSAL - geometry.temporal).clamp(min=0) / float(fps)
    axes = (time, edges[1] * geometry.spatial, edges[2] * geometry.spatial)
    bounds = torch.stack(
        [
            torch.stack(torch.meshgrid(*(axis[side : side + axis.numel() - 1] for axis in axes), indexing="ij"))
            for side in (0, 1)
        ],
        dim=-1,
    )
    return bounds.flatten(1, 3).unsqueeze(0)


def audio_positions(geometry: Geometry, tokens: int, device: torch.device | str = "cpu") -> Tensor:
    """Bounds of audio tokens in seconds, ``[1, 1, T, 2]`` float32."""
    edges = torch.arange(tokens + 1, dtype=torch.float32, device=device)
    mel = (edges * geometry.audio_temporal + _CAUSAL - geometry.audio_temporal).clamp(min=0)
    time = mel * geometry.hop / geometry.sample_rate
    return torch.stack([time[:-1], time[1:]], dim=-1)[None, None]
