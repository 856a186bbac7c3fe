"""What the clips of a benchmark are: who says what in which scene, and into which language it is to be dubbed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import permutations
from typing import Final, Literal

import numpy as np
from pydantic import Field, field_validator

from dubflow.config import Strict
from dubflow.errors import WrongUse
from dubflow.judging.card.clip_items import Task, length_class
from dubflow.platform.benchmark_people import most_people, unheard_people
from dubflow.speech.espeak import Synthesizer
from dubflow.speech.voices import LANGUAGES
from dubflow.talkers.look import CREATURES
from dubflow.talkers.scenes import FRAME_RATE, ClipPlan, Person, Turn
from dubflow.talkers.scripts import FreeSentence, GridCommand, Script
from dubflow.talkers.settings import Kind
from dubflow.talkers.soundtrack import soundtrack

Tier = Literal["standard", "challenging"]
SCENES: Final[dict[Tier, tuple[Kind, ...]]] = {
    "standard": ("plain",),
    "challenging": ("profile", "occluded", "low_light", "two_speakers", "non_human"),
}
"""Kinds of clips of each tier (JUST-DUB-IT, A.2)."""

_HUB: Final = "en"  # the paper dubs from English and into it
_OCCLUDERS: Final = ("mask", "microphone", "cup", "hand")
_PROFILE_YAW: Final = (0.6, 0.78)
_LENGTHS: Final = ("short", "medium", "long")
_LEAST_FRAMES, _MOST_FRAMES = 50, 125
_DRAWS: Final = 16


class BenchmarkSettings(Strict):
    """The section ``benchmark`` of a preset."""

    seed: int = Field(0, ge=0, description="Sentences, scenes and who says what; same seed, same digest.")
    standard_items: int = Field(48, ge=1, description="Items of the tier of plain scenes.")
    challenging_items: int = Field(40, ge=5, description="Items of the tier of difficult scenes, in equal parts.")
    languages: tuple[str, ...] = Field(LANGUAGES, min_length=1, description="Spoken and dubbed into.")
    people: int = Field(8, ge=2, description="Speakers; nobody whom the starter model or the small judges met.")
    translated: float = Field(0.5, ge=0, le=1, description="Share of translations; the rest are own text.")
    grid_share: float = Field(0.3, ge=0, le=1, description="Share of GRID commands; the rest are free sentences.")
    size: int = Field(160, ge=64, le=512, multiple_of=2, description="Height of the picture in pixels.")
    sample_rate: Literal[16000, 22050, 24000, 44100, 48000] = Field(16000, description="Of the sound, in Hz.")
    crf: int = Field(12, ge=0, le=51, description="x264 quality, lower is better.")

    @field_validator("languages")
    @classmethod
    def _are_spoken(cls, languages: tuple[str, ...]) -> tuple[str, ...]:
        unknown = [language for language in languages if language not in LANGUAGES]
        if unknown or len(set(languages)) != len(languages):
            raise ValueError(f"each once, of {', '.join(LANGUAGES)}")
        return languages

    @field_validator("people")
    @classmethod
    def _exist(cls, people: int) -> int:
        if people > most_people():
            raise ValueError(f"no more than {most_people()} have voices that are told apart and unheard")
        return people

    def items(self, tier: Tier) -> int:
        """How many items a tier has."""
        return self.standard_items if tier == "standard" else self.challenging_items


@dataclass(frozen=True)
class Slot:
    """One item to be: its clip, its task, and the text that is to be said in it."""

    plan: ClipPlan
    task: Task
    text: Script

    @property
    def speaker(self) -> Person:
        """Who speaks in the clip."""
        return self.plan.people[self.plan.turns[0].person]


@dataclass(frozen=True)
class _Part:
    """A slot without its sentence."""

    number: int
    kind: Kind
    task: Task
    person: int
    source: str
    target: str


def language_pairs(languages: Sequence[str]) -> list[tuple[str, str]]:
    """From English and into it, where it is among them; else every ordered pair. Empty for a single language."""
    others = [language for language in languages if language != _HUB]
    if _HUB not in languages:
        return list(permutations(languages, 2))
    return [pair for other in others for pair in ((_HUB, other), (other, _HUB))]


def plan_tier(tier: Tier, settings: BenchmarkSettings, synthesizer: Synthesizer) -> list[Slot]:
    """Slots of a tier, in order; depends on its arguments alone. Sentences come once a tier.

    Own text comes two and two, of one speaker in one language, so that one clip can lend the other its voice.

    Raises:
        WrongUse: ``platform.nothing_new_to_say`` for more items than there are sentences.
    """
    people = unheard_people(settings.people)
    taken: set[str] = set()
    slots = []
    for part in _parts(tier, settings):
        slots.append(_slot(tier, part, people, settings, synthesizer, taken))
        taken.add(slots[-1].text.code)
    return slots


def _parts(tier: Tier, settings: BenchmarkSettings) -> list[_Part]:
    items, kinds = settings.items(tier), SCENES[tier]
    pairs = language_pairs(settings.languages)
    translated = round(items * settings.translated) if pairs else 0
    own = items - translated
    rng = np.random.default_rng([settings.seed, len(kinds), 0xBE])
    languages = [settings.languages[place] for place in rng.permutation(len(settings.languages))]
    # Shuffled once, so that another seed gives other people other languages.
    people = rng.permutation(settings.people)
    parts = []
    for number in range(own):
        language = languages[number // 2 % len(languages)]
        person = int(people[number // 2 % len(people)])
        parts.append(_Part(number, kinds[number % len(kinds)], "own_text", person, language, language))
    for number in range(translated):
        source, target = pairs[number % len(pairs)]
        # One step further every time around the pairs, so that nobody keeps to one pair.
        person = int(people[(own // 2 + number + number // len(pairs)) % len(people)])
        kind = kinds[(own + number) % len(kinds)]
        parts.append(_Part(own + number, kind, "translation", person, source, target))
    return parts


def _slot(
    tier: Tier,
    part: _Part,
    people: Sequence[Person],
    settings: BenchmarkSettings,
    synthesizer: Synthesizer,
    taken: set[str],
) -> Slot:
    """The first sentence drawn that gives the clip the length it should have, else the last that was not too long."""
    rng = np.random.default_rng([settings.seed, len(SCENES[tier]), part.number, 0xBF])
    scene = _scene(tier, part, people, settings, rng)
    wanted = _LENGTHS[part.number % len(_LENGTHS)]
    found: Slot | None = None
    for _ in range(_DRAWS):
        sentence = (GridCommand if rng.random() < settings.grid_share else FreeSentence).draw(rng)
        if sentence.code in taken:
            continue
        plan = scene.model_copy(
            update={"turns": (Turn(person=scene.turns[0].person, script=sentence.script(part.source)),)}
        )
        frames = soundtrack(plan, synthesizer).frames
        if frames > _MOST_FRAMES and found is not None:
            continue  # a sentence that is too long is better than none, and worse than any other
        found = Slot(plan, part.task, sentence.script(part.target))
        if length_class(frames / FRAME_RATE) == wanted and frames <= _MOST_FRAMES:
            break
    if found is None:
        raise WrongUse(
            "platform.nothing_new_to_say",
            f"{len(taken)} items have said nearly everything there is to say.",
            "Ask for fewer items, or a larger grid_share.",
        )
    return found


def _scene(
    tier: Tier, part: _Part, people: Sequence[Person], settings: BenchmarkSettings, rng: np.random.Generator
) -> ClipPlan:
    """The clip without its sentence (it has a stand-in); of two people one speaks and the other listens."""
    person = people[part.person]
    cast: tuple[Person, ...] = (person,)
    speaks = 0
    if part.kind == "two_speakers":
        listener = people[(part.person + 1 + int(rng.integers(len(people) - 1))) % len(people)]
        speaks = int(rng.integers(2))
        cast = (listener, person) if speaks else (person, listener)
    name = f"{part.number:03d}_{'standard' if part.kind == 'plain' else part.kind}_{part.source}"
    # The n-th clip of a kind in turn, so that a few clips already show every occluder and every creature.
    turn = part.number // len(SCENES[tier]) + settings.seed
    return ClipPlan(
        id=f"{person.speaker}/{name}",
        kind=part.kind,
        split="test",
        seed=int(rng.integers(2**31)),
        size=settings.size,
        sample_rate=settings.sample_rate,
        crf=settings.crf,
        people=cast,
        turns=(Turn(person=speaks, script=GridCommand.draw(rng).script(part.source)),),
        least_frames=_LEAST_FRAMES,
        is_grid=False,  # lasts as long as its sentence
        switch_gap_s=1.0,
        yaw=float(rng.uniform(*_PROFILE_YAW)) * (1 if rng.random() < 0.5 else -1) if part.kind == "profile" else 0.0,
        occluder=_OCCLUDERS[turn % len(_OCCLUDERS)] if part.kind == "occluded" else "none",
        figure=CREATURES[turn % len(CREATURES)] if part.kind == "non_human" else "human",
    )
