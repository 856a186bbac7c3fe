"""What the small judge sees and hears: a grey mouth, and the log-mel spectrogram of the 0.2 s that begin with a frame.

The mouth is cut out by ``faces.crops.crop_lips``: upright and at one scale by the points that speech hardly moves. Both
inputs are brought to one level over the whole clip, so neither light nor loudness counts.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from dubflow.errors import BadInput
from dubflow.faces.crops import Frames, crop_lips
from dubflow.faces.frames import Picture
from dubflow.faces.tracks import FaceTrack
from dubflow.judging.recogniser import SAMPLE_RATE, checked_waveform
from dubflow.judging.syncnet import WINDOW
from dubflow.speech.durations import FRAME_RATE, SAMPLES_PER_TOKEN
from dubflow.speech.mel import FLOOR_DB, MEL_BINS, log_mel

CUT = 64
"""Side of what is cut out, in pixels; a mouth is half as wide."""
HEIGHT, WIDTH = 48, 56
"""Of what the network sees: the middle of that."""
RANGE_DB = 60.0
"""Below the loudest moment of the clip, in any one band; what is quieter is not heard."""
QUIETEST = 1e-4
"""Peak of a recording below which it is not raised: what is nearly silent stays so."""
SAMPLES_PER_FRAME = SAMPLE_RATE // FRAME_RATE
MEL_FRAMES = WINDOW * SAMPLES_PER_FRAME // SAMPLES_PER_TOKEN
"""Of one window; 0.2 s are 16."""

Floats = NDArray[np.float32]


def mouth_crops(frames: Frames, track: FaceTrack) -> Picture:
    """The mouth, uint8 ``[F, 64, 64]`` grey.

    Raises:
        BadInput: ``faces.no_face``, ``faces.frames_differ``.
    """
    return crop_lips(frames, track, CUT)


def middle(crops: NDArray[Any]) -> NDArray[Any]:
    """``[..., 48, 56]``: what the network sees of crops ``[..., 64, 64]``."""
    top, left = (CUT - HEIGHT) // 2, (CUT - WIDTH) // 2
    return crops[..., top : top + HEIGHT, left : left + WIDTH]


def seen(crops: NDArray[np.uint8]) -> Floats:
    """Crops ``[F, 64, 64]`` as the network wants them: ``[F, 48, 56]``, mean 0 and deviation 1 over the clip.

    Raises:
        BadInput: ``judging.bad_crops``.
    """
    if crops.ndim != 3 or crops.shape[1:] != (CUT, CUT) or crops.dtype != np.uint8 or not len(crops):
        raise BadInput(
            "judging.bad_crops",
            f"Mouths are a table of uint8 [F, {CUT}, {CUT}], not {crops.dtype} {list(crops.shape)}.",
            "Cut them with mouth_crops.",
        )
    grey = middle(crops).astype(np.float32)
    level: Floats = (grey - grey.mean()) / (grey.std() + 1.0)
    return level


def heard(waveform: NDArray[np.floating[Any]], frames: int) -> Floats:
    """Spectrograms ``[frames - 4, 80, 16]`` of 16 kHz mono ``[N]``, from the start of each of the first frames on.

    0 at the loudest of the clip, -1 at 60 dB below it and less; a sound that ends early is followed by silence.

    Raises:
        BadInput: ``judging.bad_waveform``.
    """
    audio = checked_waveform(waveform)
    windows = max(0, frames - WINDOW + 1)
    wanted = frames * SAMPLES_PER_FRAME
    audio = np.pad(audio[:wanted], (0, max(0, wanted - audio.size)))
    # To a peak of 1 first, or the spectrogram's floor would swallow a quiet recording.
    audio = audio / max(float(np.abs(audio).max(initial=0.0)), QUIETEST)
    level = np.zeros((windows, MEL_BINS, MEL_FRAMES), np.float32)
    # A frame is 3.2 columns of the spectrogram, so frames whose number has the same remainder share one whose columns
    # fall onto their starts.
    for first in range(min(WINDOW, windows)):
        start = first * SAMPLES_PER_FRAME
        before = -start % SAMPLES_PER_TOKEN
        columns = log_mel(np.pad(audio, (before, 0)))
        skipped = (start + before) // SAMPLES_PER_TOKEN
        count = len(range(first, windows, WINDOW))
        blocks = columns[:, skipped : skipped + count * MEL_FRAMES].reshape(MEL_BINS, count, MEL_FRAMES)
        level[first::WINDOW] = blocks.transpose(1, 0, 2)
    loudest = max(float(level.max(initial=FLOOR_DB)), FLOOR_DB + RANGE_DB)
    return np.clip((level - loudest) / RANGE_DB, -1.0, 0.0)
