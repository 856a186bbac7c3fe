"""A training's checkpoints in an object storage, so that it goes on in another place than where it was lost.

Below the storage's address:

=================== ===========================================================================
``step-00000900/``  a checkpoint with ``run.json`` and the log's numbers; the last two are kept
``model/``          the result, once the run is finished
=================== ===========================================================================

A storage that fails for a while costs the training nothing: what it lacks is written when it is back.
"""

from __future__ import annotations

import shutil
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from dubflow.atomic import atomic_dir
from dubflow.diflow.stored import FACTS
from dubflow.errors import BadInput, OurFault, WrongUse
from dubflow.incontext.adapter.lora import WEIGHTS
from dubflow.locking import alone_in
from dubflow.media.digest import sha256_file
from dubflow.platform.storage import Storage
from dubflow.tracking import METRICS, PARAMETERS
from dubflow.training.checkpoints import checkpoint_path, checkpoints, latest_checkpoint, step_of
from dubflow.training.claims import RUN
from dubflow.training.processes import process_rank

KEPT = 2
MODEL = "model"
_LOGS = tuple(f"logs/{name}" for name in (METRICS, PARAMETERS))
_FOLDER = "checkpoints"
_LOCK = ".mirror"
_LOOK_S = 0.5
_LONGEST_PAUSE_S = 60.0
_BRING_S = 600.0
_TRIES = 5


def _finished(model: Path) -> bool:
    """Whether a run's result is there: a stored model, or an adapter."""
    return any((model / name).is_file() for name in (FACTS, WEIGHTS))


