"""What happens in each clip, decided before anything is spoken or drawn.

A :class:`ClipPlan` holds everything a clip is made from; making it twice gives the same bytes. Plans depend on the
seed, the settings, the languages and the clip's own place (identity and number) only, so a corpus can grow: more
identities or more clips leave the earlier plans as they were.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Final

import numpy as np
from pydantic import Field

from dubflow.config import Strict
from dubflow.corpora.manifest import Split
from dubflow.errors import WrongUse
from dubflow.talkers.events import EVENT_KINDS, EventKind, SoundEvent
from dubflow.talkers.look import CREATURES, Figure, Look, Presentation
from dubflow.talkers.phrasebook import phrasebook
from dubflow.talkers.scripts import FreeSentence, GridCommand, Script, WordSalad
from dubflow.talkers.settings import Kind, TalkerSettings
from dubflow.talkers.voices import SpeakerVoice, voice_of

WORLD_VERSION: Final = "2"
"""Raised when equal plans no longer give equal clips; part of every digest."""

FRAME_RATE: Final = 25
GRID_FRAMES: Final = 75
_EARLIEST_EVENT, _LATEST_EVENT = 4, 60
_SPLIT_ORDER: Final[tuple[Split, ...]] = ("train", "train", "val", "test", *("train",) * 6)
_DRAWS: Final = 1000
_GOLDEN: Final = 0.6180339887498949
_SILVER: Final = 0.4142135623730951
_PROFILE_YAW: Final = (0.6, 0.78)
_OCCLUDERS: Final = ("mask", "microphone", "cup", "hand")


class Person(Strict):
    """Somebody of the embedded world: one look, one voice, one temperament."""

    speaker: str = Field(description="Id: s1, s2, … and g1, g2, … for those who only appear beside them.")
    look_seed: int = Field(ge=0)
    presentation: Presentation
    voice: SpeakerVoice
    temperament: int = Field(ge=0, description="Seed of the person's habits: rest pose, blink rate, liveliness.")

    def look(self) -> Look:
        """How the person looks."""
        return Look.from_seed(self.look_seed, self.presentation)


class Turn(Strict):
    """One person says one sentence."""

    person: int = Field(ge=0, description="Index into the plan's people.")
    script: Script


class PlannedEvent(Strict):
    """A sound event on its frame."""

    kind: EventKind
    frame: int = Field(ge=0)

    def sound_event(self) -> SoundEvent:
        """As the painter and the mixer want it."""
        return SoundEvent(self.kind, self.frame)


class ClipPlan(Strict):
    """Everything that a clip is made from.

    A ``language_switch`` has two turns of one person in two languages. Its clip has ``2 (8k + 1)`` frames: each half
    holds one language and has the 8k + 1 frames (25 fps) that LTX-2's video codec takes; the middle of the clip lies
    in a silence of at least ``switch_gap_s`` seconds (JUST-DUB-IT, A.1: speech, silent pause, speech).
    """

    id: str
    kind: Kind
    split: Split
    seed: int = Field(ge=0, description="Motion, light, background and the sounds of events.")
    size: int
    sample_rate: int
    crf: int
    voices_only: bool = Field(
        default=False,
        exclude_if=lambda value: value is False,  # what is drawn has the digest it had before there was a choice
        description="Spoken and not drawn.",
    )
    people: tuple[Person, ...] = Field(min_length=1, max_length=2)
    turns: tuple[Turn, ...] = Field(min_length=1, max_length=3)
    least_frames: int = Field(ge=1, description="The clip is as long as the speech needs, and at least this long.")
    is_grid: bool = Field(description="Says GRID commands: kept to ``least_frames`` by speaking faster where possible.")
    switch_gap_s: float
    yaw: float = Field(0.0, description="Radians the head is turned by throughout (profile).")
    occluder: str = Field("none", description="What hides a part of the face.")
    figure: Figure = Field(
        default="human",
        exclude_if=lambda value: value == "human",  # plans keep the digests they had before there were others
        description="As what the people are drawn.",
    )
    events: tuple[PlannedEvent, ...] = ()

    @property
    def picture_size(self) -> tuple[int, int]:
        """Height and width in pixels; half as wide again for two speakers."""
        return self.size, (3 * self.size // 4 * 2 if self.kind == "two_speakers" else self.size)

    @property
    def digest(self) -> str:
        """SHA-256 over the plan and the version of the world: equal digests, equal clips."""
        return hashlib.sha256(f"{WORLD_VERSION}\n{self.model_dump_json()}".encode()).hexdigest()


def split_of(identity: int) -> Split:
    """The split of an identity (from 0): of ten, the third is val, the fourth is test, the others train.

    The rule looks at nothing but the identity's number, so a growing corpus never moves a speaker; fewer than three
    identities give no val, fewer than four no test.
    """
    return _SPLIT_ORDER[identity % len(_SPLIT_ORDER)]


def person_of(identity: int, seed: int, *, guest: bool = False) -> Person:
    """An identity of the world of ``seed``, or the guest who appears beside it in two-speaker clips and nowhere else.

    Feminine and masculine presentations alternate; the voice follows.
    """
    feminine = (identity % 2 == 0) != guest
    presentation: Presentation = "feminine" if feminine else "masculine"
    rng = np.random.default_rng([seed, identity, int(guest), 0xA11])
    # Guests take their voices from another shuffle, so that they do not use up the distinct ones.
    voice = voice_of(identity // 2, presentation, 2 * seed + int(guest))
    return Person(
        speaker=f"{'g' if guest else 's'}{identity + 1}",
        look_seed=int(np.random.default_rng([seed, 0xFACE]).integers(2**30)) + 2 * identity + int(guest),
        presentation=presentation,
        voice=voice,
        temperament=int(rng.integers(2**31)),
    )


def plan_corpus(
    *, identities: int, clips: int, languages: Sequence[str], seed: int, settings: TalkerSettings | None = None
) -> list[ClipPlan]:
    """Plans of ``identities`` times ``clips`` clips, identity by identity.

    Raises:
        WrongUse: ``talkers.nothing_to_render``, ``talkers.unknown_language``, ``talkers.one_language`` when a language
            switch is asked for and only one language given, ``talkers.bad_seed``.
    """
    settings = settings or TalkerSettings()
    if identities < 1 or clips < 1 or not languages:
        raise WrongUse(
            "talkers.nothing_to_render",
            f"{identities} identities with {clips} clips in {len(languages)} languages make no corpus.",
            "Ask for at least one of each.",
        )
    if seed < 0:
        raise WrongUse("talkers.bad_seed", f"A seed is a whole number from 0, not {seed}.")
    spoken = tuple(dict.fromkeys(languages))
    for language in spoken:
        phrasebook(language)
    if len(spoken) == 1 and set(settings.mix) == {"language_switch"}:
        raise WrongUse(
            "talkers.one_language",
            "A clip cannot switch language when there is only one.",
            "Give two languages or more.",
        )
    plans: list[ClipPlan] = []
    for identity in range(identities):
        taken: set[str] = set()
        for number in range(clips):
            plans.append(_plan_clip(identity, number, spoken, seed, settings, taken))
            taken.add(plans[-1].id)
    return plans


def _plan_clip(
    identity: int, number: int, languages: tuple[str, ...], seed: int, settings: TalkerSettings, taken: set[str]
) -> ClipPlan:
    person = person_of(identity, seed)
    kind = _kind(identity, number, seed, settings, several_languages=len(languages) > 1)
    language = languages[(identity + number) % len(languages)]
    rng = np.random.default_rng([seed, identity, number, 0xC11])
    people: tuple[Person, ...] = (person,)
    voices: tuple[int, ...] = (0,)
    spoken: tuple[str, ...] = (language,)
    if kind == "two_speakers":
        people = (person, person_of(identity, seed, guest=True))
        voices = (0, 1) if rng.random() < 0.6 else (0, 1, 0)
        spoken = (language,) * len(voices)
    elif kind == "language_switch":
        other = languages[(languages.index(language) + 1 + int(rng.integers(len(languages) - 1))) % len(languages)]
        voices, spoken = (0, 0), (language, other)
    clip_id, is_grid, turns = _free_id(person.speaker, kind, voices, spoken, settings, rng, taken)
    return ClipPlan(
        id=clip_id,
        kind=kind,
        split=split_of(identity),
        seed=int(rng.integers(2**31)),
        size=settings.size,
        sample_rate=settings.sample_rate,
        crf=settings.crf,
        voices_only=settings.voices_only,
        people=people,
        turns=turns,
        least_frames=GRID_FRAMES,
        is_grid=is_grid,
        switch_gap_s=settings.switch_gap_s,
        yaw=float(rng.uniform(*_PROFILE_YAW)) * (1 if rng.random() < 0.5 else -1) if kind == "profile" else 0.0,
        occluder=_OCCLUDERS[int(rng.integers(len(_OCCLUDERS)))] if kind == "occluded" else "none",
        events=_events(rng, settings.event_share),
        figure=CREATURES[int(rng.integers(len(CREATURES)))] if kind == "non_human" else "human",
    )


def _kind(identity: int, number: int, seed: int, settings: TalkerSettings, *, several_languages: bool) -> Kind:
    # A Kronecker sequence instead of independent draws: a few clips already come near the shares asked for.
    weights = {kind: weight for kind, weight in settings.mix.items() if several_languages or kind != "language_switch"}
    start = np.random.default_rng([seed, 0x17D]).random()
    place = (start + number * _GOLDEN + identity * _SILVER) % 1.0 * sum(weights.values())
    for kind, weight in weights.items():
        if place < weight:
            return kind
        place -= weight
    return next(reversed(weights))


def _free_id(
    speaker: str,
    kind: Kind,
    voices: tuple[int, ...],
    spoken: tuple[str, ...],
    settings: TalkerSettings,
    rng: np.random.Generator,
    taken: set[str],
) -> tuple[str, bool, tuple[Turn, ...]]:
    """Sentences whose clip id is not taken yet: ``s1/bbaf2n``, ``s1/bbaf2n_fr``, ``s1/s0b72_en-fr_language_switch``."""
    for _ in range(_DRAWS):
        place = rng.random()
        is_grid = bool(place < settings.grid_share)
        is_salad = not is_grid and bool(place >= 1.0 - settings.salad_share)
        grammar = GridCommand if is_grid else WordSalad if is_salad else FreeSentence
        sentences = [grammar.draw(rng) for _ in voices]
        turns = tuple(
            Turn(person=voice, script=sentence.script(language))
            for voice, sentence, language in zip(voices, sentences, spoken, strict=True)
        )
        languages = "-".join(dict.fromkeys(spoken))
        clip_id = f"{speaker}/{sentences[0].code}"
        clip_id += f"_{languages}" if languages != "en" else ""
        clip_id += f"_{kind}" if kind != "plain" else ""
        if clip_id not in taken:
            return clip_id, is_grid, turns
    raise WrongUse(
        "talkers.nothing_new_to_say",
        f"{speaker} has said nearly everything there is to say ({len(taken)} clips).",
        "Ask for fewer clips an identity and more identities, more languages, or a larger grid_share.",
    )


def _events(rng: np.random.Generator, share: float) -> tuple[PlannedEvent, ...]:
    if rng.random() >= share:
        return ()
    count = 1 + int(rng.random() < 0.3)
    frames = np.sort(rng.choice(np.arange(_EARLIEST_EVENT, _LATEST_EVENT), size=count, replace=False))
    kinds = [EVENT_KINDS[int(rng.integers(len(EVENT_KINDS)))] for _ in frames]
    return tuple(PlannedEvent(kind=kind, frame=int(frame)) for kind, frame in zip(kinds, frames, strict=True))
