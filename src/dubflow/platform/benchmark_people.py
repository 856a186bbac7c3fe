"""Who appears in the benchmarks: people of the embedded world whom no model that comes with dubflow was trained on.

The starter model (``tools/starter.py``) learned from the train split of one world. Its val and test people, and people
of that world beyond those whom it had, stay for judging, as long as their voice is none that was trained on and no near
relative of one (``talkers.voices``: once its list is used up, a voice comes again a little higher or lower).
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count, islice
from typing import Any, Final

from dubflow.corpora.cache import content_key
from dubflow.talkers.look import Presentation
from dubflow.talkers.scenes import Person, person_of, split_of
from dubflow.talkers.voices import VOICES, listed_voice

STARTER_SEED: Final = 11
STARTER_IDENTITIES: Final = 28


def trained_voices() -> frozenset[tuple[str, int]]:
    """Variant and pitch of everybody whom the starter model was trained on."""
    voices = (person_of(identity, STARTER_SEED).voice for identity in _trained())
    return frozenset((voice.variant, voice.pitch) for voice in voices)


def unheard_people(number: int) -> tuple[Person, ...]:
    """The first ``number`` people for benchmarks: no two with one listed voice, nobody with one that was trained on.

    Fewer where the lists of voices hold no more.
    """
    return tuple(islice(_unheard(), number))


def most_people() -> int:
    """How many people there are whose voices are told apart."""
    return sum(len(listed) for listed in VOICES.values()) - len({_listed(identity) for identity in _trained()})


def person_facts(person: Person) -> dict[str, Any]:
    """What an item tells of who speaks in it: the voice (a judge refuses those that it was trained on) and a digest."""
    return {
        "voice": {"variant": person.voice.variant, "pitch": person.voice.pitch},
        "world_person": content_key({"seed": STARTER_SEED, "person": person.model_dump(mode="json")}),
    }


def _unheard() -> Iterator[Person]:
    used = {_listed(identity) for identity in _trained()}
    least = most_people()
    for identity in count():
        if least == 0:
            return
        if identity < STARTER_IDENTITIES and split_of(identity) == "train":
            continue
        if _listed(identity) not in used:
            used.add(_listed(identity))
            least -= 1
            yield person_of(identity, STARTER_SEED)


def _trained() -> list[int]:
    return [identity for identity in range(STARTER_IDENTITIES) if split_of(identity) == "train"]


def _listed(identity: int) -> tuple[Presentation, str, int]:
    """The listed voice that an identity's is, or is a near relative of."""
    presentation = person_of(identity, STARTER_SEED).presentation
    return (presentation, *listed_voice(identity // 2, presentation, STARTER_SEED))
