"""One clip of a run of ``prepare``, in whatever process does it.

A worker process builds its tools and opens the store once; both are kept here, since workers are given functions and
not objects.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from dubflow.corpora.cache import Store
from dubflow.corpora.manifest import ClipRow
from dubflow.corpora.prepared import FailedClip
from dubflow.corpora.settings import PrepareSettings
from dubflow.corpora.transform import Tools, build_tools, transform
from dubflow.errors import DubflowError, WrongUse
from dubflow.speech.codecs import Codec

# What is wrong with a file today may be right tomorrow, though nothing that its key is made of has changed.
_PASSING = frozenset({"corpora.file_changed", "media.missing", "media.no_permission", "media.too_slow", "media.memory"})


@dataclass(frozen=True)
class Job:
    """One clip to do into the prepared set ``out``; ``wait`` for another run that is at it, or come back ``busy``."""

    row: ClipRow
    path: Path
    key: str
    out: Path
    settings: PrepareSettings
    wait: bool


@dataclass(frozen=True)
class Outcome:
    """What became of a job: done now, found done, busy in another run, or failed."""

    status: Literal["done", "found", "busy", "failed"]
    failure: FailedClip | None = None


_stores: dict[Path, Store] = {}
_tools: dict[str, Tools] = {}


def set_up_worker(settings: PrepareSettings, codec: Codec | None) -> None:
    """Build the tools in a new worker process."""
    use_tools(build_tools(settings, codec))


def use_tools(tools: Tools) -> None:
    """What the jobs that follow in this process work with."""
    _tools["run"] = tools


def open_store(out: Path) -> Store:
    """The store of a folder; one a process, as its locks ask for."""
    if out not in _stores:
        _stores[out] = Store(out)
    return _stores[out]


def close_store(store: Store) -> None:
    """Give up a store and its locks."""
    _stores.pop(store.root, None)
    store.close()


def prepare_one(job: Job) -> Outcome:
    """Do one clip unless somebody did it or is at it; never raises for what is wrong with the clip."""
    store = open_store(job.out)
    with store.claim(job.key, wait=job.wait) as held:
        if not held:
            return Outcome("busy")
        if store.has(job.key):
            return Outcome("found")
        try:
            made = transform(job.row, job.path, job.settings, _tools["run"])
        except WrongUse:
            raise  # a missing package or setting is no clip's fault
        except DubflowError as error:
            retry = error.retryable or error.code in _PASSING
            return Outcome("failed", FailedClip(key=job.key, code=error.code, reason=error.headline, retry=retry))
        except Exception as error:  # one clip that trips a library must not end a run of thousands
            reason = f"{type(error).__name__}: {error}"
            return Outcome("failed", FailedClip(key=job.key, code="corpora.unexpected", reason=reason, retry=True))
        meta = {"frames": made.frames, "tokens": made.tokens, "phones": made.phones}
        store.put(job.key, made.arrays, {**meta, "alignment": made.alignment, "reasons": sorted(set(made.reasons))})
    return Outcome("done")
