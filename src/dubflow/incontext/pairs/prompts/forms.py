"""Prompts as texts: the paper's full form, and a compact one for small bases that read 256 letters.

Compact, version 1: ``a man, deep voice. en 0.0-1.4: "bin blue" | fr 1.9-3.3: "pose bleu"``. Who speaks, a stop, then
the segments parted by bars; times may be missing. Full: the example of JUST-DUB-IT's Sec. A.1. What each form tells,
:func:`parse` gives back.
"""

from __future__ import annotations

import re
from typing import Any, Literal

from pydantic import ValidationError

from dubflow.errors import BadInput
from dubflow.incontext.pairs.prompts.structure import Kind, Language, Prompt, Segment, bad_prompt, shortened
from dubflow.incontext.prompts import LANGUAGES as NAMES

Form = Literal["full", "compact"]

_PRONOUNS: dict[Kind, str] = {"man": "He", "woman": "She", "child": "They", "robot": "It", "person": "They"}
_SPEAK = {"He": "speaks", "She": "speaks", "It": "speaks", "They": "speak"}
_CODES = {name: code for code, name in NAMES.items()}
_DASH = "–"

_COMPACT = re.compile(r"a (?P<kind>[a-z]+)(?:, (?P<voice>[^.]+))?\. (?P<segments>.+)")
_COMPACT_SEGMENT = re.compile(r'(?P<language>[a-z]{2})(?: (?P<start>\d+\.\d)-(?P<end>\d+\.\d))?: "(?P<text>[^"]+)"')
_TIME = r"\d{2}:\d{2}(?:\.\d)?"
_HEAD = re.compile(
    r"(?:(?P<style>[^.]+)\. )??(?:Shot in (?P<scene>[^.]+?)(?: with (?P<light>(?:(?! with )[^.])+))?\. )?"
    r"(?:(?P<name>[^,.]+) is a|A) (?P<kind>[a-z]+)(?:, (?P<description>[^.]+?))??(?:, with a (?P<voice>[^.]+))?\. "
    r"(?=At \[|(?:[^.“\[]+\. )?(?:He|She|They|It) speaks? in )"
)
_SEGMENT = re.compile(
    rf"(?:At \[(?P<start>{_TIME}){_DASH}(?P<end>{_TIME})\]: )?(?:(?P<action>[^.“\[]+)\. )?"
    r"(?:He|She|They|It) speaks? in (?P<language>\w+), saying: “(?P<text>[^”]+)”"
)
_PAUSE = re.compile(rf" At \[{_TIME}{_DASH}{_TIME}\]: SILENT PAUSE\.(?: (?P<pause>[^.\[]+)\.)? ")


def render(prompt: Prompt, form: Form = "full") -> str:
    """The text that a model reads."""
    return _compact(prompt) if form == "compact" else _full(prompt)


def compact_segment(language: str, text: str, start: float | None = None, end: float | None = None) -> str:
    """One segment of the compact form, for whoever has exact times and no prompt."""
    times = "" if start is None or end is None else f" {start:.1f}-{end:.1f}"
    return f'{language}{times}: "{text}"'


def compact_look(kind: str, voice: str = "") -> str:
    """Who speaks, in the compact form, without its stop."""
    return f"a {kind}, {voice}" if voice else f"a {kind}"


def seen(prompt: Prompt) -> str:
    """What is to be seen, without what is said: for whoever looks at a clip. Empty where the prompt tells no scene."""
    if not prompt.scene and not prompt.speaker.description:
        return ""
    actions = (one for one in (*(segment.action for segment in prompt.segments), prompt.pause) if one)
    return " ".join([_head(prompt), *(f"{action}." for action in actions)])


def parse(text: str) -> Prompt:
    """The prompt that a text of either form tells; the compact form tells no scene and no actions.

    Raises:
        BadInput: ``incontext.bad_prompt`` naming what cannot be read.
    """
    try:
        # Only the full form has these marks, and always: no phrase and no text of a prompt may.
        return Prompt.model_validate(_read_full(text) if "“" in text else _read_compact(text))
    except ValidationError as error:
        raise bad_prompt(text, error) from error


def _compact(prompt: Prompt) -> str:
    said = (compact_segment(one.language, one.text, one.start, one.end) for one in prompt.segments)
    return f"{compact_look(prompt.speaker.kind, prompt.speaker.voice)}. {' | '.join(said)}"


