"""Somebody watches a job: hears how far it is, and may stop it.

Long work asks ``stopped`` between its stages and between the steps of the flow, never in the middle of a write.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Protocol

from dubflow.errors import BadInput

Stage = Literal["waiting", "planning", "looking", "speaking", "writing"]

CANCELLED = "dubbing.cancelled"
"""Code of the error that a stopped job ends with."""


class Watch(Protocol):
    """Who watches; both are called often and must answer at once."""

    def stage(self, stage: Stage, share: float) -> None:
        """The job is in ``stage``, and ``share`` of all of it is done (0 to 1, never less than before)."""

    def stopped(self) -> bool:
        """Whether nobody wants the result any more; once True, for ever True."""


class _Unwatched:
    def stage(self, stage: Stage, share: float) -> None:
        return None

    def stopped(self) -> bool:
        return False


UNWATCHED: Watch = _Unwatched()
"""Nobody watches."""


@dataclass(frozen=True)
class Part:
    """The watch of a part of a job, whose 0 and 1 are ``start`` and ``stop`` of the whole."""

    whole: Watch
    start: float
    stop: float

    def stage(self, stage: Stage, share: float) -> None:
        """See :class:`Watch`."""
        self.whole.stage(stage, self.start + (self.stop - self.start) * min(1.0, max(0.0, share)))

    def stopped(self) -> bool:
        """See :class:`Watch`."""
        return self.whole.stopped()


class Forward:
    """A watch that never hears of less than before: what failed together and is tried alone starts anew."""

    def __init__(self, whole: Watch) -> None:
        self._whole, self._share = whole, 0.0

    def stage(self, stage: Stage, share: float) -> None:
        """See :class:`Watch`."""
        self._share = max(self._share, share)
        self._whole.stage(stage, self._share)

    def stopped(self) -> bool:
        """See :class:`Watch`."""
        return self._whole.stopped()


def check_stopped(watch: Watch) -> None:
    """Go on, or end here because somebody stopped the job.

    Raises:
        BadInput: ``dubbing.cancelled``.
    """
    if watch.stopped():
        raise cancelled()


def cancelled() -> BadInput:
    """The error of a job that somebody stopped."""
    return BadInput(CANCELLED, "The job was cancelled.", "Send it again if you want it after all.")
