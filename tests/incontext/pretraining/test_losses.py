"""Losses of the autoencoders and the vocoder, as laws."""

from __future__ import annotations

import math
from itertools import pairwise
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from dubflow.incontext.pretraining.part import rate_share
from dubflow.incontext.pretraining.picture import Pictures, video_vae_loss
from dubflow.incontext.pretraining.settings import (
    AudioVaeTraining,
    PartTraining,
    TransformerTraining,
    VideoVaeTraining,
    VocoderTraining,
)
from dubflow.incontext.pretraining.sound import Spectrograms, VocoderLoss, audio_vae_loss


class Through(nn.Module):
    """An autoencoder that gives back what it gets, with something added."""

    def __init__(self, added: Tensor | float = 0.0) -> None:
        super().__init__()
        self.added = added
        self.eval()

    def encode(self, data: Tensor) -> Any:
        """The data as its own latents."""
        return SimpleNamespace(latent_dist=SimpleNamespace(mean=data, mode=lambda: data))

    def decode(self, latents: Tensor, return_dict: bool) -> tuple[Tensor]:
        """The latents and what is added."""
        return (latents + self.added,)


def clip() -> Tensor:
    """A still picture whose middle blinks from the fifth frame on."""
    pixels = torch.zeros(1, 3, 9, 8, 8)
    pixels[:, :, 4:, 3:5, 3:5] = 0.8
    return pixels


def pictures(pixels: Tensor) -> Pictures:
    """As of a whole clip."""
    return Pictures(pixels, pixels.mean(dim=2, keepdim=True))


def test_what_comes_back_unchanged_has_no_error_but_for_the_size_of_its_latents() -> None:
    settings = VideoVaeTraining(latent_weight=0.0)
    assert video_vae_loss(Through(), pictures(clip()), settings).total.item() == 0
    mel = torch.randn(2, 2, 12, 8)
    assert audio_vae_loss(Through(), Spectrograms(mel, mel), AudioVaeTraining(latent_weight=0.0)).total.item() == 0


def test_an_error_weighs_more_where_the_picture_moves() -> None:
    inside, outside = torch.zeros(1, 3, 9, 8, 8), torch.zeros(1, 3, 9, 8, 8)
    inside[..., 3:5, 3:5] = 0.1
    outside[..., 0:2, 0:2] = 0.1
    settings = VideoVaeTraining(edge_weight=0.0, change_weight=0.0, latent_weight=0.0, motion_weight=8.0)
    moving, still = (video_vae_loss(Through(one), pictures(clip()), settings).total.item() for one in (inside, outside))
    assert moving == pytest.approx(9 * still, rel=1e-5)  # the middle differs by more than a quarter from its mean
    even = settings.model_copy(update={"motion_weight": 0.0})
    assert video_vae_loss(Through(inside), pictures(clip()), even).total.item() == pytest.approx(still, rel=1e-5)


def test_a_single_picture_weighs_most_where_it_differs_from_its_clip() -> None:
    mean = clip().mean(dim=2, keepdim=True)
    one = Pictures(clip()[:, :, 5:6], mean)
    inside, outside = torch.zeros(1, 3, 1, 8, 8), torch.zeros(1, 3, 1, 8, 8)
    inside[..., 3:5, 3:5] = 0.1
    outside[..., 0:2, 0:2] = 0.1
    settings = VideoVaeTraining(edge_weight=0.0, latent_weight=0.0, motion_weight=8.0)
    moving, still = (video_vae_loss(Through(added), one, settings).total.item() for added in (inside, outside))
    assert moving == pytest.approx(9 * still, rel=1e-5)


def test_a_constant_error_of_the_spectrogram_has_no_difference() -> None:
    mel = torch.randn(1, 2, 12, 8)
    parts = audio_vae_loss(Through(0.5), Spectrograms(mel, mel), AudioVaeTraining())
    assert parts.values["spectrum"].item() == pytest.approx(0.5, rel=1e-5)
    assert parts.values["difference"].item() == pytest.approx(0.0, abs=1e-5)


def test_the_vocoders_loss_is_none_for_the_very_sound_and_knows_no_phase_of_a_tone() -> None:
    time = torch.arange(4096) / 24_000
    tone, other = torch.sin(2 * torch.pi * 1000 * time), torch.cos(2 * torch.pi * 1000 * time)
    mel = torch.zeros(1, 2, 8, 4)

    def loss(made: Tensor, true: Tensor) -> float:
        settings = VocoderTraining(decoded_share=0.0)
        given = VocoderLoss(lambda _: made[None, None].expand(1, 2, -1), None, settings, 24_000)
        return given(Spectrograms(mel, true[None])).total.item()

    assert loss(tone, tone) == 0
    noise = torch.randn(4096, generator=torch.Generator().manual_seed(0))
    assert loss(other, tone) < 0.2 * loss(noise, tone)
    assert torch.isfinite(torch.tensor(loss(noise, torch.zeros(4096))))
    # In nepers: twice as loud is log 2 in every band that is loud enough to count.
    assert loss(200 * noise, 100 * noise) == pytest.approx(math.log(2), rel=1e-2)


def test_the_rate_rises_in_a_line_and_falls_to_its_final_share() -> None:
    settings = PartTraining(steps=100, warmup_share=0.1, final_share=0.05)
    shares = [rate_share(step, settings) for step in range(100)]
    assert shares[4] == pytest.approx(0.5)
    assert max(shares) == shares[9] == 1.0
    assert all(later <= earlier for earlier, later in pairwise(shares[9:]))
    assert shares[-1] == pytest.approx(0.05)


def test_steps_of_the_transformer_are_those_of_its_phases() -> None:
    settings = TransformerTraining.model_validate(
        {"phases": [{"steps": 3, "parts": ["voices"]}, {"steps": 4, "parts": ["heads"]}]}
    )
    assert settings.steps == 7
    with pytest.raises(ValueError, match="sum"):
        TransformerTraining.model_validate({"steps": 8, "phases": [{"steps": 3, "parts": ["voices"]}]})
