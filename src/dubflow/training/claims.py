"""Whether a folder is this run's, and nobody else is at it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

from dubflow.atomic import write_json
from dubflow.errors import WrongUse
from dubflow.locking import alone_in
from dubflow.training.processes import launched, process_rank

RUN = "run.json"
_ENDING_S = 30.0


def training_alone(out: Path) -> AbstractContextManager[None]:
    """Hold a run's folder, for the first of its processes; the others follow it.

    Raises:
        WrongUse: ``training.run_is_busy``.
    """
    if process_rank():
        return nullcontext()
    busy = WrongUse("training.run_is_busy", f"Another process trains in {out}.", "Wait for it, or name another --out.")
    # Processes that are started in the place of lost ones may come before those are quite gone.
    return alone_in(out, busy, patience_s=_ENDING_S if launched() else 0.0)


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
