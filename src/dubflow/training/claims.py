"""Whether a folder holds this very run."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dubflow.atomic import write_json
from dubflow.errors import WrongUse

RUN = "run.json"


def claim(out: Path, identity: dict[str, Any], *, write: bool = True) -> None:
    """Write ``run.json`` (or only look, without ``write``), or see that it names this very run.

    Raises:
        WrongUse: ``training.other_run`` with what differs.
    """
    path = out / RUN
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        if write:
            write_json(path, identity)
        return
    except ValueError:
        found = None
    if found != json.loads(json.dumps(identity)):
        there, here = flat(found if isinstance(found, dict) else {}), flat(identity)
        differing = [
            f"{name} ({_short(there.get(name, 'unset'))} there, {_short(here.get(name, 'unset'))} here)"
            for name in sorted(there.keys() | here.keys())
            if there.get(name, "unset") != here.get(name, "unset")
        ]
        raise WrongUse(
            "training.other_run",
            f"{out} holds another run; these differ: {', '.join(differing[:8]) or 'the format'}.",
            "Name another --out, or the preset, data and models that this run began with.",
            differing=differing,
        )


def flat(tree: Mapping[str, Any], prefix: str = "") -> dict[str, str | int | float | bool | None]:
    """Nested settings as names with dots."""
    leaves: dict[str, str | int | float | bool | None] = {}
    for name, value in tree.items():
        if isinstance(value, Mapping):
            leaves |= flat(value, f"{prefix}{name}.")
        else:
            leaves[prefix + name] = value if isinstance(value, str | int | float | bool | None) else json.dumps(value)
    return leaves


def _short(value: object) -> str:
    text = str(value)
    return text if len(text) <= 40 else f"{text[:12]}…"
