"""Lips in pixels, and the latents that know of them."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from dubflow.errors import BadInput
from dubflow.incontext.backbone.geometry import Geometry
from dubflow.incontext.backbone.video import encode_video
from dubflow.incontext.pairs.engine_parts import Span
from dubflow.incontext.pairs.fine_mask import Definition, MaskSettings, latent_lips, lip_motion, touched, within
from dubflow.incontext.pairs.lip_mask import LipSettings, lip_mask, mask_video
from incontext.pairs.engine_room import DrawnClips as Drawn
from incontext.pairs.engine_room import base, prompt, track

NARROW = LipSettings(margin=0.0)
GREEN = np.array([0, 255, 0], np.uint8)


def seen(*absent: int, frames: int = 9) -> np.ndarray:
    found = np.ones(frames, bool)
    found[list(absent)] = False
    return found


def test_the_lips_are_the_outer_ring_and_nothing_outside_of_the_span() -> None:
    mask = lip_mask(track(seen()), 64, 64, Span(2, 5), NARROW).mask
    assert mask.shape == (9, 64, 64)
    assert mask.any(axis=(1, 2)).tolist() == [False] * 2 + [True] * 3 + [False] * 4
    rows, columns = np.nonzero(mask[3])
    # A ring 16 wide and 8 high about (32, 44); pixel centres lie at .5.
    assert (columns.min(), columns.max(), rows.min(), rows.max()) == (24, 40, 40, 48)


def test_the_margin_counts_in_mouths() -> None:
    narrow, wide = (
        lip_mask(track(seen()), 64, 64, Span(0, 9), LipSettings(margin=margin)).mask[0] for margin in (0.0, 0.5)
    )
    assert bool((wide >= narrow).all())
    assert np.nonzero(wide)[1].min() == np.nonzero(narrow)[1].min() - 8
    assert np.nonzero(wide)[0].max() == np.nonzero(narrow)[0].max() + 8


def test_between_two_frames_the_lips_are_between_their_places() -> None:
    moved = track(seen(3, 4), move=2.0)
    found = lip_mask(moved, 64, 64, Span(0, 9), NARROW)
    whole = lip_mask(track(seen(), move=2.0), 64, 64, Span(0, 9), NARROW)
    assert np.array_equal(found.mask, whole.mask)
    assert found.guessed == {"lost_track": 2}
    ends = lip_mask(track(seen(0, 8), move=2.0), 64, 64, Span(0, 9), NARROW).mask
    assert np.array_equal(ends[0], ends[1])
    assert np.array_equal(ends[8], ends[7])


def test_a_half_that_hardly_shows_the_face_is_refused() -> None:
    hidden = track(seen(*range(4, 9)))
    lip_mask(hidden, 64, 64, Span(0, 5), NARROW)
    for span in (Span(2, 9), Span(5, 9)):
        with pytest.raises(BadInput) as refused:
            lip_mask(hidden, 64, 64, span, NARROW)
        assert refused.value.code == "incontext.lips_unseen"


def test_latents_that_are_touched() -> None:
    mask = np.zeros((17, 64, 96), bool)
    mask[0, 5, 70] = mask[9, 40, 31] = mask[16, 40, 32] = True
    found = touched(mask, Geometry())
    assert found.shape == (3, 2, 3)
    assert sorted(map(tuple, np.argwhere(found).tolist())) == [(0, 0, 2), (2, 1, 0), (2, 1, 1)]
    assert not touched(np.zeros((9, 64, 64), bool), Geometry()).any()


def test_the_other_half_is_left_as_it_is_but_for_what_lies_right_behind() -> None:
    mask = torch.ones(6, 2, 2, dtype=torch.bool)  # 41 frames: 0, 1 to 8, 9 to 16, ...
    for span, beyond, expected in (
        (Span(0, 9), 0, [0, 1]),
        (Span(0, 9), 1, [0, 1, 2]),
        (Span(2, 17), 1, [1, 2, 3]),
        (Span(8, 18), 0, [1, 2, 3]),
        (Span(24, 41), 3, [3, 4, 5]),
    ):
        found = within(mask, span, Geometry(), beyond)
        assert found.all(dim=(1, 2)).nonzero().flatten().tolist() == expected
        assert found.any(dim=(1, 2)).sum() == len(expected)
    assert not within(~mask, Span(0, 9), Geometry(), 1).any()


def patched(seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A clip, the same with a green patch on the lips, and the lips."""
    (clip,) = Drawn().make([prompt()], [seed])
    frames = np.pad(clip.frames[:17], ((0, 0), (32, 32), (32, 32), (0, 0)), mode="edge")
    lips = np.zeros(frames.shape[:3], bool)
    lips[4:, 70:82, 56:72] = True
    return frames, np.where(lips[..., None], GREEN, frames), lips


