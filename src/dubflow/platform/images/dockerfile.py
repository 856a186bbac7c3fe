"""A Dockerfile as instructions: continued lines, comments, heredocs, stages, flags.

What is read is what our rules look at; nothing is run. The format: https://docs.docker.com/reference/dockerfile/
"""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from dubflow.errors import BadInput

WORDS = frozenset(
    {"ADD", "ARG", "CMD", "COPY", "ENTRYPOINT", "ENV", "EXPOSE", "FROM", "HEALTHCHECK", "LABEL", "RUN", "SHELL",
     "STOPSIGNAL", "USER", "VOLUME", "WORKDIR"}
)  # fmt: skip
"""Instructions that we know; ONBUILD and MAINTAINER are not among them."""
_HEREDOC = re.compile(r"<<-?(['\"]?)(\w+)\1")
_FLAG = re.compile(r"--([a-z-]+)(?:=(\S+))?\s*")
_VARIABLE = re.compile(r"\$(?:\{(\w+)(?:(:?[-+])([^}]*))?\}|(\w+))")


@dataclass(frozen=True)
class Instruction:
    """One instruction.

    Attributes:
        line: its first, from 1. word: in capitals. text: the rest without flags, continued lines joined by a space.
        flags: ``--name=value`` in front of it; several of one name in their order. body: lines of a heredoc.
    """

    line: int
    word: str
    text: str
    flags: tuple[tuple[str, str], ...] = ()
    body: str = ""

    def flag(self, name: str) -> str | None:
        """The last value of a flag; "" for one without a value."""
        return next((value for key, value in reversed(self.flags) if key == name), None)

    @property
    def listed(self) -> list[str] | None:
        """The words of the JSON form; None in the shell's form."""
        try:
            found = json.loads(self.text)
        except json.JSONDecodeError:
            return None
        return found if isinstance(found, list) and all(isinstance(one, str) for one in found) else None

    @property
    def words(self) -> list[str]:
        """The words of either form, quotes taken away."""
        if self.listed is not None:
            return self.listed
        try:
            return shlex.split(self.text)
        except ValueError:
            return self.text.split()

    @property
    def pairs(self) -> dict[str, str]:
        """Names and values of ENV, LABEL and ARG; an ARG without a value has none here."""
        words = self.words
        if self.word == "ENV" and words and "=" not in words[0]:  # the old form: ENV NAME the value
            return {words[0]: " ".join(words[1:])}
        return dict(one.split("=", 1) for one in words if "=" in one)


@dataclass(frozen=True)
class Stage:
    """From one FROM to the next.

    Attributes:
        base: as written after FROM. name: after AS, or "". instructions: with FROM first.
    """

    base: str
    name: str
    instructions: tuple[Instruction, ...] = field(repr=False)

    def of(self, *words: str) -> Iterator[Instruction]:
        """Its instructions of these words."""
        return (one for one in self.instructions if one.word in words)


@dataclass(frozen=True)
class Dockerfile:
    """All of it.

    Attributes:
        arguments: ARG before the first FROM. stages: in order; the last one is the image.
    """

    arguments: tuple[Instruction, ...]
    stages: tuple[Stage, ...]

    @property
    def instructions(self) -> tuple[Instruction, ...]:
        """Every one, in order."""
        return (*self.arguments, *(one for stage in self.stages for one in stage.instructions))

    def stage(self, name: str) -> Stage | None:
        """A stage by its name."""
        return next((one for one in self.stages if one.name and one.name == name), None)

    def lineage(self, stage: Stage) -> list[Stage]:
        """A stage and those that it stands on, itself last."""
        below = self.stage(stage.base)
        before = self.stages[: self.stages.index(stage)]
        return [*(self.lineage(below) if below is not None and below in before else []), stage]


def read_dockerfile(path: Path) -> Dockerfile:
    """Parse a file.

    Raises:
        BadInput: ``platform.bad_dockerfile`` with the line.
    """
    return parse_dockerfile(path.read_text(encoding="utf-8"))


def parse_dockerfile(text: str) -> Dockerfile:
    """Parse a text.

    Raises:
        BadInput: ``platform.bad_dockerfile`` with the line.
    """
    arguments: list[Instruction] = []
    stages: list[tuple[str, str, list[Instruction]]] = []
    for one in _instructions(text):
        if one.word == "FROM":
            words = one.words
            if len(words) not in (1, 3) or (len(words) == 3 and words[1].upper() != "AS"):
                raise _bad(one.line, "FROM is followed by an image and, at most, AS and a name")
            stages.append((words[0], words[2] if len(words) == 3 else "", [one]))
        elif stages:
            stages[-1][2].append(one)
        elif one.word == "ARG":
            arguments.append(one)
        else:
            raise _bad(one.line, f"{one.word} stands before the first FROM")
    if not stages:
        raise _bad(1, "there is no FROM")
    return Dockerfile(tuple(arguments), tuple(Stage(base, name, tuple(found)) for base, name, found in stages))


def expanded(text: str, values: Mapping[str, str]) -> str:
    """``text`` with ``$NAME``, ``${NAME}``, ``${NAME:-word}``, ``${NAME:+word}`` replaced; unknown ones are empty."""

    def value(found: re.Match[str]) -> str:
        name, sign, word = found[1] or found[4], found[2] or "", found[3] or ""
        known = values.get(name)
        there = known is not None and (known != "" or not sign.startswith(":"))
        if sign.endswith("+"):
            return word if there else ""
        return (known or "") if there or not sign else word

    return _VARIABLE.sub(value, text)


def _instructions(text: str) -> Iterator[Instruction]:
    lines = text.splitlines()
    at = 0
    while at < len(lines):
        line = lines[at].strip()
        at += 1
        if not line or line.startswith("#"):
            continue
        first, parts = at, []
        while True:
            parts.append(line.removesuffix("\\").strip())
            if not line.endswith("\\"):
                break
            while at < len(lines) and (not lines[at].strip() or lines[at].lstrip().startswith("#")):
                at += 1  # comments and empty lines within an instruction are nothing
            if at == len(lines):
                raise _bad(first, "the last line is continued")
            line = lines[at].strip()
            at += 1
        word, _, rest = " ".join(parts).partition(" ")
        if word.upper() not in WORDS:
            raise _bad(first, f"{word[:20]!r} is no instruction that is known here")
        flags, rest = _flags(rest.strip())
        body = []
        for marker in [found[2] for found in _HEREDOC.finditer(rest)] if word.upper() in ("RUN", "COPY") else []:
            while at < len(lines) and lines[at].strip() != marker:
                body.append(lines[at])
                at += 1
            if at == len(lines):
                raise _bad(first, f"{marker} is never written again")
            at += 1
        yield Instruction(first, word.upper(), rest, flags, "\n".join(body))


def _flags(text: str) -> tuple[tuple[tuple[str, str], ...], str]:
    found = []
    while match := _FLAG.match(text):
        found.append((match[1], match[2] or ""))
        text = text[match.end() :]
    return tuple(found), text


def _bad(line: int, why: str) -> BadInput:
    return BadInput("platform.bad_dockerfile", f"Line {line}: {why}.", "Correct the Dockerfile.", line=line)
