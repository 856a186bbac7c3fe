"""The autoencoder of sound and the vocoder in training: their examples and their losses.

Both work on the log-mel spectrograms that :mod:`dubflow.incontext.backbone.mel` defines, in two equal channels.
Neither needs an adversary to be understood: the autoencoder learns by the error of the spectrogram and of its
differences, the vocoder by the error of the waveform, of pulses that it can say (:mod:`.pulses`), and then by that of
mel spectrograms through several transforms (the reconstruction loss of HiFi-GAN, Kong, Kim and Bae 2020, at several
resolutions).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from dubflow.incontext.backbone.audio import audio_tokens
from dubflow.incontext.backbone.geometry import Geometry
from dubflow.incontext.backbone.mel import log_mel, mel_filters
from dubflow.incontext.pretraining.arrays import MaterialArrays
from dubflow.incontext.pretraining.pulses import pulsed, pulses_a_hop
from dubflow.incontext.pretraining.settings import AudioVaeTraining, VocoderTraining
from dubflow.incontext.training.loss import LossParts
from dubflow.training.plan import BatchPlan, spread
from dubflow.training.seeds import seed_of

CHANNELS = 2
_MARGIN_FRAMES = 4
"""More than half a transform."""
_SILENT = 1e-6
_QUIET = 3e-3
"""Mean magnitude of a band below which differences count for little."""


@dataclass(frozen=True, eq=False)
class Spectrograms:
    """Log-mel spectrograms ``[B, 2, frames, bins]``, and their pulses ``[B, N]`` where a vocoder is to learn them."""

    mel: Tensor
    sound: Tensor | None = None


class SoundMaterial:
    """Stretches of speech, chosen by batch number alone."""

    def __init__(
        self,
        arrays: MaterialArrays,
        geometry: Geometry,
        settings: AudioVaeTraining | VocoderTraining,
        frames: int,
        rate: int | None = None,
    ) -> None:
        """Stretches of ``frames`` mel frames; where ``rate`` (Hz) is given, with their pulses (:mod:`.pulses`)."""
        self.arrays, self.geometry, self.settings, self.frames, self.rate = arrays, geometry, settings, frames, rate
        self._counts: dict[int, int] = {}
        self.train, self._held = split_places(arrays)
        self._plan = BatchPlan([1] * len(self.train), batch_items=settings.batch_items, seed=settings.seed)

    def batch(self, number: int) -> Spectrograms:
        """Batch ``number`` of the training."""
        places = [self.train[one] for one in self._plan.batch(number)]
        return self._of(places, [seed_of(self.settings.seed, number, place) for place in places])

    def held(self) -> list[Spectrograms]:
        """Stretches of people held out."""
        places = spread(self._held, self.settings.validate_items)
        size = self.settings.batch_items
        return [
            self._of(places[start : start + size], [seed_of("held", place) for place in places[start : start + size]])
            for start in range(0, len(places), size)
        ]

    def _of(self, places: Sequence[int], seeds: Sequence[int]) -> Spectrograms:
        mels, sounds = [], []
        hop = self.geometry.hop
        for place, seed in zip(places, seeds, strict=True):
            sound = self.arrays[place].sound
            # A margin on both sides, so that the spectrogram of the stretch is that of the whole clip.
            margin = _MARGIN_FRAMES * hop
            longest = max(0, len(sound) // hop - self.frames - 1)
            first = int(np.random.default_rng(seed).integers(longest + 1))
            start, stop = first * hop - margin, (first + self.frames) * hop + margin
            cut = np.pad(sound[max(0, start) : stop], (max(0, -start), max(0, stop - len(sound))))
            mel = log_mel(torch.from_numpy(cut.astype(np.float32) / 32767), self.geometry)
            mels.append(mel[_MARGIN_FRAMES : _MARGIN_FRAMES + self.frames])
            if self.rate is not None:
                each = hop * self.rate // self.geometry.sample_rate
                pulses = pulsed(mel, self._count(place), self.geometry, self.rate)
                sounds.append(pulses[_MARGIN_FRAMES * each : (_MARGIN_FRAMES + self.frames) * each])
        mel = torch.stack(mels)[:, None].expand(-1, CHANNELS, -1, -1).contiguous()
        return Spectrograms(mel, torch.stack(sounds) if sounds else None)

    def _count(self, place: int) -> int:
        if place not in self._counts:
            self._counts[place] = pulses_a_hop(self.arrays[place].sound.astype(np.float32) / 32767, self.geometry)
        return self._counts[place]


def split_places(arrays: MaterialArrays) -> tuple[list[int], list[int]]:
    """Places of clips to train on, and of those held out."""
    held = [place for place, clip in enumerate(arrays.clips) if clip.held]
    return [place for place, clip in enumerate(arrays.clips) if not clip.held], held


def audio_vae_loss(vae: Any, batch: Spectrograms, settings: AudioVaeTraining) -> LossParts:
    """The error of a spectrogram that went through the autoencoder, in nepers (natural logarithm of magnitude)."""
    mean = vae.encode(batch.mel).latent_dist.mean
    latents = mean
    if vae.training:
        latents = mean + settings.latent_noise * mean.detach().std() * torch.randn_like(mean)
    decoded = vae.decode(latents, return_dict=False)[0].float()
    error = decoded - batch.mel
    spectrum = error.abs().mean()
    difference = error.diff(dim=2).abs().mean() + error.diff(dim=3).abs().mean()
    size = mean.float().square().mean()
    total = spectrum + settings.difference_weight * difference + settings.latent_weight * size
    return LossParts(total, {"spectrum": spectrum, "difference": difference, "latents": size})


@torch.no_grad()
def set_audio_statistics(vae: Any, material: SoundMaterial, batches: int = 16) -> None:
    """Mean and deviation of every number of a token over training material, written into the autoencoder."""
    found = [audio_tokens(vae.encode(material.batch(number).mel).latent_dist.mean.float()) for number in range(batches)]
    tokens = torch.cat([one.flatten(0, 1) for one in found])
    vae.latents_mean.copy_(tokens.mean(dim=0))
    vae.latents_std.copy_(tokens.std(dim=0).clamp(min=1e-4))


@dataclass(frozen=True, eq=False)
class VocoderLoss:
    """The error of the vocoder's sound.

    Attributes:
        vocoder: from spectrograms to two channels of sound. vae: whose decoded spectrograms it also learns from.
        rate: of its sound, in Hz.
    """

    vocoder: Any
    vae: Any
    settings: VocoderTraining
    rate: int

    def __call__(self, batch: Spectrograms) -> LossParts:
        """The error of the waveform as a share of its power, and of magnitudes' logarithms in mel bands, in nepers.

        Half of the waveform's is that of neighbours' differences, which are not all bass. Bands count as far as the
        waveform is there: on their own they are soon satisfied by a whisper, from which nothing leads on.
        """
        assert batch.sound is not None
        mel = batch.mel
        decoded = round(len(mel) * self.settings.decoded_share)
        if decoded:
            with torch.no_grad():
                head = mel[:decoded]
                # The autoencoder gives 4 n - 3 frames: what it leaves out at the end stays as it was.
                again = self.vae.decode(self.vae.encode(head).latent_dist.mode(), return_dict=False)[0]
                kept = min(again.shape[2], head.shape[2])
                mel = torch.cat([torch.cat([again[:, :, :kept].to(mel), head[:, :, kept:]], dim=2), mel[decoded:]])
        sound = self.vocoder(mel).float()
        target = batch.sound[:, None].expand(-1, sound.shape[1], -1)[..., : sound.shape[-1]].flatten(0, 1)
        sound = sound[..., : target.shape[-1]].flatten(0, 1)
        errors = [
            (_bands(sound, size, self.rate) - _bands(target, size, self.rate)).abs().mean()
            for size in self.settings.resolutions
        ]
        bands = torch.stack(errors).mean()
        wave = (_share(sound, target) + _share(sound.diff(), target.diff())) / 2
        total = wave + self.settings.bands_weight * (1 - wave.detach()).clamp(min=0) * bands
        return LossParts(total, {"wave": wave, "bands": bands})


def _share(sound: Tensor, target: Tensor) -> Tensor:
    """The power of the error as a share of the target's."""
    return (sound - target).square().mean() / (target.square().mean() + _SILENT)


def _bands(sound: Tensor, size: int, rate: int) -> Tensor:
    """Logarithm of the mean magnitude in each of ``size / 16`` mel bands: ``[B, bands, frames]``."""
    window = torch.hann_window(size, device=sound.device)
    spectrum = torch.stft(sound, size, size // 4, size, window, center=True, return_complex=True)
    # A floor under the root, where the gradient of a magnitude of 0 would be none.
    magnitudes = (spectrum.real.square() + spectrum.imag.square() + 1e-9).sqrt()
    filters = mel_filters(size // 16, size, rate).to(sound.device)
    return (filters / filters.sum(dim=1, keepdim=True) @ magnitudes + _QUIET).log()
