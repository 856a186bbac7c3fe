"""Features computed here, without weights: the default when nobody has brought a trained extractor.

They are fixed linear measures of the picture (two-dimensional cosine transforms of several regions) after each frame
has been brought to mean 0 and deviation 1, which takes out how bright and how contrasty it is, and a few soft measures
of the mouth's dark inside. A linear layer can read the opening of the mouth, its width, the teeth, brows and the turn
of the head from them; nothing here has learnt anything, and nothing depends on other clips.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import numpy.typing as npt

from dubflow.faces.features.protocols import FACE_DIM, LIP_DIM, check_face_crops, check_lip_crops
from dubflow.faces.frames import Picture
from dubflow.faces.tracks import Floats

# Frames worked on at once; it bounds memory and does not change results.
CHUNK = 256

# Keeps a frame of one colour (deviation 0) finite, in grey levels; far below the deviation of any picture of a face.
FLAT = 4.0

FACE_SIDE = 64

# Of the 64 x 64 face: the height of eyes and brows, and the left brow, what lies between, the right brow.
BROW_ROWS = slice(9, 35)
BROW_COLUMNS = (slice(14, 26), slice(26, 37), slice(37, 49))


class EmbeddedLipFeatures:
    """Lip features [F, 512] by fixed transforms; implements ``LipFeatures``.

    Layout: 256 cosine coefficients of the whole crop; 100 of the mouth region (48 rows x 64 columns); 100 of that
    region's change over time (half the difference between the next and the previous frame, whole at the clip's ends);
    32 values of the brightness down the middle columns; 24 measures of darkness (area, height, width, position).
    """

    id = "embedded-lip-1"

    def extract(self, crops: Picture) -> Floats:
        """See ``LipFeatures.extract``. Only the 100 values of change look at a neighbouring frame."""
        check_lip_crops(crops)
        features = np.empty((len(crops), LIP_DIM), np.float32)
        for start in range(0, len(crops), CHUNK):
            stop = min(start + CHUNK, len(crops))
            first, last = max(start - 1, 0), min(stop + 1, len(crops))
            around = _normalised(crops[first:last].astype(np.float32))
            own = around[start - first : stop - first]
            before = around[np.maximum(np.arange(start, stop) - 1, 0) - first]
            after = around[np.minimum(np.arange(start, stop) + 1, len(crops) - 1) - first]
            spread = np.minimum(np.arange(start, stop) + 1, len(crops) - 1) - np.maximum(np.arange(start, stop) - 1, 0)
            change = (after - before) / np.maximum(spread, 1)[:, None, None]
            features[start:stop] = np.concatenate(
                [
                    _cosines(own, 16, 16),
                    _cosines(own[:, 24:72, 16:80], 10, 10),
                    _cosines(change[:, 24:72, 16:80], 10, 10),
                    own[:, 16:80, 42:54].reshape(len(own), 32, 2, 12).mean(axis=(2, 3)),
                    _darkness(own),
                ],
                axis=1,
            )
        return features


class EmbeddedFaceFeatures:
    """Face features [F, 256] by fixed transforms; implements ``FaceFeatures``.

    Layout: 121 cosine coefficients of the whole crop's brightness; 36 of the brightness down three strips of eyes and
    brows, left, middle and right (brows, lids); 30 of the lower face (jaw); 25 of the left half minus the mirrored
    right half (yaw, roll); 32 of two measures of colour (skin, hair, lips); 12 means and deviations of these by thirds
    of the height.
    """

    id = "embedded-face-1"

    def extract(self, crops: Picture) -> Floats:
        """See ``FaceFeatures.extract``. Every frame by itself; crops of any size are brought to 64 x 64."""
        check_face_crops(crops)
        features = np.empty((len(crops), FACE_DIM), np.float32)
        for start in range(0, len(crops), CHUNK):
            features[start : start + CHUNK] = _face_block(crops[start : start + CHUNK])
        return features


def _face_block(crops: Picture) -> Floats:
    import cv2

    colour = np.stack([cv2.resize(crop, (FACE_SIDE, FACE_SIDE), interpolation=cv2.INTER_AREA) for crop in crops])
    colour = colour.astype(np.float32)
    grey = colour @ np.array([0.299, 0.587, 0.114], np.float32)
    light = _normalised(grey)
    # Each strip is averaged across, which leaves how high brows and lids are.
    strips = [light[:, BROW_ROWS, columns].mean(axis=2, keepdims=True) for columns in BROW_COLUMNS]
    # Shares do not change when all channels are scaled together; the constant keeps black from being any colour.
    shares = 16 * colour / (colour.sum(axis=3, keepdims=True) + 24.0)
    redness, blueness = shares[..., 0] - shares[..., 1], shares[..., 2] - shares[..., 1]
    thirds = np.stack([redness, blueness], axis=-1)[:, :63].reshape(len(crops), 3, -1, 2)
    block: Floats = np.concatenate(
        [
            _cosines(light, 11, 11),
            *(_cosines(strip, 12, 1) for strip in strips),
            _cosines(light[:, 36:], 5, 6),
            _cosines((light - light[:, :, ::-1])[:, :, : FACE_SIDE // 2], 5, 5),
            _cosines(redness, 4, 4),
            _cosines(blueness, 4, 4),
            thirds.mean(axis=2).reshape(len(crops), 6),
            thirds.std(axis=2).reshape(len(crops), 6),
        ],
        axis=1,
    ).astype(np.float32)
    return block


def _normalised(pictures: Floats) -> Floats:
    """Pictures [F, H, W] with mean 0 and deviation 1 each."""
    centred = pictures - pictures.mean(axis=(1, 2), keepdims=True)
    scaled: Floats = centred / np.sqrt(np.mean(centred**2, axis=(1, 2), keepdims=True) + FLAT**2)
    return scaled


def _cosines(pictures: Floats, rows: int, columns: int) -> Floats:
    """The lowest ``rows`` x ``columns`` coefficients of the orthonormal cosine transform (DCT-II), [F, rows * columns].

    Amplitudes of pictures fall with frequency; each coefficient is multiplied by its distance from zero frequency, so
    that all arrive about as large, and divided by the size of the picture.
    """
    height, width = pictures.shape[1:]
    vertical, horizontal = _cosine_basis(height, rows), _cosine_basis(width, columns)
    # Frame by frame inside: one large product would round differently with the number of frames.
    coefficients = vertical @ pictures @ horizontal.T
    distance = 1.0 + np.hypot(np.arange(rows)[:, None], np.arange(columns)[None, :])
    scaled: Floats = (coefficients * distance / np.sqrt(height * width)).astype(np.float32)
    return scaled.reshape(len(pictures), rows * columns)


@lru_cache(maxsize=32)
def _cosine_basis(length: int, count: int) -> npt.NDArray[np.float64]:
    """[count, length]: the first orthonormal DCT-II vectors."""
    steps = (np.arange(length) + 0.5) / length
    basis: npt.NDArray[np.float64] = np.cos(np.pi * np.arange(count)[:, None] * steps[None, :]) * np.sqrt(2 / length)
    basis[0] /= np.sqrt(2)
    return basis


def _darkness(crops: Floats) -> Floats:
    """Soft measures [F, 24] of what is dark in the mouth region: at four levels its area, centre and extent.

    Dark is the inside of an open mouth and the line between closed lips. A soft threshold makes the measures move
    smoothly with the lips.
    """
    region = crops[:, 20:80, 12:84]
    rows = np.linspace(-1, 1, region.shape[1], dtype=np.float32)[None, :, None]
    columns = np.linspace(-1, 1, region.shape[2], dtype=np.float32)[None, None, :]
    measures = []
    for level in (-2.5, -1.75, -1.0, -0.5):
        dark = 1.0 / (1.0 + np.exp(np.clip((region - level) * 6.0, -30, 30)))
        area = dark.mean(axis=(1, 2))
        # A trace of even darkness gives a region without any its middle as centre, and keeps the quotients smooth.
        weight = dark + 1e-3
        total = weight.sum(axis=(1, 2))
        y, x = (weight * rows).sum(axis=(1, 2)) / total, (weight * columns).sum(axis=(1, 2)) / total
        tall = np.sqrt((weight * (rows - y[:, None, None]) ** 2).sum(axis=(1, 2)) / total)
        wide = np.sqrt((weight * (columns - x[:, None, None]) ** 2).sum(axis=(1, 2)) / total)
        middle = dark[:, :, 30:42].mean(axis=2).sum(axis=1) / region.shape[1]
        measures += [4 * area, y, x, 2 * tall, 2 * wide, 4 * middle]
    stacked: Floats = np.stack(measures, axis=1).astype(np.float32)
    return stacked