@pytest.mark.parametrize("definition", ["fine", "content"])
def test_at_threshold_0_nothing_of_the_patch_is_left_outside_of_the_mask(definition: Definition) -> None:
    """Of any encoder: what the lips move by nothing at all, they do not move whatever is painted on them."""
    frames, green, lips = patched()
    mask = latent_lips(base(), frames, lips, MaskSettings(definition=definition, threshold=0.0))
    moved = lip_motion(base(), frames, green)
    assert float(moved[~mask].abs().max()) == 0.0
    assert not mask[0].any()  # the encoder is causal, and the lips are covered from the fifth frame on


def test_pixels_of_the_lips_reach_latents_that_a_naive_mask_keeps() -> None:
    """Paper, B.2: why a mask of pixels made smaller does not do."""
    frames, green, lips = patched()
    moved = lip_motion(base(), frames, green)
    naive, fine = (
        latent_lips(base(), frames, lips, MaskSettings(definition=one))  # at the paper's 0.1
        for one in ("naive", "fine")
    )
    assert bool((fine | ~naive).all())
    assert float(fine.float().mean()) > 2 * float(naive.float().mean())
    assert float(moved[~naive].max()) > 2 * float(moved[~fine].max())


@pytest.mark.parametrize("threshold", [0.02, 0.1, 0.5])
def test_two_clips_that_differ_in_the_lips_are_at_most_two_thresholds_apart_outside_of_both_masks(
    threshold: float,
) -> None:
    """What the definition by content promises of any encoder."""
    frames, green, lips = patched(seed=4)
    settings = MaskSettings(definition="content", threshold=threshold)
    masks = latent_lips(base(), frames, lips, settings) | latent_lips(base(), green, lips, settings)
    assert not masks.all()
    assert float(lip_motion(base(), frames, green)[~masks].max()) <= 2 * threshold + 1e-5


def test_a_lower_threshold_takes_more() -> None:
    frames, _, lips = patched()
    masks = [latent_lips(base(), frames, lips, MaskSettings(threshold=tau)) for tau in (0.5, 0.1, 0.02)]
    assert bool((masks[0] <= masks[1]).all())
    assert bool((masks[1] <= masks[2]).all())
    shares = [float(one.float().mean()) for one in masks]
    assert shares[0] < shares[1] < shares[2]


def test_the_fine_mask_does_not_hang_on_what_is_shown() -> None:
    frames, green, lips = patched()
    one, other = (latent_lips(base(), shown, lips, MaskSettings()) for shown in (frames, green))
    assert torch.equal(one, other)
    difference = (encode_video(base(), mask_video(lips)) - encode_video(base(), np.zeros_like(frames))).abs()
    assert torch.equal(one, (difference > 0.1).any(dim=0))


def test_a_mask_of_another_size_is_refused() -> None:
    frames, _, lips = patched()
    with pytest.raises(BadInput) as refused:
        latent_lips(base(), frames, lips[:9], MaskSettings())
    assert refused.value.code == "incontext.bad_mask"
