"""The built-in generator of prompts: a grammar and a seed. No model is asked, so every text is known to be right.

What is said comes from the talkers' phrasebooks, whose entries mean the same in all seven languages: every half knows
its exact translation. The ``n``-th prompt of a seed is the same however many are drawn.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any, NamedTuple, TypeVar

import numpy as np

from dubflow.errors import WrongUse
from dubflow.incontext.pairs.prompts.content import prompt_id
from dubflow.incontext.pairs.prompts.settings import GrammarSettings
from dubflow.incontext.pairs.prompts.structure import FRAME_RATE, Kind, Language, Prompt
from dubflow.talkers.phrasebook import SLOTS, phrasebook
from dubflow.talkers.scripts import FreeSentence, GridCommand

USUAL: dict[Language, float] = {"en": 16.0, "es": 17.0, "ru": 21.0, "fr": 22.0, "de": 15.5, "it": 17.0, "el": 16.5}
"""Letters a second of the talkers' voices, mean over 200 commands at 155 to 186 words a minute."""
_TRIES = 200
_T = TypeVar("_T")

_STYLES = (
    "Hyper-realistic 8k, sharp focus, neutral lighting",
    "Documentary footage, natural colours",
    "Cinematic close-up, shallow depth of field",
    "Studio interview, even exposure",
    "Handheld camera, fine film grain",
)
_SCENES = (
    "a rainy alleyway at midnight",
    "a quiet library",
    "a busy kitchen",
    "a small radio studio",
    "a sunny garden",
    "a train compartment",
    "a workshop full of tools",
    "an empty theatre",
    "a harbour in the morning",
    "a classroom after school",
)
_LIGHTS = (
    "atmospheric cinematic lighting",
    "soft window light",
    "warm evening sun",
    "cold neon light",
    "bright overcast daylight",
    "a single desk lamp",
)
_NAMES: dict[Kind, tuple[str, ...]] = {
    "man": ("Marcus", "Pavel", "Nikos", "Diego", "Henri", "Lorenzo", "Jonas", "Samuel"),
    "woman": ("Eleanor", "Katerina", "Lucia", "Amelie", "Irina", "Greta", "Sofia", "Naomi"),
    "child": ("Mia", "Tom", "Lena", "Niko"),
    "robot": ("Unit Seven", "Bolt", "Ada"),
    "person": ("Alex", "Robin", "Sascha", "Noa"),
}
_DESCRIPTIONS = (
    "whose appearance matches the setting",
    "in plain clothes",
    "in a dark coat",
    "in a bright scarf",
    "seen from the chest up",
    "facing the camera",
)
_ACTIONS = (
    "{name} looks directly at the camera, speaking calmly",
    "{name} leans forward a little",
    "{name} speaks with urgency",
    "{name} tilts the head and smiles",
    "{name} keeps still, hands folded",
    "{name} nods slowly",
)
_PAUSES = (
    "{name} takes a deep breath",
    "{name} closes the mouth and looks aside",
    "{name} waits in silence",
    "{name} presses the lips together and thinks",
)


class _Half(NamedTuple):
    """What is said in one half, its translation, and the seconds that the longer of the two takes."""

    text: str
    translation: str
    seconds: float


def draw_prompts(settings: GrammarSettings, seed: int, count: int) -> tuple[Prompt, ...]:
    """``count`` different prompts.

    Raises:
        WrongUse: ``incontext.grammar_exhausted`` where the settings allow fewer, or no text fits the clip's length.
    """
    found: dict[str, Prompt] = {}
    for prompt in _prompts(settings, seed):
        if len(found) >= count:
            break
        found.setdefault(prompt_id(prompt), prompt)
    else:
        raise _exhausted(f"{len(found)} of {count} different prompts")
    return tuple(found.values())


def _prompts(settings: GrammarSettings, seed: int) -> Iterator[Prompt]:
    """Prompts one after the other; ends when nothing new came for long, which the caller sees by the count."""
    seen: set[str] = set()
    number = last_new = 0
    while number - last_new < _TRIES:
        prompt = _draw(settings, np.random.default_rng([seed, number]))
        number += 1
        key = prompt_id(prompt)
        if key not in seen:
            seen.add(key)
            last_new = number
        yield prompt


