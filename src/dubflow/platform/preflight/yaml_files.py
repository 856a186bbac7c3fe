"""YAML as manifests are written in it: several documents a file, no key twice, nothing but plain values."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Any

import yaml

from dubflow.errors import BadInput

_Base: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class _Strict(_Base):  # type: ignore[misc] # the C loader where libyaml is there
    """A safe loader that refuses a key that stands twice, where the plain one silently takes the last."""


def _mapping(loader: Any, node: yaml.MappingNode) -> dict[Any, Any]:
    seen: set[str] = set()
    for key, _ in node.value:
        if isinstance(key, yaml.ScalarNode) and key.tag != "tag:yaml.org,2002:merge":
            if key.value in seen:
                raise yaml.constructor.ConstructorError(None, None, f"{key.value!r} stands twice", key.start_mark)
            seen.add(key.value)
    loader.flatten_mapping(node)
    return {loader.construct_object(key, deep=True): loader.construct_object(value, deep=True) for key, value in
            node.value}  # fmt: skip


_Strict.add_constructor("tag:yaml.org,2002:map", _mapping)
# A time is text to Kubernetes, and a lone "=" is no special value.
_Strict.add_constructor("tag:yaml.org,2002:timestamp", lambda loader, node: str(node.value))
_Strict.add_constructor("tag:yaml.org,2002:value", lambda loader, node: str(node.value))


def parsed(text: str, where: str) -> list[Any]:
    """The documents of a text, without the empty ones.

    Raises:
        BadInput: ``platform.bad_yaml`` with the line.
    """
    try:
        return [one for one in yaml.load_all(text, Loader=_Strict) if one is not None]
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = mark.line + 1 if mark is not None else None
        problem = getattr(error, "problem", None) or str(error)
        raise BadInput(
            "platform.bad_yaml",
            f"{where}{f', line {line}' if line else ''}: {problem}.",
            "Correct the file.",
            file=where,
            line=line,
        ) from error


def read(path: Path, where: str | None = None) -> list[Any]:
    """The documents of a file; overlays share most of theirs, so that each is parsed once as long as it stays as it is.

    Raises:
        BadInput: ``platform.bad_yaml`` where it does not read.
    """
    name = where or path.name
    try:
        facts = path.stat()
        return [_copied(one) for one in _read(path, name, facts.st_mtime_ns, facts.st_size)]
    except (OSError, UnicodeDecodeError) as error:
        raise BadInput("platform.bad_yaml", f"{name} cannot be read: {error}.", "Correct the file.") from error


@lru_cache(maxsize=512)
def _read(path: Path, name: str, changed: int, size: int) -> tuple[Any, ...]:
    """``changed`` and ``size`` tell one state of the file from another."""
    return tuple(parsed(path.read_text(encoding="utf-8"), name))


def _copied(value: Any) -> Any:
    """Whoever gets a document may change it."""
    if isinstance(value, dict):
        return {key: _copied(one) for key, one in value.items()}
    return [_copied(one) for one in value] if isinstance(value, list) else value