class Mirror:
    """The copy of one run's folder.

    Args:
        out: the run's folder. storage: where the copy is. note: told what a person may want to know.
        pause_s: first pause after the storage failed; each later one is twice as long.
    """

    def __init__(self, out: Path, storage: Storage, note: Callable[[str], None], pause_s: float = 1.0) -> None:
        self.out, self.storage, self.note, self.pause_s = out, storage, note, pause_s
        self._stored: Path | None = None

    def restore(self, *, first: bool) -> None:
        """Bring what the folder lacks: the model if the run is finished; for the first process, else the newest
        checkpoint that is whole.

        Raises:
            WrongUse: ``platform.mirror_of_other_run``.
            OurFault: ``storage.failed``, unless the folder has a checkpoint to go on from.
        """
        with self._alone():
            if _finished(self.out / MODEL):
                return
            try:
                self._insisting(lambda: self._restore(first))
            except OurFault as error:
                if not checkpoints(self.out / _FOLDER):
                    raise
                self.note(f"{error} Going on with what {self.out} has.")

    def bring(self, step: int) -> None:
        """Bring the checkpoint of a step, waiting for it while another process writes it there; a process that still
        lacks it afterwards says so by itself."""
        until = time.monotonic() + _BRING_S
        with self._alone():
            while not checkpoint_path(self.out / _FOLDER, step).is_file() and time.monotonic() < until:
                try:
                    if self._bring(step, first=False):
                        return
                except OurFault as error:
                    self.note(str(error))
                time.sleep(_LOOK_S)

    def save(self) -> bool:
        """Store the newest checkpoint; whether there was something to store.

        Raises:
            OurFault: ``storage.failed``.
        """
        newest = next(reversed(checkpoints(self.out / _FOLDER)), None)
        if newest is None or newest == self._stored:
            return False
        name, key = newest.stem, f"{_FOLDER}/{newest.name}"
        try:
            if not self.storage.holds(name, {key: newest}):
                small = {each: (self.out / each).read_bytes() for each in (RUN, *_LOGS) if (self.out / each).is_file()}
                self.storage.put(name, {key: newest, **small})
        except FileNotFoundError:
            return False  # newer ones have taken its place meanwhile
        self._stored = newest
        for old in self._steps()[:-KEPT]:
            self.storage.remove(old)
        return True

    def save_model(self) -> None:
        """Store the result, if it is there.

        Raises:
            OurFault: ``storage.failed``.
        """
        if not _finished(self.out / MODEL):
            return
        files = {str(path.relative_to(self.out)): path for path in sorted((self.out / MODEL).rglob("*"))}
        files = {name: path for name, path in files.items() if path.is_file()}
        if not self.storage.holds(MODEL, files):
            self.storage.put(MODEL, {**files, RUN: self.out / RUN})

    def finish(self, tries: int) -> None:
        """Store what is not stored yet; where that fails to the end, say so."""

        def rest() -> None:
            self.save()
            self.save_model()

        try:
            self._insisting(rest, tries)
        except Exception as error:
            # The training is done, whatever became of its copy.
            self.note(f"Warning: {self.storage.uri} is behind: {error}")

    def watch(self, stop: threading.Event) -> None:
        """Store each new checkpoint as it comes, until told to stop."""
        pause = 0.0
        while not stop.wait(max(_LOOK_S, pause)):
            try:
                if self.save():
                    pause = 0.0
            except Exception as error:
                # Whatever it is, the training beside goes on, and the next look may find it mended.
                pause = min(max(self.pause_s, 2 * pause), _LONGEST_PAUSE_S)
                self.note(f"Warning: {error} Trying again in {pause:g} s.")

    def _restore(self, first: bool) -> None:
        names = self.storage.names()
        if MODEL in names and self._bring_model():
            return
        if not first:
            return
        mine = latest_checkpoint(self.out / _FOLDER)
        done = step_of(mine) if mine else 0
        for name in reversed([each for each in names if each.startswith("step-")]):
            step = step_of(Path(name))
            if step <= done:
                return
            if self._bring(step, first=True):
                self.note(f"The checkpoint after step {step} comes from {self.storage.uri}")
                return

    def _bring(self, step: int, *, first: bool) -> bool:
        """Bring a step's checkpoint, and last of all that itself; False where it is not there or damaged. What is
        damaged the first process removes, so that it does not count as one of the last two."""
        target = checkpoint_path(self.out / _FOLDER, step)
        name, key = target.stem, f"{_FOLDER}/{target.name}"
        try:
            files = self._of_this_run(name)
            if files is None:
                return False
            if key not in files:
                raise BadInput(
                    "platform.stored_set_damaged", f"{name} of {self.storage.uri} has no checkpoint.", "Remove it."
                )
            small = [each for each in (RUN, *_LOGS) if each in files and not (self.out / each).exists()]
            for each in [*small, key]:
                self.storage.get(name, each, files[each], self.out / each)
        except BadInput as error:
            self.note(f"{error.headline} The one before it serves, or the beginning.")
            if first:
                self.storage.remove(name)
            return False
        return True

    def _bring_model(self) -> bool:
        brought = self.out / f"{MODEL}.brought"
        shutil.rmtree(brought, ignore_errors=True)  # of a process that was killed between the steps below
        try:
            files = self._of_this_run(MODEL) or {}
            with atomic_dir(brought) as folder:
                for each, fact in files.items():
                    self.storage.get(MODEL, each, fact, folder / each)
        except BadInput as error:
            self.note(f"{error.headline} It is made again.")
            return False
        if not (self.out / RUN).exists():
            (brought / RUN).replace(self.out / RUN)
        (brought / MODEL).replace(self.out / MODEL)
        shutil.rmtree(brought)
        self.note(f"The finished model comes from {self.storage.uri}")
        return True

    def _of_this_run(self, name: str) -> dict[str, dict[str, Any]] | None:
        """A set's manifest; None where it is not there.

        Raises:
            WrongUse: ``platform.mirror_of_other_run`` when it is of another run than the folder.
        """
        files = self.storage.manifest(name)
        if files is not None and RUN not in files:
            raise BadInput("platform.stored_set_damaged", f"{name} of {self.storage.uri} has no {RUN}.", "Remove it.")
        mine = self.out / RUN
        if files is not None and mine.exists() and sha256_file(mine) != files[RUN]["sha256"]:
            raise WrongUse(
                "platform.mirror_of_other_run",
                f"{self.storage.uri} holds another run than {self.out}.",
                "Name another storage, or another --out to go on with the run in this one.",
            )
        return files

    def _steps(self) -> list[str]:
        return [name for name in self.storage.names() if name.startswith("step-")]

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """One process of this machine at a time brings something; the others then find it."""
        what = f"Another process brings a checkpoint to {self.out}."
        busy = WrongUse("platform.checkpoint_is_busy", what, "Wait for it.")
        with alone_in(self.out / _LOCK, busy, patience_s=_BRING_S):
            yield

    def _insisting(self, action: Callable[[], None], tries: int = _TRIES) -> None:
        pause = self.pause_s
        for left in range(tries - 1, -1, -1):
            try:
                return action()
            except OurFault as error:
                if not left:
                    raise
                self.note(f"Warning: {error} Trying again in {pause:g} s.")
                time.sleep(pause)
                pause *= 2
        return None


@contextmanager
def mirrored(out: Path, uri: str, note: Callable[[str], None], *, pause_s: float = 1.0) -> Iterator[Mirror]:
    """Train in ``out`` with a copy of its checkpoints, and at the end of the model, in the storage at ``uri``.

    Every process of a distributed run enters; the first one stores. The others are given :meth:`Mirror.bring` for
    folders that are not the first one's.

    Raises:
        WrongUse: ``platform.mirror_of_other_run``, and those of :class:`Storage`.
        OurFault: ``storage.failed`` when it cannot be seen whether there is something to go on from.
    """
    mirror = Mirror(out, Storage(uri), note, pause_s)
    first = process_rank() == 0
    mirror.restore(first=first)
    if not first:
        yield mirror
        return
    stop = threading.Event()
    watcher = threading.Thread(target=mirror.watch, args=(stop,), name="mirror", daemon=True)
    watcher.start()
    tries = 1  # who was told to stop has not long
    try:
        yield mirror
        tries = _TRIES
    finally:
        stop.set()
        watcher.join()
        mirror.finish(tries)
