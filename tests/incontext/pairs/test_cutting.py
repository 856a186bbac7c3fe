"""Halves of a clip: pictures and sound to the sample, and the latents that stand for that sound."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from dubflow.incontext.backbone.audio import encode_audio
from dubflow.incontext.inference.sampling import ClipLatents
from dubflow.incontext.pairs.cutting import cut_half, cut_tokens
from dubflow.incontext.pairs.engine_parts import Span, SwitchingClip
from incontext.pairs.engine_room import base

FRAMES = np.zeros((41, 2, 2, 3), np.uint8)


def test_a_half_has_its_sound_to_the_sample() -> None:
    sound = np.arange(1, 24000 + 1, dtype=np.float32)
    half = cut_half(SwitchingClip(FRAMES, sound, 24000), Span(9, 26), base().geometry)
    assert len(half.waveform) == 17 * 960
    assert half.waveform[0] == 9 * 960 + 1
    assert half.waveform[24000 - 9 * 960 :].max() == 0
    assert not torch.is_tensor(half.frames)
    assert half.tokens is None


@pytest.mark.parametrize("span", [Span(0, 17), Span(9, 26), Span(24, 41)])
def test_a_half_has_as_many_tokens_as_a_clip_of_its_length_from_its_first_frame_on(span: Span) -> None:
    geometry = base().geometry
    numbered = torch.arange(41.0)[:, None].expand(41, geometry.audio_channels)
    latents = ClipLatents(torch.zeros(1, 1, 1, 1, 1), numbered[None])
    half = cut_half(SwitchingClip(FRAMES, np.zeros(41 * 640, np.float32), 16000, latents=latents), span, geometry)
    assert half.tokens is not None
    assert half.tokens[:, 0].tolist() == list(range(span.start, span.stop))


def test_its_tokens_are_those_that_the_encoder_gives_its_sound() -> None:
    """From the clip's start on the encoder is causal: exactly so. Later only what lies before the cut tells apart."""
    net, rate = base(), base().geometry.sample_rate
    sound = np.random.default_rng(0).normal(0, 0.1, 41 * rate // 25).astype(np.float32)
    whole = encode_audio(net, sound, 41)

    def apart(span: Span) -> torch.Tensor:
        own = encode_audio(net, sound[span.start * rate // 25 : span.stop * rate // 25], span.frames)
        return (cut_tokens(whole, span, net.geometry) - own).abs().amax(dim=1)

    # The last token hears the end of the sound.
    assert apart(Span(0, 17))[:-1].max() < 1e-4
    later = apart(Span(16, 41))
    shifted = (whole[17:-1] - whole[16:-2]).abs().amax(dim=1)
    assert later[-6:-1].max() < 1e-4 < shifted.min()
