"""Voices that come with the server: synthetic, so nobody has to be asked.

Each is a few seconds that espeak-ng speaks on this machine when the voice is first wanted; the same voice gives the
same bytes with the same espeak-ng, and the file's digest stands in every result. They are voices that the starter
learnt from (the nearest training speaker is nearer than to half of its own clips), two feminine and two masculine.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Final

from dubflow.errors import WrongUse
from dubflow.speech.durations import SAMPLE_RATE
from dubflow.speech.voices import Voice

DEFAULT: Final = "linden"
STOCK: Final[dict[str, tuple[str, Voice]]] = {
    "linden": ("feminine, middle", Voice(variant="anika", pitch=68, pitch_range=55, rate=165)),
    "aspen": ("feminine, low", Voice(variant="f4", pitch=50, pitch_range=55, rate=165)),
    "alder": ("masculine, low", Voice(variant="sandro", pitch=22, pitch_range=55, rate=165)),
    "rowan": ("masculine, middle", Voice(variant="pedro", pitch=50, pitch_range=55, rate=165)),
}
"""How each is described, and which synthetic voice it is."""

_TEXT = "This voice belongs to nobody. It was made by a machine, so that every clip can speak without asking a person."


def stock_voice(name: str, folder: Path) -> Path:
    """The recording of a stock voice, made in ``folder`` if it is not there yet.

    Raises:
        WrongUse: ``gateway.no_voice``, ``install.missing_extra``. OurFault: what the synthesizer says.
    """
    if name not in STOCK:
        raise WrongUse("gateway.no_voice", f"There is no stock voice {name[:40]!r}.", f"There are: {', '.join(STOCK)}.")
    voice = STOCK[name][1]
    made_of = hashlib.sha256(f"{voice.model_dump_json()}{_TEXT}".encode()).hexdigest()
    path = Path(folder) / f"{name}-{made_of[:8]}.wav"  # another dubflow's voice of this name is another file
    if not path.is_file():
        _make(voice, path)
    return path


def _make(voice: Voice, path: Path) -> None:
    import numpy as np
    import soxr

    from dubflow.media.encode import write_audio
    from dubflow.speech.espeak import EspeakSynthesizer

    with EspeakSynthesizer() as synthesizer:
        said = synthesizer.synthesize(_TEXT, voice)
    wave = soxr.resample(said.waveform, said.sample_rate, SAMPLE_RATE).astype(np.float32)
    write_audio(path, wave, SAMPLE_RATE)
