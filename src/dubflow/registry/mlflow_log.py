"""Training runs in MLflow, behind :class:`dubflow.tracking.RunLog`.

A training is never harmed by its record: when the store does not answer, what is logged waits in ``mlflow_outbox`` of
the run's folder, one warning is given, and it is sent when the store is back, at the latest when the run is opened
again.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from dubflow.errors import DubflowError
from dubflow.progress import Progress
from dubflow.registry.outbox import Outbox, Point
from dubflow.registry.run_facts import run_facts, usage
from dubflow.registry.run_link import RunLink, Status, Wanted, open_link
from dubflow.registry.tracking_store import store_of
from dubflow.tracking import RunLog, inside_run

OUTBOX = "mlflow_outbox"
_SEND_EVERY_S = 10.0
_SEND_AT_POINTS = 1000
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 60.0, 1800.0


@contextmanager
def open_run(
    uri: str | None,
    experiment: str,
    run_name: str,
    *,
    folder: Path,
    tags: Mapping[str, str] | None = None,
    progress: Progress | None = None,
) -> Iterator[RunLog]:
    """A run in MLflow for the length of a ``with`` block.

    The run's id is kept in ``folder/mlflow_run.json``: a training that was killed and is started again goes on in the
    same run. It ends as FINISHED; as KILLED on Ctrl-C or a ``SystemExit`` with a code (which is how the command line
    takes SIGTERM); as FAILED on any other exception, with the error's code in the tag ``error``. In a training on
    several devices one process opens the run.

    Args:
        uri: MLflow's tracking URI; None for the setting DUBFLOW_MLFLOW_URI or, without that, a database beside
            ``folder`` (:func:`dubflow.registry.tracking_store.store_of`).
        experiment: name of the experiment, made if need be.
        run_name: what the run is called in lists.
        folder: the run's own folder, made if need be.
        tags: facts about the run, such as preset and digest of the data; versions, commit and the machine's size are
            added.
        progress: where notes and warnings go; standard error without it.

    Raises:
        WrongUse: ``registry.bad_tracking_uri``, ``registry.no_driver``, ``registry.experiment_deleted``,
            ``install.missing_extra``.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    note = _to_standard_error if progress is None else progress.note
    store = store_of(uri, folder)
    first = " for the first time; setting it up takes up to a minute" if store.is_new else ""
    note(f"MLflow: opening {store.shown}{first}")
    log = MlflowLog(Wanted(store, experiment, run_name, folder, run_facts() | dict(tags or {})), note)
    log.open()
    try:
        yield log
    except BaseException as error:
        log.close(*_ending(error))
        raise
    else:
        log.close("FINISHED")


