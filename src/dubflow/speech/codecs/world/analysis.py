"""Speech as WORLD's three parameters, one frame a token: pitch, mel-cepstrum, band aperiodicity.

WORLD (Morise, Yokomori and Ozawa, 2016) at 16 kHz in steps of 12.5 ms: frame ``i`` describes the signal around sample
``200 i``, which makes 80 frames a second exactly.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from types import ModuleType

import numpy as np
from numpy.typing import NDArray

from dubflow.errors import BadInput, missing_extra
from dubflow.speech.prosody import HIGHEST_HZ, LOWEST_HZ

SAMPLE_RATE = 16_000
HOP = 200
CEPSTRA = 40
POWER_FLOOR = 1e-8
"""Added to the power spectrum: noise of about -80 dB of full scale. It gives silence one spectrum instead of rounding
errors."""

_LARGEST_CEPSTRUM = 8.0
_LOUDEST = 2.0
_CLEANEST_DB = -60.0
_PERIOD_MS = 1000.0 * HOP / SAMPLE_RATE

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Features:
    """What WORLD hears in ``L`` frames.

    Attributes:
        hz: float64 ``[L]``, 0 where unvoiced. cepstrum: float64 ``[L, 40]``, cosine transform of the natural-log power
            spectrum on the mel axis; the first is its mean, the level. aperiodicity: float64 ``[L]``, dB at 3 kHz, at
            most 0; 0 is noise alone.
    """

    hz: Floats
    cepstrum: Floats
    aperiodicity: Floats

    def __len__(self) -> int:
        return len(self.hz)

    @property
    def voiced(self) -> NDArray[np.bool_]:
        """Bool ``[L]``."""
        return self.hz > 0


def analyse(waveform: NDArray[np.float32]) -> Features:
    """Features of a 16 kHz mono waveform ``[N]`` in -1..1; ``L = ceil(N / 200)``, the last frame filled with zeros.

    Raises:
        BadInput: ``speech.bad_waveform``.
        WrongUse: ``install.missing_extra``.
    """
    world = _world()
    audio = np.asarray(waveform)
    if audio.ndim != 1 or not audio.size or not np.issubdtype(audio.dtype, np.floating) or not np.isfinite(audio).all():
        raise BadInput(
            "speech.bad_waveform",
            f"A waveform is finite floats of shape [N], N > 0, not {audio.dtype} {list(audio.shape)}.",
            "Read the audio with dubflow.media.",
        )
    frames = -(-audio.size // HOP)
    # WORLD's filters need a few periods of signal even to find nothing.
    signal = np.zeros(max(frames, 8) * HOP)
    signal[: audio.size] = audio
    rough, times = world.dio(signal, SAMPLE_RATE, f0_floor=LOWEST_HZ, f0_ceil=HIGHEST_HZ, frame_period=_PERIOD_MS)
    hz = world.stonemask(signal, rough, times, SAMPLE_RATE)
    hz = np.where((hz >= LOWEST_HZ) & (hz <= HIGHEST_HZ), hz, 0.0)
    power = world.cheaptrick(signal, hz, times, SAMPLE_RATE) + POWER_FLOOR
    cepstrum = world.code_spectral_envelope(power, SAMPLE_RATE, CEPSTRA)
    bands = world.code_aperiodicity(world.d4c(signal, hz, times, SAMPLE_RATE), SAMPLE_RATE)
    return Features(hz=hz[:frames], cepstrum=cepstrum[:frames], aperiodicity=np.minimum(bands[:frames, 0], 0.0))


def synthesise(features: Features) -> NDArray[np.float32]:
    """The waveform ``[200 L]`` that the features describe, float32 within -1..1.

    Level and envelope are first brought into the range that speech can have: tokens and speaker vectors may come from a
    network, and WORLD takes what it is given.
    """
    if not len(features):
        return np.zeros(0, np.float32)
    world = _world()
    size = world.get_cheaptrick_fft_size(SAMPLE_RATE)
    cepstrum = np.clip(features.cepstrum, -_LARGEST_CEPSTRUM, _LARGEST_CEPSTRUM)
    cepstrum[:, 0] = np.clip(features.cepstrum[:, 0], np.log(POWER_FLOOR), _LOUDEST)
    power = world.decode_spectral_envelope(np.ascontiguousarray(cepstrum), SAMPLE_RATE, size)
    # The floor that the analysis added is no part of the sound.
    power = np.maximum(power - POWER_FLOOR, 1e-3 * POWER_FLOOR)
    bands = np.ascontiguousarray(np.clip(features.aperiodicity, _CLEANEST_DB, 0.0)[:, None])
    aperiodicity = world.decode_aperiodicity(bands, SAMPLE_RATE, size)
    waveform = world.synthesize(np.ascontiguousarray(features.hz), power, aperiodicity, SAMPLE_RATE, _PERIOD_MS)
    clipped: NDArray[np.float32] = np.clip(waveform, -1.0, 1.0).astype(np.float32)
    return clipped


def _world() -> ModuleType:
    try:
        with warnings.catch_warnings():
            # It asks setuptools for its own version and is scolded for that on every start.
            warnings.filterwarnings("ignore", message="pkg_resources is deprecated")
            import pyworld
    except ImportError as error:
        raise missing_extra("pyworld") from error
    module: ModuleType = pyworld
    return module
