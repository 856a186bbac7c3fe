"""Frames to video latents and back, and latents to tokens and back."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from dubflow.errors import BadInput
from dubflow.incontext.backbone.parts import Backbone


@torch.no_grad()
def encode_video(backbone: Backbone, frames: NDArray[np.uint8]) -> Tensor:
    """Normalised latents of a clip: the mode of the encoder's posterior, by the stored mean and deviation a channel.

    Args:
        backbone: of any version.
        frames: ``[F, H, W, 3]`` uint8 RGB, F = 8k + 1, H and W multiples of 32.

    Returns:
        ``[C, F', H', W']`` float32 on the backbone's device.

    Raises:
        BadInput: ``incontext.bad_frames``, ``incontext.bad_clip_size``.
    """
    if frames.ndim != 4 or frames.shape[3] != 3 or frames.dtype != np.uint8:
        raise BadInput(
            "incontext.bad_frames",
            f"Frames must be uint8 RGB [F, H, W, 3], not {frames.dtype} {list(frames.shape)}.",
            "Decode the clip with dubflow.media.",
        )
    backbone.geometry.latent_shape(*frames.shape[:3])
    vae = backbone.video_vae
    pixels = torch.from_numpy(np.ascontiguousarray(frames)).to(backbone.device).permute(3, 0, 1, 2).unsqueeze(0)
    scaled = (pixels.to(torch.float32) / 127.5 - 1.0).to(vae.dtype)
    latents = vae.encode(scaled).latent_dist.mode().to(torch.float32)
    mean, deviation = _statistics(backbone, latents)
    normalised: Tensor = ((latents - mean) / deviation).squeeze(0)
    return normalised


@torch.no_grad()
def decode_video(backbone: Backbone, latents: Tensor) -> NDArray[np.uint8]:
    """The clip of normalised latents ``[C, F', H', W']``: ``[F, H, W, 3]`` uint8 RGB, F = 8 (F' - 1) + 1."""
    batch = latents.unsqueeze(0).to(backbone.device, torch.float32)
    mean, deviation = _statistics(backbone, batch)
    raw = (batch * deviation + mean).to(backbone.video_vae.dtype)
    pixels = backbone.video_vae.decode(raw, return_dict=False)[0].squeeze(0).to(torch.float32)
    levels = ((pixels + 1.0) * 127.5).round().clamp(0, 255).to(torch.uint8)
    shown: NDArray[np.uint8] = levels.permute(1, 2, 3, 0).contiguous().cpu().numpy()
    return shown


def video_tokens(latents: Tensor) -> Tensor:
    """Latents ``[..., C, F', H', W']`` as tokens ``[..., F' H' W', C]``: time slowest, columns fastest."""
    return latents.flatten(-3).transpose(-1, -2)


def video_latents(tokens: Tensor, latent_shape: tuple[int, int, int]) -> Tensor:
    """Tokens ``[..., N, C]`` as latents ``[..., C, F', H', W']``; the inverse of :func:`video_tokens`."""
    return tokens.transpose(-1, -2).reshape(*tokens.shape[:-2], tokens.shape[-1], *latent_shape)


def _statistics(backbone: Backbone, like: Tensor) -> tuple[Tensor, Tensor]:
    vae = backbone.video_vae
    mean, deviation = (part.to(like).view(1, -1, 1, 1, 1) for part in (vae.latents_mean, vae.latents_std))
    return mean, deviation
