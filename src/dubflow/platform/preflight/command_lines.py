"""Whether words that a pod starts are words that our programs take: verbs, options, modules, flags."""

from __future__ import annotations

import ast
import re
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

_PYTHON = re.compile(r"python(3(\.\d+)?)?$")
_SHELLS = frozenset({"sh", "bash", "dash", "ash"})


def wrong_with(words: Sequence[str], program: Any) -> str | None:
    """What a command line of ours gets wrong; None where it is right, or another program's.

    Args:
        program: ``dubflow`` as a command of click, whose verbs and options count.

    A line that goes through a shell is not looked into; see :func:`through_a_shell`.
    """
    first = words[0].rpartition("/")[2] if words else ""
    if first == "dubflow":
        return _verb(list(words[1:]), program)
    if first == "torchrun" or (_PYTHON.match(first) and list(words[1:3]) == ["-m", "torch.distributed.run"]):
        rest = list(words[1:] if first == "torchrun" else words[3:])
        return _module(rest[rest.index("-m") + 1 :], program) if "-m" in rest else None
    if _PYTHON.match(first) and "-m" in words:
        return _module(list(words[list(words).index("-m") + 1 :]), program)
    return None


def is_program_of_ours(words: Sequence[str]) -> bool:
    """Whether a line starts ``dubflow``, or one of its modules."""
    return any(word.rpartition("/")[2] == "dubflow" or word.startswith("dubflow.") for word in words[:3])


def through_a_shell(words: Sequence[str]) -> bool:
    """Whether a shell reads the line."""
    return bool(words) and words[0].rpartition("/")[2] in _SHELLS and "-c" in words


def _module(words: list[str], program: Any) -> str | None:
    if not words:
        return "no module is named"
    name, given = words[0], words[1:]
    if name == "dubflow":
        return _verb(given, program)
    if not name.startswith("dubflow."):
        return None
    source = _source(name)
    if source is None:
        return f"there is no module {name} that could be run"
    known = _flags(source)
    unknown = [word for word in given if word.startswith("--") and word.partition("=")[0] not in known]
    return f"{name} takes no {', '.join(unknown)}" if unknown else None


def _source(name: str) -> Path | None:
    """The file that ``python -m name`` runs; found without importing anything."""
    place = Path(__file__).parents[2].joinpath(*name.split(".")[1:])
    return next((one for one in (place / "__main__.py", place.with_suffix(".py")) if one.is_file()), None)


@lru_cache(maxsize=64)
def _flags(source: Path) -> frozenset[str]:
    """What ``add_argument`` is called with in a module, and ``--help``."""
    calls = (one for one in ast.walk(ast.parse(source.read_text(encoding="utf-8"))) if isinstance(one, ast.Call))
    found = {
        str(word.value)
        for call in calls
        if isinstance(call.func, ast.Attribute) and call.func.attr == "add_argument"
        for word in call.args
        if isinstance(word, ast.Constant)
    }
    return frozenset(found | {"--help"})


def _verb(words: list[str], program: Any) -> str | None:
    """By the very parser of ``dubflow``; values are not looked at, because some are filled in by the cluster."""
    asks = [word for word in words if word in ("--help", "--version")]
    words = [word for word in words if word not in asks]
    command, path = program, "dubflow"
    while hasattr(command, "commands"):
        if not words:
            return None if asks else f"`{path}` names no verb"
        found = command.commands.get(words[0])
        if found is None:
            return f"there is no verb `{path} {words[0]}`"
        command, path, words = found, f"{path} {words[0]}", words[1:]
    return None if asks else _options(command, words, path)


def _options(command: Any, words: list[str], path: str) -> str | None:
    import typer

    try:
        given, left, _ = command.make_parser(typer.Context(command, info_name=path)).parse_args(args=list(words))
    except Exception as error:
        told = error.format_message() if hasattr(error, "format_message") else str(error)
        return f"`{path}`: {told}"
    if left:
        return f"`{path}` does not take {' '.join(left)}"
    missing = [
        one.name for one in command.params if one.required and not one.envvar and given.get(one.name) in (None, ())
    ]
    return f"`{path}` needs {', '.join(missing)}" if missing else None
