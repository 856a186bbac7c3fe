"""Who appears in the benchmarks: people of the embedded world whom nothing that comes with dubflow has met.

The starter model (``tools/starter.py``) and the small judges (``tools/judges.py``) learned from the train people of
one world and were chosen by its val people; a judge refuses a voice that it knows, or a near relative of one. So nobody
here has a voice of that world, and everybody has a face beyond those that it had.

That world uses up the feminine voices of ``talkers.voices``. Three more were found as those were: of espeak-ng's other
feminine variants, at four pitches each, the ones whose GRID commands PocketSphinx gets right (3 to 13 % of the words
wrong, six commands) and that the GE2E encoder tells from everybody's in that world (cosine at most 0.88).
"""

from __future__ import annotations

from itertools import islice, zip_longest
from typing import Any, Final

from dubflow.corpora.cache import content_key
from dubflow.talkers.look import Presentation
from dubflow.talkers.scenes import Person, person_of
from dubflow.talkers.voices import VOICES

STARTER_SEED: Final = 11
STARTER_IDENTITIES: Final = 28
NEW_FEMININE: Final = (("Annie", 22), ("linda", 41), ("grandma", 22))


def known_voices() -> frozenset[tuple[str, int]]:
    """Variant and pitch of everybody of the world that the starter model and the judges learned from."""
    voices = (person_of(identity, STARTER_SEED).voice for identity in range(STARTER_IDENTITIES))
    return frozenset((voice.variant, voice.pitch) for voice in voices)


def unheard_voices(presentation: Presentation) -> tuple[tuple[str, int], ...]:
    """Voices that nobody of that world has, those that are told apart best first."""
    listed = tuple(voice for voice in VOICES[presentation] if voice not in known_voices())
    return (*listed, *NEW_FEMININE) if presentation == "feminine" else listed


def unheard_people(number: int) -> tuple[Person, ...]:
    """The first ``number`` people for benchmarks, ``b1``, ``b2``, …; fewer where there are no more voices.

    Presentations alternate as long as both have voices.
    """
    pairs = zip_longest(_people("feminine"), _people("masculine"))
    people = (person for pair in pairs for person in pair if person is not None)
    return tuple(
        person.model_copy(update={"speaker": f"b{place}"}) for place, person in enumerate(islice(people, number), 1)
    )


def most_people() -> int:
    """How many people there are."""
    return len(unheard_voices("feminine")) + len(unheard_voices("masculine"))


def person_facts(person: Person) -> dict[str, Any]:
    """What an item tells of who speaks in it: the voice (a judge refuses those that it was trained on) and a digest."""
    return {
        "voice": {"variant": person.voice.variant, "pitch": person.voice.pitch},
        "world_person": content_key({"person": person.model_dump(mode="json")}),
    }


def _people(presentation: Presentation) -> list[Person]:
    """Everybody of a presentation: face and habits from beyond that world's people, one of the voices each."""
    first = STARTER_IDENTITIES + (STARTER_IDENTITIES + (presentation == "masculine")) % 2
    people = []
    for place, (variant, pitch) in enumerate(unheard_voices(presentation)):
        person = person_of(first + 2 * place, STARTER_SEED)
        voice = person.voice.model_copy(update={"variant": variant, "pitch": pitch})
        people.append(person.model_copy(update={"voice": voice}))
    return people
