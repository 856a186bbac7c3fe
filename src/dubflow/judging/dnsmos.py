"""DNSMOS: what listeners would say of speech, without a reference (Reddy, Gopal and Cutler, 2021 and 2022).

Two networks that travel in the ``speechmos`` package: P.835 (``signal``, ``background``, ``overall``) and P.808
(``p808``), each about 1 to 5. They were trained on English calls after noise suppression; on synthetic voices they tell
noise and distortion, hardly naturalness.

They hear level, and the package refuses samples beyond full scale. So recordings are judged at one level, unless asked
for ``as_is``, which is what peers print: the spoken part (within 40 dB of its loudest moment, in steps of 20 ms) is
brought to -26 dB of full scale; where peaks would pass full scale the whole is turned down. Clips shorter than 9.01 s
are repeated to that length by the package, longer ones are judged every second and averaged.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from dubflow.errors import BadInput, missing_extra
from dubflow.judging.recogniser import SAMPLE_RATE, checked_waveform
from dubflow.media.digest import sha256_file

LEVEL_DB = -26.0
_RANGE_DB = 40.0
_STEP = round(0.02 * SAMPLE_RATE)

Level = Literal["one_level", "as_is"]


@dataclass(frozen=True)
class Opinion:
    """Mean opinion scores, about 1 to 5: of the speech, of the background's quiet, of all; and P.808's of all."""

    signal: float
    background: float
    overall: float
    p808: float


class Dnsmos:
    """The two networks.

    Raises:
        WrongUse: ``install.missing_extra``.
    """

    def __init__(self) -> None:
        networks = tuple(str(path) for path in _weights())
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                from onnxruntime import InferenceSession, SessionOptions
                from speechmos.dnsmos import DNSMOS
        except ImportError as error:
            raise missing_extra("speechmos") from error
        self._score: Any = DNSMOS(*networks)
        # One thread: its own pool waits by turning, which takes the time of judges in the processes beside it.
        settings = SessionOptions()
        settings.intra_op_num_threads = settings.inter_op_num_threads = 1
        self._score.onnx_sess, self._score.p808_onnx_sess = (InferenceSession(path, settings) for path in networks)

    @property
    def id(self) -> str:
        """Package, version and the start of the hash of both networks' hashes."""
        return f"dnsmos-speechmos-{version('speechmos')}-{weights_digest()[:16]}"

    def judge(self, waveform: NDArray[np.float32], level: Level = "one_level") -> Opinion:
        """Scores of a 16 kHz mono waveform ``[N]``; silence gets what the networks give it.

        Raises:
            BadInput: ``judging.bad_waveform``, ``judging.nothing_to_judge`` without a sample, ``judging.too_loud`` when
                a sample beyond -1..1 is to be judged as it is.
        """
        audio = checked_waveform(waveform)
        if not audio.size:
            raise BadInput("judging.nothing_to_judge", "The recording has no samples.", "Give some.")
        heard = at_one_level(audio) if level == "one_level" else audio
        if np.abs(heard).max() > 1:
            raise BadInput(
                "judging.too_loud", "The recording goes beyond full scale.", "Turn it down, or judge it at one level."
            )
        scores = self._score(heard.astype(np.float32), SAMPLE_RATE, False)
        return Opinion(*(float(scores[f"{name}_mos"]) for name in ("sig", "bak", "ovrl", "p808")))


def at_one_level(audio: NDArray[np.float64]) -> NDArray[np.float64]:
    """``audio`` ``[N]`` with its spoken part at -26 dB of full scale and no peak above it; silence stays silence."""
    whole = len(audio) // _STEP * _STEP
    power = np.square(audio[:whole].reshape(-1, _STEP)).mean(axis=1) if whole else np.square(audio).mean(keepdims=True)
    if not power.max() > 0:
        return audio
    spoken = power[power >= power.max() * 10 ** (-_RANGE_DB / 10)]
    gain = min(10 ** (LEVEL_DB / 20) / float(np.sqrt(spoken.mean())), 1 / float(np.abs(audio).max()))
    levelled: NDArray[np.float64] = np.clip(gain * audio, -1.0, 1.0)
    return levelled


@cache
def weights_digest() -> str:
    """SHA-256 over the SHA-256 of both networks.

    Raises:
        WrongUse: ``install.missing_extra``.
    """
    import hashlib

    return hashlib.sha256("".join(sha256_file(path) for path in _weights()).encode()).hexdigest()


def _weights() -> tuple[Path, Path]:
    """P.835's and P.808's."""
    from importlib.util import find_spec

    spec = find_spec("speechmos")
    if spec is None or spec.origin is None:
        raise missing_extra("speechmos")
    folder = Path(spec.origin).parent / "dnsmos_models"
    return folder / "sig_bak_ovr.onnx", folder / "model_v8.onnx"
