"""What a check of Dockerfiles is, and what several of them look with."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from dubflow.platform.images.dockerfile import Dockerfile, Instruction, Stage
from dubflow.platform.images.shell import commands
from dubflow.platform.preflight.findings import Rule

Found = Iterator[tuple[int, str]]
"""Lines, and what is wrong there."""


@dataclass(frozen=True)
class Check:
    """A rule, how it is looked for, and what to do where it is broken."""

    rule: Rule
    look: Callable[[Dockerfile], Found]
    hint: str


def rule(name: str, asks: str, why: str, hint: str) -> Callable[[Callable[[Dockerfile], Found]], Check]:
    """Makes a check of the function that it stands above."""
    return lambda look: Check(Rule(f"image.{name}", asks, why), look, hint)


def runs(stages: list[Stage]) -> Iterator[Instruction]:
    """Every RUN of some stages."""
    return (one for stage in stages for one in stage.of("RUN"))


def shell(one: Instruction) -> str:
    """What a RUN hands to the shell, its heredoc included."""
    if one.listed is not None:
        return " ".join(one.listed)
    return f"{one.text}\n{one.body}" if one.body else one.text


def every_command(file: Dockerfile) -> Iterator[tuple[Instruction, list[str]]]:
    """The words of every command of every RUN."""
    return ((one, words) for one in runs(list(file.stages)) for words in commands(shell(one)))


def argument_names(one: Instruction) -> list[str]:
    """What ARG, ENV or LABEL names."""
    return [word.partition("=")[0] for word in one.words] if one.word == "ARG" else list(one.pairs)


def is_apt_install(words: list[str]) -> bool:
    """Whether a command installs Debian's packages."""
    return words[0] == "apt-get" and "install" in words


def apt_packages(one: Instruction) -> list[str]:
    """Those that a RUN installs, with their versions."""
    found = [words for words in commands(shell(one)) if is_apt_install(words)]
    return [word for words in found for word in words[words.index("install") + 1 :] if not word.startswith("-")]
