"""From codec tokens to the sound of a clip; no network is needed for it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from dubflow.speech.codecs import Codec, Tokens
from dubflow.speech.durations import SAMPLES_PER_FRAME


def waveform_of(codec: Codec, tokens: Tokens, frames: int) -> NDArray[np.float32]:
    """What the codec says, exactly ``640 frames`` samples at 16 kHz; the last token may reach past them."""
    sound = codec.decode(tokens)[: SAMPLES_PER_FRAME * frames]
    return np.pad(sound, (0, SAMPLES_PER_FRAME * frames - len(sound)))
