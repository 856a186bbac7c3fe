"""A prompt as a value: who speaks, where, in which light, and what is said when in which language.

JUST-DUB-IT (Sec. A.1): a prompt states the look, timed segments and an explicit language switch with a silent pause.
Models read text: :mod:`dubflow.incontext.pairs.prompts.forms` renders a prompt and reads it back. What a text could not
tell back (a quotation mark inside what is said) is refused here, with a reason.
"""

from __future__ import annotations

import math
import re
from typing import Annotated, Literal, Self, get_args

from pydantic import AfterValidator, Field, ValidationError, model_validator

from dubflow.config import Strict
from dubflow.errors import BadInput

Language = Literal["en", "es", "ru", "fr", "de", "it", "el"]
LANGUAGES: tuple[Language, ...] = get_args(Language)
Kind = Literal["man", "woman", "child", "robot", "person"]

FRAME_RATE = 25
LONGEST_S = 20.0
"""Where the positions of LTX-2 end (facts C1, 15)."""
SHORTEST_PAUSE_S = 0.4
"""Between two segments: shorter ones are hardly told from the closure of a plosive."""
FASTEST: dict[Language, float] = {"en": 26.0, "es": 24.0, "ru": 28.0, "fr": 31.0, "de": 25.0, "it": 23.0, "el": 24.0}
"""Letters a second that can still be said, stops and spaces included: a tenth above the fastest that the talkers'
voices said of their phrases at 170 words a minute. The paper's example has 20.5 in French and 19 in English."""

_PHRASE = re.compile(r'(?:[^\W_](?:[^.!?"“”|\[\]\x00-\x1f\x7f]*[^\W_])?)?')
_SAID = re.compile(r'[^"“”\x00-\x1f\x7f]+')
_NAME = re.compile(r"[^\W\d_][\w '’-]{0,39}")


def _phrase(value: str) -> str:
    if not _PHRASE.fullmatch(value) or value != " ".join(value.split()):
        raise ValueError(
            "must be part of one sentence from letter to letter: no stops, quotation marks, brackets or double spaces"
        )
    return value


def _said(value: str) -> str:
    if not _SAID.fullmatch(value) or value != " ".join(value.split()) or not any(map(str.isalnum, value)):
        raise ValueError("must be words on one line without quotation marks and double spaces")
    return value


def _light(value: str) -> str:
    if " with " in f" {value} ":
        raise ValueError("stands behind `with` in the text, so it cannot hold that word")
    return value


def _style(value: str) -> str:
    if value.startswith("Shot in "):
        raise ValueError("`Shot in` begins the scene in the text")
    return value


def _name(value: str) -> str:
    if not _NAME.fullmatch(value) or value != " ".join(value.split()):
        raise ValueError("must be a name: letters, spaces, hyphens and apostrophes")
    return value


def _tenth(value: float) -> float:
    if not math.isfinite(value) or abs(round(value, 1) - value) > 1e-6:
        raise ValueError("times are told in tenths of a second")
    return round(value, 1)


Phrase = Annotated[str, AfterValidator(_phrase)]
Said = Annotated[str, AfterValidator(_said)]
Seconds = Annotated[float, AfterValidator(_tenth)]


class Speaker(Strict):
    """Who speaks."""

    kind: Kind = "person"
    voice: Annotated[Phrase, Field(max_length=40)] = Field("", description="A few words, such as `deep voice`.")
    name: Annotated[str, AfterValidator(_name)] | None = Field(None, description="None for nobody in particular.")
    description: Phrase = Field("", description="What one sees, after the name.")

    @model_validator(mode="after")
    def _told_apart(self) -> Self:
        if self.description.startswith("with ") or ", with " in self.description:
            raise ValueError("description: `, with` begins the voice in the text; say it otherwise")
        return self


class Segment(Strict):
    """Something said, in one language."""

    language: Language
    text: Said = Field(max_length=400)
    start: Seconds | None = Field(None, ge=0, description="Seconds from the clip's start; None without times.")
    end: Seconds | None = Field(None, gt=0)
    action: Phrase = Field("", description="What one sees meanwhile: a sentence without its stop.")
    translation: Said | None = Field(
        None, max_length=400, description="The same in the other segment's language: what the half is re-spoken with."
    )

    @model_validator(mode="after")
    def _runs_forward(self) -> Self:
        if (self.start is None) != (self.end is None):
            raise ValueError("start and end: give both or neither")
        if self.start is not None and self.end is not None:
            if self.end <= self.start:
                raise ValueError(f"end ({self.end:.1f} s) is not after start ({self.start:.1f} s)")
            _check_rate(self.text, self.language, self.end - self.start)
        return self

    @property
    def timed(self) -> bool:
        """Whether it has times."""
        return self.start is not None


