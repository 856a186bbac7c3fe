"""Losses of the autoencoders and the vocoder, as laws."""

from __future__ import annotations

import math
from itertools import pairwise
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from dubflow.incontext.pretraining.part import rate_share
from dubflow.incontext.pretraining.picture import Pictures, quickness, video_vae_loss
from dubflow.incontext.pretraining.settings import (
    AudioVaeTraining,
    PartTraining,
    TransformerTraining,
    VideoVaeTraining,
    VocoderTraining,
)
from dubflow.incontext.pretraining.sound import Spectrograms, VocoderLoss, audio_vae_loss
from dubflow.incontext.training.loss import LossParts


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
    """With all of the quickness in the middle."""
    quick = torch.zeros(1, 1, 1, 8, 8)
    quick[..., 3:5, 3:5] = 1
    return Pictures(pixels, quick)


def test_what_comes_back_unchanged_has_no_error_but_for_the_size_of_its_latents() -> None:
    settings = VideoVaeTraining(latent_weight=0.0)
    assert video_vae_loss(Through(), pictures(clip()), settings).total.item() == 0
    mel = torch.randn(2, 2, 12, 8)
    assert audio_vae_loss(Through(), Spectrograms(mel, mel), AudioVaeTraining(latent_weight=0.0)).total.item() == 0


@pytest.mark.parametrize("frames", [1, 9])
def test_an_error_weighs_more_where_pixels_change_quickly(frames: int) -> None:
    inside, outside = torch.zeros(1, 3, frames, 8, 8), torch.zeros(1, 3, frames, 8, 8)
    inside[..., 3:5, 3:5] = 0.1
    outside[..., 0:2, 0:2] = 0.1
    settings = VideoVaeTraining(edge_weight=0.0, latent_weight=0.0, motion_weight=8.0)
    shown = pictures(clip()[:, :, :frames])
    moving, still = (video_vae_loss(Through(one), shown, settings).total.item() for one in (inside, outside))
    assert moving == pytest.approx(9 * still, rel=1e-5)
    even = settings.model_copy(update={"motion_weight": 0.0})
    assert video_vae_loss(Through(inside), shown, even).total.item() == pytest.approx(still, rel=1e-5)


def test_what_flickers_is_quick_and_what_drifts_is_not() -> None:
    time = np.arange(40)
    frames = np.zeros((40, 8, 8, 3), np.uint8)
    frames[:, :4] = (2 * time)[:, None, None, None]  # from black to grey, evenly
    frames[:, 6, 6] = np.where(time % 4 < 2, 0, 40)[:, None]
    quick = quickness(frames)
    assert quick[6, 6] == 1
    assert quick.sum() == 1
    assert not quickness(frames[:4]).any()


def test_a_constant_error_of_the_spectrogram_has_no_difference() -> None:
    mel = torch.randn(1, 2, 12, 8)
    parts = audio_vae_loss(Through(0.5), Spectrograms(mel, mel), AudioVaeTraining())
    assert parts.values["spectrum"].item() == pytest.approx(0.5, rel=1e-5)
    assert parts.values["difference"].item() == pytest.approx(0.0, abs=1e-5)


def test_the_vocoders_loss_is_none_for_the_very_sound_and_one_for_silence() -> None:
    noise = 100 * torch.randn(4096, generator=torch.Generator().manual_seed(0))
    mel = torch.zeros(1, 2, 8, 4)

    def parts(made: Tensor, true: Tensor, weight: float) -> LossParts:
        settings = VocoderTraining(decoded_share=0.0, bands_weight=weight)
        given = VocoderLoss(lambda _: made[None, None].expand(1, 2, -1), None, settings, 24_000)
        return given(Spectrograms(mel, true[None]))

    assert parts(noise, noise, 0.3).total.item() == 0
    silent = parts(torch.zeros(4096), noise, 0.3)
    assert silent.values["wave"].item() == pytest.approx(1, rel=1e-5)
    assert silent.total.item() == pytest.approx(1, rel=1e-5)  # bands do not count where nothing is right
    half = parts(noise / 2, noise, 0.3)
    assert half.values["wave"].item() == pytest.approx(0.25, rel=1e-4)
    # In nepers: half as loud is log 2 in every band that is loud enough to count.
    assert half.values["bands"].item() == pytest.approx(math.log(2), rel=1e-2)
    assert half.total.item() == pytest.approx(0.25 + 0.3 * 0.75 * math.log(2), rel=1e-2)
    assert torch.isfinite(parts(noise, torch.zeros(4096), 0.3).total)


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
