"""Who sounds how: every identity gets a voice of its own and keeps it in all clips and all languages.

espeak-ng brings about a hundred variants, many of which sound alike. The lists below are those that a speaker
encoder (GE2E, Wan et al. 2018) tells apart best, found by adding the variant least like all taken before: within a
list no two have a cosine above 0.85. Whispering, robotic and distorted variants are left out. Once a list is used up,
its variants come again at another pitch, which GE2E hears as another speaker (0.79 to 0.83).
"""

from __future__ import annotations

from typing import Final

import numpy as np
from pydantic import Field

from dubflow.config import Strict
from dubflow.errors import WrongUse
from dubflow.speech.voices import Voice
from dubflow.talkers.look import Presentation

VARIANTS: Final[dict[Presentation, tuple[str, ...]]] = {
    "feminine": (
        "Alicia", "steph3", "anika", "f1", "Andrea", "belinda", "shelby", "grandma", "aunty", "Annie",
    ),
    "masculine": (
        "Marco", "caleb", "norbert", "david", "Hugo", "Andy", "travis", "sandro", "Lee", "edward",
        "pablo", "Nguyen", "ian", "marcelo", "boris", "Storm", "antonio", "m5", "adam", "quincy",
    ),
}  # fmt: skip
_ROUND_PITCHES: Final = (50, 80, 24, 65, 37)
_PITCH_JITTER: Final = 3


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

    The same for every call, whatever other speakers there are. Numbers below ``voices_without_repeat`` differ in
    variant, or in pitch by at least 7 of espeak-ng's 100 steps.

    Raises:
        WrongUse: ``talkers.bad_seed``.
    """
    if number < 0 or seed < 0:
        raise WrongUse("talkers.bad_seed", f"Speaker {number} of seed {seed} does not exist.", "Both count from 0.")
    names = VARIANTS[presentation]
    round_, place = divmod(number, len(names))
    order = np.random.default_rng([seed, len(names), 0x70]).permutation(len(names))
    rng = np.random.default_rng([seed, number, len(names), 0x71])
    base = _ROUND_PITCHES[round_ % len(_ROUND_PITCHES)]
    return SpeakerVoice(
        variant=names[int(order[place])],
        pitch=base + int(rng.integers(-_PITCH_JITTER, _PITCH_JITTER + 1)),
        pitch_range=int(rng.integers(42, 71)),
        rate=int(rng.integers(155, 186)),
    )


def voices_without_repeat(presentation: Presentation) -> int:
    """How many speakers of a presentation there are before variant and pitch round come again."""
    return len(VARIANTS[presentation]) * len(_ROUND_PITCHES)
