"""Prompts in files: JSON lines or YAML, each entry the fields of a prompt or the text of one."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from dubflow.atomic import write_text
from dubflow.errors import BadInput, WrongUse
from dubflow.incontext.pairs.prompts.forms import parse
from dubflow.incontext.pairs.prompts.structure import Prompt, bad_prompt

_YAML = (".yaml", ".yml")
_LINES = (".jsonl", ".ndjson")
_LARGEST = 64 * 2**20


def read_prompts(path: Path) -> tuple[Prompt, ...]:
    """Prompts of a file, in order.

    Raises:
        BadInput: ``incontext.bad_prompt_file`` naming the entry, with the reason.
        WrongUse: ``incontext.unknown_prompt_file`` for another ending, or no such file.
    """
    path = Path(path)
    if path.suffix not in (*_YAML, *_LINES):
        raise WrongUse(
            "incontext.unknown_prompt_file", f"{path.name} ends in none of {', '.join(_LINES + _YAML)}.", "Rename it."
        )
    try:
        if path.stat().st_size > _LARGEST:
            raise _bad(path.name, f"has more than {_LARGEST // 2**20} MiB")
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise WrongUse(
            "incontext.unknown_prompt_file", f"{path.name} cannot be read: {error}.", "Name a file."
        ) from error
    except UnicodeDecodeError as error:
        raise _bad(path.name, "is not UTF-8") from error
    entries = _of_yaml(path.name, text) if path.suffix in _YAML else _of_lines(path.name, text)
    return tuple(prompt_of(entry, f"{path.name}, {where}") for where, entry in entries)


def write_prompts(path: Path, prompts: Iterable[Prompt]) -> None:
    """Write prompts as JSON lines, whole or not at all.

    Raises:
        WrongUse: ``incontext.unknown_prompt_file`` for another ending, under which it would not be read.
    """
    path = Path(path)
    if path.suffix not in _LINES:
        raise WrongUse("incontext.unknown_prompt_file", f"{path.name} does not end in {_LINES[0]}.", "Rename it.")
    lines = (json.dumps(one.model_dump(mode="json", exclude_defaults=True), ensure_ascii=False) for one in prompts)
    write_text(path, "".join(f"{line}\n" for line in lines))


def prompt_of(entry: Any, where: str) -> Prompt:
    """The prompt of one entry: a mapping of its fields, or a text of either form.

    Raises:
        BadInput: ``incontext.bad_prompt_file``.
    """
    try:
        if isinstance(entry, str):
            return parse(entry.strip())
        try:
            return Prompt.model_validate(entry)
        except ValidationError as error:
            raise bad_prompt(where, error) from error
    except BadInput as error:
        raise _bad(where, error.headline) from error


def _of_lines(name: str, text: str) -> list[tuple[str, Any]]:
    found = []
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        try:
            found.append((f"line {number}", json.loads(line)))
        except (ValueError, RecursionError) as error:
            raise _bad(f"{name}, line {number}", f"is not JSON ({error})") from error
    return found


def _of_yaml(name: str, text: str) -> list[tuple[str, Any]]:
    try:
        content = yaml.safe_load(text)
    except (yaml.YAMLError, RecursionError) as error:
        raise _bad(name, f"is not YAML ({error})") from error
    entries = content.get("prompts") if isinstance(content, dict) else content
    if not isinstance(entries, list):
        raise _bad(name, "is no list of prompts")
    return [(f"entry {number}", entry) for number, entry in enumerate(entries, 1)]


def _bad(where: str, why: str) -> BadInput:
    return BadInput("incontext.bad_prompt_file", f"{where}: {why.rstrip('.')}.", "Correct it, or leave it out.")
