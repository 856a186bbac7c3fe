"""A switching clip's halves: frames as they are, the sound that belongs to them, and its audio latents."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
from torch import Tensor

from dubflow.incontext.backbone.geometry import Geometry
from dubflow.incontext.pairs.engine_parts import GeneratedHalf, Span, SwitchingClip
from dubflow.incontext.pairs.engine_settings import FPS


def cut_half(clip: SwitchingClip, span: Span, geometry: Geometry) -> GeneratedHalf:
    """Frames of ``span`` as they are, and the sound that belongs to them, to the sample; silence where it has ended.

    Of a clip that has its own latents the half has those of its sound.
    """
    start, stop = (round(Fraction(frame * clip.sample_rate, FPS)) for frame in (span.start, span.stop))
    waveform = np.zeros(stop - start, np.float32)
    own = clip.waveform[start:stop]
    waveform[: len(own)] = own
    frames = clip.frames[span.start : span.stop].copy()
    tokens = None if clip.latents is None else cut_tokens(clip.latents.audio[0], span, geometry)
    return GeneratedHalf(frames, waveform, clip.sample_rate, tokens)


def cut_tokens(tokens: Tensor, span: Span, geometry: Geometry) -> Tensor:
    """Audio tokens ``[T, D]`` of a clip that sound in ``span``, as many as a clip of its length has.

    The audio autoencoder is causal and every latent stands for the same four mel frames (the first for the last one of
    them), so a half begins at a token's end as a clip does: no half needs to be decoded and encoded again.
    """
    start = round(Fraction(span.start, FPS) * geometry.audio_rate)
    return tokens[start : start + geometry.audio_tokens(Fraction(span.frames, FPS))].clone()
