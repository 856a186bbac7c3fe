"""Prompts by a language model that is talked to, as the paper had Gemini write them (Sec. A.1).

What the model answers is data: it is read as JSON, every prompt is checked like one from a file, and what is refused is
counted by its reason and told to the model in the next request. A model that answers badly costs requests, never a bad
prompt.
"""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from pydantic import Field

from dubflow.config import Strict
from dubflow.errors import BadInput, WrongUse
from dubflow.incontext.pairs.chat import ChatModel, Message
from dubflow.incontext.pairs.prompts.content import prompt_id
from dubflow.incontext.pairs.prompts.files import prompt_of
from dubflow.incontext.pairs.prompts.sets import why_unusable
from dubflow.incontext.pairs.prompts.structure import FASTEST, LANGUAGES, SHORTEST_PAUSE_S, Language, Prompt
from dubflow.incontext.prompts import LANGUAGES as NAMES

_EXAMPLE: dict[str, Any] = {
    "speaker": {"kind": "woman", "name": "Eleanor", "voice": "low voice", "description": "a detective in a wet coat"},
    "style": "Hyper-realistic 8k, sharp focus, neutral lighting",
    "scene": "a rainy alleyway at midnight",
    "light": "atmospheric cinematic lighting",
    "segments": [
        {
            "language": "fr",
            "start": 0.0,
            "end": 4.0,
            "action": "Eleanor looks directly at the camera, speaking with urgency",
            "text": "La situation est devenue bien trop dangereuse pour rester ici.",
            "translation": "The situation has become far too dangerous to stay here.",
        },
        {
            "language": "en",
            "start": 6.0,
            "end": 10.0,
            "action": "She lights a cigarette with shaking hands",
            "text": "I told you never to come to this part of the city after midnight.",
            "translation": "Je t'ai dit de ne jamais venir dans ce quartier de la ville après minuit.",
        },
    ],
    "pause": "She takes a deep breath",
    "frames": 249,
}
_MOST_REASONS = 3


class WriterSettings(Strict):
    """How prompts are asked for."""

    languages: tuple[Language, ...] = Field(LANGUAGES, min_length=2, description="Every pair is equally likely.")
    at_once: int = Field(5, ge=1, le=50, description="Prompts of one request.")
    in_vain: int = Field(5, ge=1, description="Requests in a row that bring nothing new, before the asking ends.")


class WriterReport(Strict):
    """What the asking brought."""

    wanted: int
    kept: int
    requests: int = Field(description="Answers asked for; a service that fails is asked more often.")
    duplicates: int
    refused: dict[str, int] = Field(description="Answers and prompts that were refused, by reason.")
    ended: str = Field(description="Why the asking ended: complete, in_vain, or budget.")


@dataclass
class _Found:
    """What was brought so far."""

    prompts: dict[str, Prompt] = field(default_factory=dict)
    refused: Counter[str] = field(default_factory=Counter)
    duplicates: int = 0
    last_reasons: list[str] = field(default_factory=list)


def written_prompts(
    chat: ChatModel, count: int, seed: int, settings: WriterSettings | None = None
) -> tuple[tuple[Prompt, ...], WriterReport]:
    """Up to ``count`` different usable prompts, and what became of everything that was answered.

    Fewer come where the budget ends or the model has nothing new; the report says which. Requests hang on ``seed``,
    answers on the model.

    Raises:
        OurFault: ``incontext.chat_failed``. WrongUse: ``incontext.chat_refused``.
    """
    settings = settings or WriterSettings.model_validate({})
    found, requests, vain, ended = _Found(), 0, 0, "complete"
    while len(found.prompts) < count:
        if vain >= settings.in_vain:
            ended = "in_vain"
            break
        before = len(found.prompts)
        try:
            answer = chat.ask(_request(min(settings.at_once, count - before), seed, requests, settings, found))
        except WrongUse as error:
            if error.code != "incontext.chat_budget":
                raise
            ended = "budget"
            break
        requests += 1
        _take(answer, count, found)
        vain = vain + 1 if len(found.prompts) == before else 0
    report = WriterReport(
        wanted=count,
        kept=len(found.prompts),
        requests=requests,
        duplicates=found.duplicates,
        refused=dict(sorted(found.refused.items())),
        ended=ended,
    )
    return tuple(found.prompts.values()), report


def _request(count: int, seed: int, number: int, settings: WriterSettings, found: _Found) -> list[Message]:
    rng = np.random.default_rng([seed, number])
    pairs = [rng.choice(len(settings.languages), size=2, replace=False) for _ in range(count)]
    switches = [" then ".join(NAMES[settings.languages[int(one)]] for one in pair) for pair in pairs]
    rates = ", ".join(f"{language} {most:.0f}" for language, most in FASTEST.items())
    task = (
        "You write prompts for a model that makes video with sound. In each clip one person speaks one language, is "
        "silent, and speaks another, in one shot. Invent people, places and light; vary them. Texts are natural and "
        "mean something; `translation` is the same text in the other segment's language. Answer with JSON alone: "
        f'{{"prompts": [...]}}, each entry with the fields of this example and no others: {json.dumps(_EXAMPLE)}. '
        f"Times are seconds with one decimal; the pause lasts at least {SHORTEST_PAUSE_S} s; `frames` is 249 (10 s). "
        f"At most so many letters a second, texts and translations alike: {rates}. Phrases other than texts have no "
        "full stops, quotation marks or brackets, `light` no word `with`; texts no quotation marks. "
        f"`kind` is one of man, woman, child, robot, person."
    )
    asked = f"Write {count} prompts. Languages, in this order: {'; '.join(switches)}."
    if found.last_reasons:
        asked += f" Of your last answer was refused: {' '.join(found.last_reasons)}"
    return [Message("system", task), Message("user", asked)]


def _take(answer: str, count: int, found: _Found) -> None:
    found.last_reasons = []
    entries = _entries(answer)
    if entries is None:
        found.refused["no JSON with prompts"] += 1
        found.last_reasons.append("it was no JSON object with a list `prompts`.")
        return
    for number, entry in enumerate(entries, 1):
        if len(found.prompts) >= count:
            found.refused["more than asked for"] += 1
            continue
        try:
            prompt = prompt_of(entry, f"prompt {number}")
        except BadInput as error:
            found.refused["not a valid prompt"] += 1
            if len(found.last_reasons) < _MOST_REASONS:
                found.last_reasons.append(error.headline)
            continue
        why = why_unusable(prompt)
        if why is not None:
            found.refused[why] += 1
            continue
        key = prompt_id(prompt)
        found.duplicates += key in found.prompts
        found.prompts.setdefault(key, prompt)


def _entries(answer: str) -> list[Any] | None:
    try:
        content = json.loads(answer)
    except (ValueError, RecursionError):
        return None
    entries = content.get("prompts") if isinstance(content, dict) and set(content) == {"prompts"} else None
    return entries if isinstance(entries, list) else None