def _draw(settings: GrammarSettings, rng: np.random.Generator) -> Prompt:
    first, second = rng.choice(len(settings.languages), size=2, replace=False)
    languages = settings.languages[int(first)], settings.languages[int(second)]
    kind = _one(rng, settings.kinds)
    speaker: dict[str, Any] = {"kind": kind, "voice": _one(rng, settings.voices)}
    told: dict[str, Any] = {}
    actions = ("", "")
    if settings.scenes:
        name = _one(rng, _NAMES[kind])
        speaker |= {"name": name, "description": _one(rng, _DESCRIPTIONS)}
        told = {"style": _one(rng, _STYLES), "scene": _one(rng, _SCENES), "light": _one(rng, _LIGHTS)}
        told["pause"] = _one(rng, _PAUSES).format(name=name)
        actions = _one(rng, _ACTIONS).format(name=name), _one(rng, _ACTIONS).format(name=name)
    for _ in range(_TRIES):
        pause = _tenths(rng.uniform(*settings.pause_s))
        halves = (
            _half(rng, languages[0], languages[1], settings),
            _half(rng, languages[1], languages[0], settings),
        )
        times = _times(settings, halves, pause)
        if times is not None:
            break
    else:
        raise _exhausted(f"texts that are too long for {settings.frames} frames")
    segments = [
        {
            "language": language,
            "text": half.text,
            "translation": half.translation,
            "action": action,
            "start": a,
            "end": b,
        }
        for language, half, action, (a, b) in zip(languages, halves, actions, times, strict=True)
    ]
    frames = settings.frames or _frames(times)
    return Prompt.model_validate({**told, "speaker": speaker, "segments": segments, "frames": frames})


def _half(rng: np.random.Generator, own: Language, other: Language, settings: GrammarSettings) -> _Half:
    if rng.random() < settings.command_share:
        command = GridCommand.draw(rng)
        places = int(rng.integers(settings.places[0], settings.places[1] + 1))
        text, translation = (_command(command, language, places) for language in (own, other))
    else:
        sentence = FreeSentence.draw(rng)
        text, translation = (sentence.script(language).text for language in (own, other))
    seconds = max(len(text) / USUAL[own], len(translation) / USUAL[other])
    return _Half(text, translation, _tenths(seconds * settings.pace, up=True))


def _command(command: GridCommand, language: Language, places: int) -> str:
    grid = phrasebook(language).grid
    return " ".join(getattr(grid, slot)[getattr(command, slot)] for slot in SLOTS[:places])


def _times(
    settings: GrammarSettings, halves: tuple[_Half, _Half], pause: float
) -> tuple[tuple[float, float], tuple[float, float]] | None:
    """Start and end of both segments; None where they do not fit."""
    first, second = (half.seconds for half in halves)
    if settings.frames is None:
        begin = _tenths(settings.lead_s)
    else:
        whole = settings.frames / FRAME_RATE
        begin = _tenths(whole / 2 - pause / 2) - first
        if begin < -1e-9 or begin + first + pause + second > whole:
            return None
    stops = [_tenths(begin), _tenths(begin + first), _tenths(begin + first + pause)]
    return (stops[0], stops[1]), (stops[2], _tenths(stops[2] + second))


def _frames(times: tuple[tuple[float, float], tuple[float, float]]) -> int:
    """Fewest frames, 8k + 1, of a clip whose second half has 8k + 1 frames too and says everything."""
    cut = round((times[0][1] + times[1][0]) / 2 * FRAME_RATE)
    half = _whole_latents(math.ceil(times[1][1] * FRAME_RATE) - cut)
    return _whole_latents(cut + half)


def _whole_latents(frames: int) -> int:
    return -(-(frames - 1) // 8) * 8 + 1


def _tenths(seconds: float, *, up: bool = False) -> float:
    return (math.ceil(seconds * 10 - 1e-9) if up else round(seconds * 10)) / 10


def _one(rng: np.random.Generator, listed: tuple[_T, ...]) -> _T:
    return listed[int(rng.integers(len(listed)))]


def _exhausted(what: str) -> WrongUse:
    return WrongUse(
        "incontext.grammar_exhausted",
        f"The grammar has no more than {what} under these settings.",
        "Ask for fewer, or allow more languages, voices, texts or frames.",
    )
