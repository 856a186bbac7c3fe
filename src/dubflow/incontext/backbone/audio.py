"""Waveforms to audio tokens and back: mel spectrogram, autoencoder, vocoder."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from dubflow.errors import BadInput
from dubflow.incontext.backbone.mel import TRANSFORM, log_mel
from dubflow.incontext.backbone.parts import Backbone

CHANNELS = 2


@torch.no_grad()
def encode_audio(backbone: Backbone, waveform: NDArray[np.float32], tokens: int | None = None) -> Tensor:
    """Normalised audio tokens of a sound.

    Mono is doubled to two channels. ``N`` samples give ``round(25 N / 16000)`` tokens unless ``tokens`` says another
    number: what is missing is silence, what is too much is left out, so that sound and picture keep one clock.

    Args:
        backbone: of any version.
        waveform: ``[N]`` or ``[2, N]`` floats in -1..1 at ``geometry.sample_rate`` (16 kHz).
        tokens: how many tokens to give.

    Returns:
        ``[T, 128]`` float32 on the backbone's device (``T`` tokens of latent channels x latent bins).

    Raises:
        BadInput: ``incontext.bad_waveform``.
    """
    geometry = backbone.geometry
    sound = _two_channels(waveform)
    count = geometry.audio_tokens(Fraction(sound.shape[1], geometry.sample_rate)) if tokens is None else tokens
    # The autoencoder is causal with a first latent of one mel frame: T latents are 4 (T - 1) + 1 mel frames.
    samples = ((count - 1) * geometry.audio_temporal + 1) * geometry.hop
    needed = max(samples, sound.shape[1], TRANSFORM)
    padded = torch.nn.functional.pad(sound.to(backbone.device), (0, needed - sound.shape[1]))
    mel = log_mel(padded, geometry)[:, : (count - 1) * geometry.audio_temporal + 1]
    vae = backbone.audio_vae
    latents = vae.encode(mel.unsqueeze(0).to(vae.dtype)).latent_dist.mode().to(torch.float32)
    mean, deviation = _statistics(backbone, latents)
    return (audio_tokens(latents).squeeze(0) - mean) / deviation


@torch.no_grad()
def decode_mel(backbone: Backbone, tokens: Tensor) -> Tensor:
    """The log-mel spectrogram of normalised tokens ``[T, 128]``: ``[2, 4 T - 3, bins]`` float32."""
    batch = tokens.unsqueeze(0).to(backbone.device, torch.float32)
    mean, deviation = _statistics(backbone, batch)
    latents = audio_latents(batch * deviation + mean, backbone.geometry.audio_latent_channels)
    vae = backbone.audio_vae
    decoded: Tensor = vae.decode(latents.to(vae.dtype), return_dict=False)[0]
    return decoded.squeeze(0).to(torch.float32)


@torch.no_grad()
def decode_audio(backbone: Backbone, tokens: Tensor) -> tuple[NDArray[np.float32], int]:
    """The sound of normalised tokens ``[T, 128]``.

    Returns:
        ``[2, N]`` float32 in -1..1 and its sample rate (``backbone.audio_output_rate``); ``4 T - 3`` mel frames long,
        30 ms less than the tokens stand for, so whoever wants the clip's exact length pads.
    """
    mel = decode_mel(backbone, tokens)
    vocoder = backbone.vocoder
    sound = vocoder(mel.unsqueeze(0).to(vocoder.dtype)).squeeze(0).to(torch.float32).clamp(-1.0, 1.0)
    samples: NDArray[np.float32] = sound.cpu().numpy()
    return samples, backbone.audio_output_rate


def audio_tokens(latents: Tensor) -> Tensor:
    """Latents ``[..., C, T, M]`` as tokens ``[..., T, C M]``."""
    return latents.transpose(-3, -2).flatten(-2)


def audio_latents(tokens: Tensor, channels: int) -> Tensor:
    """Tokens ``[..., T, C M]`` as latents ``[..., C, T, M]``; the inverse of :func:`audio_tokens`."""
    return tokens.reshape(*tokens.shape[:-1], channels, -1).transpose(-3, -2)


def _two_channels(waveform: NDArray[np.float32]) -> Tensor:
    audio = np.asarray(waveform)
    fits = audio.ndim == 1 or (audio.ndim == 2 and audio.shape[0] in (1, CHANNELS))
    if not fits or audio.size == 0 or not np.issubdtype(audio.dtype, np.floating) or not np.isfinite(audio).all():
        raise BadInput(
            "incontext.bad_waveform",
            f"A sound must be finite floats [N] or [2, N], not {audio.dtype} {list(audio.shape)}.",
            "Decode the clip with dubflow.media at 16 kHz.",
        )
    stereo = np.broadcast_to(np.atleast_2d(audio), (CHANNELS, audio.shape[-1]))
    return torch.from_numpy(np.array(stereo, dtype=np.float32))


def _statistics(backbone: Backbone, like: Tensor) -> tuple[Tensor, Tensor]:
    # One pair of numbers for each of the features of a token, not for each latent channel.
    vae = backbone.audio_vae
    return vae.latents_mean.to(like), vae.latents_std.to(like)
