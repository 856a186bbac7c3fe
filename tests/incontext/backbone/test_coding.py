"""Frames and sound through the autoencoders: shapes, statistics, order of tokens, clocks."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from dubflow.errors import BadInput
from dubflow.incontext.backbone.audio import audio_latents, audio_tokens, decode_audio, decode_mel, encode_audio
from dubflow.incontext.backbone.parts import Backbone
from dubflow.incontext.backbone.tiny import tiny_backbone
from dubflow.incontext.backbone.video import decode_video, encode_video, video_latents, video_tokens


def _frames(count: int = 9, height: int = 64, width: int = 96) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (count, height, width, 3), dtype=np.uint8)


def test_a_clip_keeps_its_size(backbone: Backbone) -> None:
    latents = encode_video(backbone, _frames())
    assert latents.shape == (8, 2, 2, 3)
    assert latents.dtype == torch.float32
    assert decode_video(backbone, latents).shape == (9, 64, 96, 3)


def test_video_latents_are_the_normalised_mode() -> None:
    backbone = tiny_backbone()
    frames = _frames()
    plain = encode_video(backbone, frames)
    backbone.video_vae.latents_mean.fill_(0.5)
    backbone.video_vae.latents_std.fill_(4.0)
    normalised = encode_video(backbone, frames)
    torch.testing.assert_close(normalised, (plain - 0.5) / 4.0)
    pixels = torch.from_numpy(frames).permute(3, 0, 1, 2)[None] / 127.5 - 1
    with torch.no_grad():
        mode = backbone.video_vae.encode(pixels).latent_dist.mode()[0]
        shown = backbone.video_vae.decode(mode[None], return_dict=False)[0][0]
    torch.testing.assert_close(plain, mode)
    levels = ((shown + 1) * 127.5).round().clamp(0, 255).permute(1, 2, 3, 0).to(torch.uint8)
    assert np.abs(decode_video(backbone, normalised).astype(int) - levels.numpy().astype(int)).max() <= 1


def test_the_first_frames_do_not_know_the_later_ones(oldest: Backbone) -> None:
    frames = _frames(17)
    changed = frames.copy()
    changed[9:] = 0
    first, second = encode_video(oldest, frames), encode_video(oldest, changed)
    torch.testing.assert_close(first[:, :2], second[:, :2])
    assert not torch.allclose(first[:, 2], second[:, 2])


def test_video_tokens_run_over_time_rows_columns() -> None:
    latents = torch.arange(2 * 3 * 4 * 5, dtype=torch.float32).reshape(2, 3, 4, 5)
    tokens = video_tokens(latents)
    assert tokens.shape == (60, 2)
    assert torch.equal(tokens[1 * 20 + 2 * 5 + 3], latents[:, 1, 2, 3])
    assert torch.equal(video_latents(tokens, (3, 4, 5)), latents)


def test_audio_tokens_are_channels_by_bins() -> None:
    latents = torch.arange(2 * 7 * 4, dtype=torch.float32).reshape(2, 7, 4)
    tokens = audio_tokens(latents)
    assert torch.equal(tokens[3], latents[:, 3].flatten())
    assert torch.equal(audio_latents(tokens, 2), latents)


def test_sound_has_25_tokens_a_second_and_comes_back_at_the_vocoders_rate(backbone: Backbone) -> None:
    sound = np.random.default_rng(0).standard_normal(16000).astype(np.float32) * 0.1
    tokens = encode_audio(backbone, sound)
    assert tokens.shape == (25, 8)
    samples, rate = decode_audio(backbone, tokens)
    assert rate == (24000 if backbone.version == "2.0" else 48000)
    assert samples.shape == (2, (4 * 25 - 3) * rate // 100)
    assert np.abs(samples).max() <= 1.0


def test_mono_is_two_equal_channels(oldest: Backbone) -> None:
    sound = np.random.default_rng(0).standard_normal(8000).astype(np.float32) * 0.1
    assert torch.equal(encode_audio(oldest, sound), encode_audio(oldest, np.stack([sound, sound])))
    assert not torch.equal(encode_audio(oldest, sound), encode_audio(oldest, np.stack([sound, 0 * sound])))


def test_missing_sound_is_silence_and_too_much_is_left_out(oldest: Backbone) -> None:
    sound = np.random.default_rng(0).standard_normal(16000).astype(np.float32) * 0.1
    longer = encode_audio(oldest, sound, 30)
    assert torch.equal(longer, encode_audio(oldest, np.pad(sound, (0, 3200))))
    # The encoder is causal: what comes later does not change the tokens before it (one mel window of look-ahead).
    torch.testing.assert_close(encode_audio(oldest, sound, 20)[:18], longer[:18])


def test_audio_statistics_belong_to_features_of_a_token() -> None:
    backbone = tiny_backbone()
    sound = np.random.default_rng(0).standard_normal(8000).astype(np.float32) * 0.1
    plain, mel = encode_audio(backbone, sound), decode_mel(backbone, encode_audio(backbone, sound))
    backbone.audio_vae.latents_mean.copy_(torch.arange(8))
    backbone.audio_vae.latents_std.copy_(torch.arange(8) + 1)
    normalised = encode_audio(backbone, sound)
    torch.testing.assert_close(normalised, (plain - torch.arange(8)) / (torch.arange(8) + 1))
    torch.testing.assert_close(decode_mel(backbone, normalised), mel, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize(
    "sound", [np.zeros((3, 100), np.float32), np.zeros(0, np.float32), np.array([np.nan]), np.zeros(9, np.int16)]
)
def test_what_is_no_sound_is_refused(oldest: Backbone, sound: np.ndarray) -> None:
    with pytest.raises(BadInput) as caught:
        encode_audio(oldest, sound)
    assert caught.value.code == "incontext.bad_waveform"


def test_what_is_no_clip_is_refused(oldest: Backbone) -> None:
    with pytest.raises(BadInput) as caught:
        encode_video(oldest, _frames().astype(np.float32))
    assert caught.value.code == "incontext.bad_frames"
