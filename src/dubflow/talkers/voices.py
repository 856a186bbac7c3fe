"""Who sounds how: every identity gets a voice of its own and keeps it in all clips and all languages.

espeak-ng brings about a hundred variants. Many sound alike, some cannot be understood. The lists below hold those pairs
of variant and pitch whose GRID commands a recogniser gets right (PocketSphinx with GRID's grammar: at most 17 % of the
words wrong, mostly below 10 %), in the order in which a speaker encoder (GE2E, Wan et al. 2018) tells them apart: each
is the one least like all before it. Within a list no two have a cosine above 0.88 (feminine) and 0.84 (masculine).
Once a list is used up it comes again a little higher, then a little lower, which is a near relative and no new voice.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from pydantic import Field

from dubflow.config import Strict
from dubflow.errors import WrongUse
from dubflow.speech.voices import Voice
from dubflow.talkers.look import Presentation

VOICES: Final[dict[Presentation, tuple[tuple[str, int], ...]]] = {
    "feminine": (
        ("anika", 68), ("f4", 50), ("steph3", 50), ("steph", 15), ("f5", 68), ("anika", 15), ("belinda", 50),
        ("f1", 15), ("steph", 68), ("aunty", 15), ("f3", 68), ("steph3", 68), ("f5", 32), ("f1", 68),
    ),
    "masculine": (
        ("david", 22), ("pablo", 78), ("klatt", 22), ("Hugo", 50), ("Gene2", 50), ("edward", 22), ("sandro", 22),
        ("quincy", 78), ("caleb", 78), ("iven4", 50), ("victor", 50), ("m5", 22), ("Reed", 22), ("klatt3", 78),
        ("antonio", 50), ("Alex", 78), ("edward2", 78), ("Nguyen", 78), ("pedro", 50), ("klatt3", 22),
        ("miguel", 22), ("Storm", 78), ("ed", 78), ("paul", 22),
    ),
}  # fmt: skip
"""Variant and pitch (espeak-ng's 0 to 99) of every voice that is told apart."""

_ROUND_SHIFTS: Final = (0, 6, -6)


class SpeakerVoice(Strict):
    """One speaker's voice, apart from the language it speaks."""

    variant: str = Field(description="espeak-ng voice variant.")
    pitch: int = Field(ge=0, le=99)
    pitch_range: int = Field(ge=0, le=99)
    rate: int = Field(ge=80, le=400, description="Words a minute.")

    def speaking(self, language: str, haste: float = 1.0) -> Voice:
        """The voice in ``language``, ``haste`` times as fast (kept within espeak-ng's exact range)."""
        rate = min(400, max(80, round(self.rate * haste)))
        return Voice(language=language, variant=self.variant, pitch=self.pitch, pitch_range=self.pitch_range, rate=rate)


def voice_of(number: int, presentation: Presentation, seed: int) -> SpeakerVoice:
    """The voice of the ``number``-th speaker (from 0) of a presentation in the world of ``seed``.

    The same for every call, whatever other speakers there are. The first ``len(VOICES[presentation])`` numbers have
    voices that are told apart; up to three times as many differ in variant or pitch.

    Raises:
        WrongUse: ``talkers.bad_seed``.
    """
    if number < 0 or seed < 0:
        raise WrongUse("talkers.bad_seed", f"Speaker {number} of seed {seed} does not exist.", "Both count from 0.")
    listed = VOICES[presentation]
    round_, place = divmod(number, len(listed))
    order = np.random.default_rng([seed, len(listed), 0x70]).permutation(len(listed))
    rng = np.random.default_rng([seed, number, len(listed), 0x71])
    variant, pitch = listed[int(order[place])]
    return SpeakerVoice(
        variant=variant,
        pitch=pitch + _ROUND_SHIFTS[round_ % len(_ROUND_SHIFTS)],
        pitch_range=int(rng.integers(42, 71)),
        rate=int(rng.integers(155, 186)),
    )
