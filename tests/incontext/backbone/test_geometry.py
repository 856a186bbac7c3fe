"""Counts and bounds of tokens: known values, diffusers' own coordinates, and snapping."""

from __future__ import annotations

from fractions import Fraction

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from dubflow.errors import BadInput
from dubflow.incontext.backbone.geometry import Geometry
from dubflow.incontext.backbone.parts import Backbone
from dubflow.incontext.backbone.positions import audio_positions, video_positions

GEOMETRY = Geometry()


@pytest.mark.parametrize(("width", "height", "tokens"), [(640, 352, 3520), (960, 544, 8160)])
def test_token_counts_of_the_papers_resolutions(width: int, height: int, tokens: int) -> None:
    assert GEOMETRY.video_tokens(121, height, width) == tokens


def test_audio_has_25_tokens_a_second() -> None:
    assert GEOMETRY.audio_rate == 25
    assert GEOMETRY.audio_channels == 128
    assert GEOMETRY.audio_tokens(Fraction(121, 25)) == 121


@pytest.mark.parametrize("size", [(120, 64, 64), (121, 63, 64), (121, 64, 33), (121, 64, 32), (0, 64, 64), (1, 0, 64)])
def test_clips_that_do_not_divide_are_refused(size: tuple[int, int, int]) -> None:
    with pytest.raises(BadInput) as caught:
        GEOMETRY.latent_shape(*size)
    assert caught.value.code == "incontext.bad_clip_size"


@settings(deadline=None)
@given(st.integers(1, 2000), st.integers(1, 4000), st.booleans())
def test_snapping_gives_the_nearest_that_divides(frames: int, pixels: int, up: bool) -> None:
    snapped, side = GEOMETRY.snap_frames(frames, up=up), GEOMETRY.snap_side(pixels, up=up)
    assert GEOMETRY.clip_shape(*GEOMETRY.latent_shape(snapped, side, side)) == (snapped, side, side)
    assert 0 <= (snapped - frames) * (1 if up else -1) < 8
    if pixels >= 64:
        assert 0 <= (side - pixels) * (1 if up else -1) < 32


@pytest.mark.parametrize("fps", [25.0, 24.0, Fraction(30000, 1001)])
def test_video_positions_are_diffusers_own(oldest: Backbone, fps: float | Fraction) -> None:
    ours = video_positions(oldest.geometry, (4, 3, 5), fps)
    theirs = oldest.transformer.rope.prepare_video_coords(1, 4, 3, 5, "cpu", fps=float(fps))
    assert ours.dtype == torch.float32
    assert torch.equal(ours, theirs)


def test_audio_positions_are_diffusers_own(oldest: Backbone) -> None:
    ours = audio_positions(oldest.geometry, 126)
    assert ours.dtype == torch.float32
    assert torch.equal(ours, oldest.transformer.audio_rope.prepare_audio_coords(1, 126, "cpu"))


def test_the_first_latent_stands_for_one_frame_and_the_clocks_agree() -> None:
    video = video_positions(GEOMETRY, (3, 1, 1), 25.0)[0, 0]
    torch.testing.assert_close(video, torch.tensor([[0.0, 0.04], [0.04, 0.36], [0.36, 0.68]]))
    audio = audio_positions(GEOMETRY, 3)[0, 0]
    torch.testing.assert_close(audio, torch.tensor([[0.0, 0.01], [0.01, 0.05], [0.05, 0.09]]))