class MlflowLog:
    """One run's record in MLflow; made by :func:`open_run`."""

    def __init__(self, wanted: Wanted, note: Callable[[str], None]) -> None:
        self._wanted, self._note = wanted, note
        self._outbox = Outbox(wanted.folder / OUTBOX)
        self._link: RunLink | None = None
        self._waiting: list[Point] = []
        self._sent_at = time.monotonic()
        self._pause_s, self._quiet_until = _FIRST_PAUSE_S, 0.0
        self._warned, self._lost = False, 0

    @property
    def run_id(self) -> str | None:
        """MLflow's id of the run; None as long as the store has not answered."""
        return None if self._link is None else self._link.run_id

    def open(self) -> None:
        """Find or begin the run and send what waits from earlier.

        Raises:
            WrongUse: as :func:`open_run`; that the store does not answer is only a warning.
        """
        try:
            self._link = open_link(self._wanted, self._note)
        except DubflowError:
            raise
        except Exception as error:
            self._store_failed(error)
            return
        self._note(f"MLflow: run {self._link.run_id} of experiment {self._wanted.experiment!r}")
        self._try(lambda link: None)  # sends the outbox

    def parameters(self, values: Mapping[str, str | int | float | bool | None]) -> None:
        """Sent at once; a parameter that a resumption changed becomes a tag ``resumed_with.NAME``."""
        named = {name: "" if value is None else str(value) for name, value in values.items()}
        self._do(lambda link: link.send_parameters(named), lambda: self._outbox.add_parameters(named))

    def metrics(self, values: Mapping[str, float], step: int) -> None:
        """Sent in batches, every ten seconds; what MLflow has for a name at a step already stays as it is."""
        now = int(time.time() * 1000)
        self._waiting += [Point(name, float(value), step, now) for name, value in values.items()]
        if len(self._waiting) >= _SEND_AT_POINTS or time.monotonic() - self._sent_at >= _SEND_EVERY_S:
            self.flush()

    def artifact(self, path: Path, folder: str = "") -> None:
        """Sent at once, with the numbers before it.

        Raises:
            WrongUse: ``tracking.bad_folder``.
            OSError: the file itself cannot be read.
        """
        inside_run(folder)
        with Path(path).open("rb"):
            pass  # a file that is not there is the caller's mistake, not the store's
        self.flush()
        self._do(lambda link: link.send_file(Path(path), folder), lambda: self._outbox.add_file(Path(path), folder))

    def flush(self) -> None:
        """Send the numbers that wait, or put them into the outbox."""
        if not self._waiting:
            return
        step = max(point.step for point in self._waiting)
        now = self._waiting[-1].time_ms
        points = self._waiting + [Point(name, value, step, now) for name, value in usage().items()]
        self._do(lambda link: link.send_points(points), lambda: self._outbox.add_points(points))
        # Only now: should Ctrl-C come in between, they still wait, and sending them twice does no harm.
        self._waiting, self._sent_at = [], time.monotonic()

    def close(self, status: Status, error: str | None = None) -> None:
        """Send all that waits and say how the run ended; tell what could not be sent."""
        self._quiet_until = 0.0  # the last chance is not left out, however long the store was silent
        self.flush()

        def end(link: RunLink) -> None:
            if error is not None:
                link.send_tags({"error": error})
            link.finish(status)

        ended = self._try(end)
        if self._outbox or self._lost or not ended:
            points, files = self._outbox.counts()
            lost = f" {self._lost} times not even the disk took it." if self._lost else ""
            self._note(
                f"MLflow: the end ({status}), {points} numbers and {files} files did not reach "
                f"{self._wanted.store.shown}.{lost} What waits lies in {self._outbox.root}; "
                "opening the run again sends it."
            )

    def _do(self, act: Callable[[RunLink], None], keep: Callable[[], None]) -> None:
        """Send, or keep for later."""
        if not self._try(act):
            try:
                keep()
            except OSError as error:
                self._lost += 1
                if self._lost == 1:
                    self._note(f"MLflow: {self._outbox.root} takes nothing either ({error.strerror}).")

    def _try(self, act: Callable[[RunLink], None]) -> bool:
        """Whether ``act`` was done; not even tried while the store is given a rest."""
        if time.monotonic() < self._quiet_until:
            return False
        try:
            if self._link is None:
                self._link = open_link(self._wanted, self._note)
            if self._outbox:
                self._send_outbox(self._link)
            act(self._link)
        except Exception as error:
            # Whatever it was (a refused connection, a full disk, a driver's own exception), the training goes on.
            self._store_failed(error)
            return False
        if self._warned:
            self._warned, self._pause_s = False, _FIRST_PAUSE_S
            self._note("MLflow: the store answers again; what waited was sent.")
        return True

    def _send_outbox(self, link: RunLink) -> None:
        link.send_parameters(self._outbox.parameters())
        link.send_points(self._outbox.points())
        for path, folder in self._outbox.files():
            link.send_file(path, folder)
        self._outbox.clear()

    def _store_failed(self, error: Exception) -> None:
        self._quiet_until = time.monotonic() + self._pause_s
        self._pause_s = min(2 * self._pause_s, _LONGEST_PAUSE_S)
        if not self._warned:
            self._warned = True
            reason = " ".join(str(error).split())[:300]
            self._note(
                f"MLflow: {self._wanted.store.shown} does not take what is logged ({type(error).__name__}: {reason}). "
                f"The run goes on; its record waits in {self._outbox.root}."
            )


def _ending(error: BaseException) -> tuple[Status, str | None]:
    if isinstance(error, SystemExit):
        return ("KILLED", None) if error.code else ("FINISHED", None)
    if isinstance(error, DubflowError):
        return "FAILED", error.code
    return ("FAILED", type(error).__name__) if isinstance(error, Exception) else ("KILLED", None)


def _to_standard_error(text: str) -> None:
    sys.stderr.write(text + "\n")
