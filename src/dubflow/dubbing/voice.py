"""The voice to speak with: a file with sound, or the clip's own."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dubflow.dubbing.request import SELF, DubOptions, DubRequest
from dubflow.errors import BadInput
from dubflow.media.decode import read_audio
from dubflow.media.digest import sha256_file
from dubflow.speech.durations import SAMPLE_RATE

_FAINTEST = 10 ** (-60 / 20)
_BELOW_LOUD = 10 ** (-35 / 20)
_WINDOW = SAMPLE_RATE // 50


@dataclass(frozen=True, eq=False)
class Voice:
    """A reference as engines take it.

    Attributes:
        waveform: 16 kHz mono ``[N]``.
        sha256: digest of the file it came from.
        name: the file's name, or ``self``.
        oracle: whether it is the clip's own sound, which nobody has who really dubs.
        notices: one sentence each.
    """

    waveform: NDArray[np.float32]
    sha256: str
    name: str
    oracle: bool
    notices: tuple[str, ...] = ()


def reference_path(request: DubRequest) -> Path:
    """The file that the reference names."""
    return request.clip if request.reference == SELF else Path(request.reference)


def read_voice(path: Path, options: DubOptions, *, own: bool = False) -> Voice:
    """Hear the reference in the file ``path``; ``own`` says that it is the clip itself.

    Raises:
        BadInput: what the reader says, ``dubbing.reference_silent``, ``dubbing.reference_too_short``.
    """
    waveform = read_audio(path, SAMPLE_RATE)
    spoken = _spoken_seconds(waveform)
    if spoken == 0:
        raise BadInput("dubbing.reference_silent", f"{path.name} is silent.", "Give a recording of the voice.")
    if spoken < options.least_reference_s:
        raise BadInput(
            "dubbing.reference_too_short",
            f"{path.name} holds {spoken:.2f} s of speech; a voice needs {options.least_reference_s:g} s.",
            "Give a longer recording: three seconds and more.",
            seconds=spoken,
        )
    notices: list[str] = []
    most = round(options.reference_s * SAMPLE_RATE)
    if len(waveform) > most:
        notices.append(f"of the reference only the first {options.reference_s:g} s are heard")
        waveform = waveform[:most]
    return Voice(waveform, sha256_file(path), SELF if own else path.name, own, tuple(notices))


def _spoken_seconds(waveform: NDArray[np.float32]) -> float:
    """Seconds that are not far below the loudest moments, in windows of 20 ms; 0 for silence."""
    whole = len(waveform) // _WINDOW * _WINDOW
    if not whole:
        return 0.0
    loudness = np.sqrt(np.mean(np.square(waveform[:whole].reshape(-1, _WINDOW), dtype=np.float64), axis=1))
    loud = float(np.percentile(loudness, 95))
    threshold = max(_FAINTEST, loud * _BELOW_LOUD)
    return float((loudness > threshold).sum() * _WINDOW / SAMPLE_RATE)
