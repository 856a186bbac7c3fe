"""A set of prompts to make clips of: language switches alone, each once, counted."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from pydantic import Field

from dubflow.config import Strict
from dubflow.incontext.pairs.prompts.content import prompt_id
from dubflow.incontext.pairs.prompts.structure import Prompt


class PromptReport(Strict):
    """What became of the prompts that were given."""

    given: int = Field(ge=0)
    kept: int = Field(ge=0)
    duplicates: int = Field(ge=0, description="Said before, but for case, stops and times.")
    refused: dict[str, int] = Field(description="Reasons of those that no pair can be made of, counted.")
    switches: dict[str, int] = Field(description="Kept prompts by languages, such as `en-fr`.")
    speakers: dict[str, int] = Field(description="Kept prompts by kind of speaker.")
    seconds: float = Field(ge=0, description="Length of all clips together.")


def why_unusable(prompt: Prompt) -> str | None:
    """Why no pair can be made of a valid prompt; None where one can."""
    if len(prompt.segments) != 2:
        return "one segment"
    if not prompt.is_switch:
        return "no language switch"
    if any(segment.translation is None for segment in prompt.segments):
        return "no translation"
    return None


def gathered(prompts: Iterable[Prompt]) -> tuple[tuple[Prompt, ...], PromptReport]:
    """The usable prompts, each once, in the order given, and what became of the others."""
    kept: dict[str, Prompt] = {}
    refused: Counter[str] = Counter()
    given = duplicates = 0
    for prompt in prompts:
        given += 1
        reason = why_unusable(prompt)
        if reason is not None:
            refused[reason] += 1
            continue
        key = prompt_id(prompt)
        if key in kept:
            duplicates += 1
        kept.setdefault(key, prompt)
    usable = tuple(kept.values())
    report = PromptReport(
        given=given,
        kept=len(usable),
        duplicates=duplicates,
        refused=dict(sorted(refused.items())),
        switches=_counted("-".join(segment.language for segment in one.segments) for one in usable),
        speakers=_counted(one.speaker.kind for one in usable),
        seconds=sum((one.clip_frames or 0) for one in usable) / 25,
    )
    return usable, report


def _counted(names: Iterable[str]) -> dict[str, int]:
    return dict(sorted(Counter(names).items()))
