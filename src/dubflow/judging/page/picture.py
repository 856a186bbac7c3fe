"""Spectrograms as PNG, drawn here: a page of evidence needs no plotting library.

The colours run from near black over blue and orange to pale yellow, rising evenly in lightness, so that the picture
reads the same in grey and for any colour vision.
"""

from __future__ import annotations

import base64
import struct
import zlib
from functools import cache

import numpy as np
from numpy.typing import NDArray

from dubflow.errors import WrongUse
from dubflow.speech.mel import log_mel

RANGE_DB = (-90.0, -20.0)
"""What the colours span, dB of full scale: the same in every picture of a page, so that pictures can be compared."""
LEVELS = 64
_ANCHORS = ((0, 0, 8), (32, 18, 86), (94, 30, 122), (164, 48, 112), (222, 84, 74), (248, 146, 52), (252, 244, 178))


def spectrogram(waveform: NDArray[np.float32]) -> bytes:
    """PNG of the log-mel spectrogram of 16 kHz speech: a column each 12.5 ms, 80 rows, low tones at the bottom.

    Raises:
        BadInput: ``speech.bad_waveform``. WrongUse: ``judging.empty_picture`` without samples.
    """
    low, high = RANGE_DB
    level = np.clip((log_mel(waveform)[::-1] - low) / (high - low), 0.0, 1.0)
    return png(np.rint(level * (LEVELS - 1)).astype(np.uint8), _palette())


def png(indices: NDArray[np.uint8], palette: bytes) -> bytes:
    """PNG (W3C, third edition) of palette indices ``[H, W]``; ``palette`` holds three bytes a colour.

    Raises:
        WrongUse: ``judging.empty_picture`` for no pixel, or an index beyond the palette.
    """
    if indices.ndim != 2 or not indices.size or int(indices.max()) >= len(palette) // 3:
        raise WrongUse(
            "judging.empty_picture",
            f"No picture can be made of {list(indices.shape)} indices.",
            "Give [H, W] in range,",
        )
    height, width = indices.shape
    rows = np.concatenate([np.zeros((height, 1), np.uint8), indices], axis=1)  # each row begins with its filter: none
    header = struct.pack(">IIBBBBB", width, height, 8, 3, 0, 0, 0)  # 8 bits, palette, not interlaced
    blocks = ((b"IHDR", header), (b"PLTE", palette), (b"IDAT", zlib.compress(rows.tobytes(), 9)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(_block(kind, content) for kind, content in blocks)


def data_address(picture: bytes) -> str:
    """The picture as an address that carries it."""
    return "data:image/png;base64," + base64.b64encode(picture).decode("ascii")


def _block(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


@cache
def _palette() -> bytes:
    at = np.linspace(0, len(_ANCHORS) - 1, LEVELS)
    channels = [np.interp(at, np.arange(len(_ANCHORS)), channel) for channel in np.array(_ANCHORS).T]
    colours: bytes = np.rint(np.stack(channels, axis=1)).astype(np.uint8).tobytes()
    return colours