class Prompt(Strict):
    """What a clip is to show and say: one segment, or two with a silent pause between them."""

    speaker: Speaker = Speaker.model_validate({})
    style: Annotated[Phrase, AfterValidator(_style)] = Field("", description="Of the picture; only with a scene.")
    scene: Phrase = Field("", description="Where it is, with its article: `a rainy alleyway at midnight`.")
    light: Annotated[Phrase, AfterValidator(_light)] = Field("", description="Only with a scene.")
    segments: tuple[Segment, ...] = Field(min_length=1, max_length=2)
    pause: Phrase = Field("", description="What one sees in the silent pause: a sentence without its stop.")
    frames: int | None = Field(None, description="Length of the clip at 25 fps, 8k + 1; None for as many as needed.")

    @model_validator(mode="after")
    def _is_a_timeline(self) -> Self:
        # Without a scene nothing in the text would tell a style from an action, or light from the scene itself.
        if (self.light or self.style) and not self.scene:
            raise ValueError("light and style: need a scene")
        if " with " in self.scene and not self.light:
            raise ValueError("scene: behind `with` stands the light; give it apart")
        if self.pause and len(self.segments) == 1:
            raise ValueError("pause: needs two segments")
        if len(self.segments) == 2:
            self._check_pause(*self.segments)
        if self.end is not None and self.end > LONGEST_S:
            raise ValueError(f"segments: end at {self.end:.1f} s; LTX-2 knows {LONGEST_S:.0f} s")
        if self.frames is not None:
            self._check_frames(self.frames)
        return self

    def _check_pause(self, first: Segment, second: Segment) -> None:
        if first.end is None or second.start is None or second.end is None:
            raise ValueError("segments: two need times")
        if second.start < first.end:
            raise ValueError(f"segments: the second starts at {second.start:.1f} s, before the first has ended")
        if second.start - first.end < SHORTEST_PAUSE_S - 1e-6:
            raise ValueError(
                f"segments: a pause of {second.start - first.end:.1f} s is too short; {SHORTEST_PAUSE_S:.1f} at least"
            )
        for own, other in ((first, second), (second, first)):
            if own.translation is not None and own.start is not None and own.end is not None:
                _check_rate(own.translation, other.language, own.end - own.start)

    def _check_frames(self, frames: int) -> None:
        if frames < 9 or (frames - 1) % 8:
            raise ValueError(f"frames: {frames} is not 8k + 1")
        # A frame less is allowed: the paper's ten seconds are 249 frames.
        if self.end is not None and frames + 1 < self.end * FRAME_RATE - 1e-6:
            raise ValueError(f"frames: {frames} end before the last segment does ({self.end:.1f} s)")

    @property
    def end(self) -> float | None:
        """Second at which the last segment ends; None without times."""
        return self.segments[-1].end

    @property
    def is_switch(self) -> bool:
        """Whether the language changes within the clip."""
        return len(self.segments) == 2 and self.segments[0].language != self.segments[1].language

    @property
    def silence(self) -> tuple[float, float] | None:
        """Start and end of the silent pause, seconds; None for one segment."""
        if len(self.segments) == 1:
            return None
        start, end = self.segments[0].end, self.segments[1].start
        return None if start is None or end is None else (start, end)

    @property
    def switch_s(self) -> float | None:
        """Second at which the language is to change: the middle of the silent pause."""
        return None if self.silence is None else sum(self.silence) / 2

    @property
    def clip_frames(self) -> int | None:
        """Frames of the clip, 8k + 1: as stated, or the fewest that reach the last end; None without times."""
        if self.frames is not None or self.end is None:
            return self.frames
        return max(9, -(-(math.ceil(self.end * FRAME_RATE - 1e-6) - 1) // 8) * 8 + 1)

    def saying(self, place: int, text: str, language: str) -> Prompt:
        """The same prompt with another text in segment ``place`` (0 or 1): a re-spoken half.

        Raises:
            BadInput: ``incontext.bad_prompt`` for what cannot be said in the time.
        """
        changed = [segment.model_dump() for segment in self.segments]
        changed[place] |= {"text": text, "language": language, "translation": None}
        try:
            return Prompt.model_validate(self.model_dump() | {"segments": changed})
        except ValidationError as error:
            raise bad_prompt(text, error) from error


def bad_prompt(text: str, error: ValidationError) -> BadInput:
    """The refusal of a prompt, with the first reason."""
    first = error.errors()[0]
    where = ".".join(map(str, first["loc"]))
    reason = first["msg"].removeprefix("Value error, ")
    return BadInput(
        "incontext.bad_prompt",
        f"The prompt {shortened(text)!r} is refused: {f'{where}: ' if where else ''}{reason}.",
        "Correct it, or leave it out.",
    )


def shortened(text: str) -> str:
    """``text``, or its beginning where it is long."""
    return text if len(text) <= 60 else f"{text[:57]}..."


def _check_rate(text: str, language: Language, seconds: float) -> None:
    most = FASTEST[language] * seconds
    if len(text) > most:
        raise ValueError(
            f"text: {len(text)} letters of {language} in {seconds:.1f} s; {FASTEST[language]:.0f} a second can be said"
        )