def _read_compact(text: str) -> dict[str, Any]:
    found = _COMPACT.fullmatch(text)
    if found is None:
        raise _unreadable(text)
    segments, rest = [], found["segments"]
    while rest:
        one = _COMPACT_SEGMENT.match(rest)
        after = "" if one is None else rest[one.end() :]
        if one is None or (after and (not after.startswith(" | ") or after == " | ")):
            raise _unreadable(rest)
        segments.append({name: value for name, value in one.groupdict().items() if value is not None})
        rest = after[3:]
    return {"speaker": {"kind": found["kind"], "voice": found["voice"] or ""}, "segments": segments}


def _full(prompt: Prompt) -> str:
    parts = [_head(prompt)]
    for place, segment in enumerate(prompt.segments):
        if place:
            parts.append(_silence(prompt))
        parts.append(_said(segment, _PRONOUNS[prompt.speaker.kind]))
    return " ".join(parts)


def _head(prompt: Prompt) -> str:
    parts, speaker = [], prompt.speaker
    if prompt.style:
        parts.append(f"{prompt.style}.")
    if prompt.scene:
        parts.append(f"Shot in {prompt.scene}{f' with {prompt.light}' if prompt.light else ''}.")
    who = f"{speaker.name} is a {speaker.kind}" if speaker.name else f"A {speaker.kind}"
    looks = f", {speaker.description}" if speaker.description else ""
    sounds = f", with a {speaker.voice}" if speaker.voice else ""
    return " ".join([*parts, f"{who}{looks}{sounds}."])


def _said(segment: Segment, pronoun: str) -> str:
    times = "" if segment.start is None or segment.end is None else f"{_span(segment.start, segment.end)}: "
    action = f"{segment.action}. " if segment.action else ""
    return f"{times}{action}{pronoun} {_SPEAK[pronoun]} in {NAMES[segment.language]}, saying: “{segment.text}”"


def _silence(prompt: Prompt) -> str:
    assert prompt.silence is not None  # two segments
    return f"{_span(*prompt.silence)}: SILENT PAUSE.{f' {prompt.pause}.' if prompt.pause else ''}"


def _span(start: float, end: float) -> str:
    return f"At [{_clock(start)}{_DASH}{_clock(end)}]"


def _clock(seconds: float) -> str:
    tenths = round(seconds * 10)
    whole, rest = divmod(tenths, 10)
    return f"{whole // 60:02d}:{whole % 60:02d}{f'.{rest}' if rest else ''}"


def _seconds(clock: str | None) -> float | None:
    if clock is None:
        return None
    minutes, seconds = clock.split(":")
    return int(minutes) * 60 + float(seconds)


def _read_full(text: str) -> dict[str, Any]:
    head = _HEAD.match(text)
    if head is None:
        raise _unreadable(text)
    found = {name: value or "" for name, value in head.groupdict().items()}
    first = _SEGMENT.match(text, head.end())
    if first is None:
        raise _unreadable(text[head.end() :])
    content: dict[str, Any] = {
        "speaker": {
            "kind": found["kind"],
            "voice": found["voice"],
            "name": found["name"] or None,
            "description": found["description"],
        },
        "style": found["style"],
        "scene": found["scene"],
        "light": found["light"],
        "segments": [_segment(first)],
    }
    if first.end() == len(text):
        return content
    pause = _PAUSE.match(text, first.end())
    second = pause and _SEGMENT.fullmatch(text, pause.end())
    if pause is None or second is None:
        raise _unreadable(text[first.end() :])
    return content | {"pause": pause["pause"] or "", "segments": [*content["segments"], _segment(second)]}


def _segment(found: re.Match[str]) -> dict[str, Any]:
    language: Language | str = _CODES.get(found["language"], found["language"])
    return {
        "language": language,
        "text": found["text"],
        "action": found["action"] or "",
        "start": _seconds(found["start"]),
        "end": _seconds(found["end"]),
    }


def _unreadable(rest: str) -> BadInput:
    return BadInput(
        "incontext.bad_prompt",
        f"The prompt cannot be read from {shortened(rest)!r} on.",
        "Prompts have the full or the compact form; see docs/incontext.md.",
    )
