from __future__ import annotations

import numpy as np
import pytest

from dubflow.errors import BadInput
from dubflow.faces.tracks import FaceTrack
from dubflow.judging.picture import (
    _LUMA,
    PSNR_OF_EQUALS,
    _ssim_map,
    outside_face,
    psnr,
    score_outside_face,
    ssim,
)


def picture(seed: int, height: int = 48, width: int = 64) -> np.ndarray:
    rng = np.random.default_rng(seed)
    rough = rng.uniform(0, 255, (height // 8, width // 8, 3))
    smooth = np.kron(rough, np.ones((8, 8, 1)))
    return np.clip(smooth + rng.normal(0, 5, smooth.shape), 0, 255).astype(np.uint8)


def noisy(image: np.ndarray, sigma: float) -> np.ndarray:
    return np.clip(image + np.random.default_rng(9).normal(0, sigma, image.shape), 0, 255).astype(np.uint8)


def face(frames: int, box: tuple[float, float, float, float], absent: tuple[int, ...] = ()) -> FaceTrack:
    """Landmarks on an ellipse in a box (left, top, right, bottom)."""
    angle = np.linspace(0, 2 * np.pi, 478, endpoint=False)
    left, top, right, bottom = box
    points = np.stack(
        [
            (left + right) / 2 + (right - left) / 2 * np.cos(angle),
            (top + bottom) / 2 + (bottom - top) / 2 * np.sin(angle),
            np.zeros_like(angle),
        ],
        axis=1,
    )
    landmarks = np.repeat(points[None].astype(np.float32), frames, axis=0)
    found = np.array([frame not in absent for frame in range(frames)])
    landmarks[~found] = np.nan
    return FaceTrack(landmarks, found, tuple(None if one else "no_face" for one in found))


def test_known_values() -> None:
    flat = np.full((32, 32, 3), 100, np.uint8)
    assert psnr(flat, flat + np.uint8(1)) == pytest.approx(48.1308, abs=1e-4)
    assert psnr(flat, flat + np.uint8(10)) == pytest.approx(28.1308, abs=1e-4)
    assert psnr(flat, flat) == PSNR_OF_EQUALS
    black = np.zeros((32, 32, 3), np.uint8)
    assert psnr(black, np.full_like(black, 255)) == pytest.approx(0)
    c1 = (0.01 * 255) ** 2  # of two flat pictures only the comparison of brightness is left
    assert ssim(flat, flat + np.uint8(50)) == pytest.approx((2 * 100 * 150 + c1) / (100**2 + 150**2 + c1))
    assert ssim(flat, flat) == pytest.approx(1)


def test_ssim_against_another_implementation() -> None:
    torch = pytest.importorskip("torch")
    metrics = pytest.importorskip("torchmetrics.functional.image")
    first = picture(0)[..., :1].repeat(3, axis=2)
    second = noisy(first[..., :1], 25).repeat(3, axis=2)
    mask = np.zeros(first.shape[:2], bool)
    mask[5:-5, 5:-5] = True  # theirs leaves out the border that the window does not fit into
    pair = [torch.from_numpy(one[..., 0].astype(np.float64))[None, None] for one in (second, first)]
    theirs = metrics.structural_similarity_index_measure(*pair, data_range=255.0, return_full_image=True)[1]
    expected = float(theirs[0, 0].numpy()[5:-5, 5:-5].mean())
    # Outside a mask both are taken as equal, so the windows at its edge differ: compare without one, inside.
    ours = _ssim_map(first @ _LUMA, second @ _LUMA)[mask].mean()
    assert ours == pytest.approx(expected, abs=1e-6)


def test_noise_makes_it_worse_and_order_does_not_matter() -> None:
    image = picture(1)
    for measure in (psnr, ssim):
        scores = [measure(image, noisy(image, sigma)) for sigma in (0, 3, 12, 50)]
        assert scores == sorted(scores, reverse=True)
        assert scores[3] < scores[1]
        assert measure(noisy(image, 12), image) == pytest.approx(measure(image, noisy(image, 12)))


def test_what_is_inside_the_face_does_not_count() -> None:
    image = picture(2)
    clip, track = np.stack([image] * 3), face(3, (20, 10, 44, 38), absent=(1,))
    mask = outside_face((48, 64), track.landmarks[0])
    changed = clip.copy()
    changed[[0, 2]] = np.where(mask[..., None], image, 255 - image)
    found = score_outside_face(clip, changed, track)
    assert found is not None
    assert (found.psnr, found.ssim, found.frames) == (PSNR_OF_EQUALS, pytest.approx(1), 3)
    changed[2, 0, 0] = 255 - changed[2, 0, 0]
    worse = score_outside_face(clip, changed, track)
    assert worse is not None
    assert worse.psnr < found.psnr
    assert worse.ssim < found.ssim


def test_the_mask() -> None:
    track = face(1, (20, 10, 44, 38))
    inside = ~outside_face((48, 64), track.landmarks[0], dilation=0)
    assert inside.sum() == pytest.approx(np.pi * 12.5 * 14.5, rel=0.08)
    assert inside[24, 32]
    wider = ~outside_face((48, 64), track.landmarks[0])
    assert (wider & inside).sum() == inside.sum()
    assert wider.sum() > inside.sum()
    other = face(1, (0, 0, 12, 12))
    both = ~outside_face((48, 64), track.landmarks[0], other.landmarks[0])
    assert np.array_equal(both, wider | ~outside_face((48, 64), other.landmarks[0]))
    assert outside_face((48, 64), np.full((478, 3), np.nan, np.float32)).all()


def test_a_face_that_fills_the_frame_leaves_nothing() -> None:
    clip = np.stack([picture(3)] * 2)
    assert score_outside_face(clip, clip, face(2, (-60, -60, 124, 108))) is None


def test_what_cannot_be_judged() -> None:
    image, clip = picture(4), np.stack([picture(4)] * 2)
    cases = (
        (lambda: psnr(image, image[:-1]), "judging.unlike_pictures"),
        (lambda: ssim(image, image, np.ones((3, 3), bool)), "judging.unlike_pictures"),
        (lambda: psnr(image, image, np.zeros(image.shape[:2], bool)), "judging.nothing_to_judge"),
        (lambda: score_outside_face(clip, clip[:1]), "judging.unequal_lengths"),
        (lambda: score_outside_face(clip, clip, face(3, (1, 1, 9, 9))), "judging.unequal_lengths"),
        (lambda: score_outside_face(clip[:0], clip[:0]), "judging.nothing_to_judge"),
        (lambda: psnr(image.astype(np.float32), image), "faces.bad_frame"),
    )
    for call, code in cases:
        with pytest.raises(BadInput) as caught:
            call()
        assert caught.value.code == code
