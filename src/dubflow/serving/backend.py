"""What the watcher and the watchdog ask of whatever serves: Triton, or the same core in the workers."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from dubflow.serving.export import MODEL, Exported, speak_apart
from dubflow.serving.heard import Heard
from dubflow.serving.state import Mode


class Backend(Protocol):
    """Versions that are loaded, by number."""

    @property
    def mode(self) -> Mode:
        """Which kind it is."""

    def install(self, export: Exported, folder: Path) -> None:
        """Lay the export of ``folder`` out so that it can be loaded; nothing is loaded by that."""

    def load(self, version: int) -> None:
        """Load an installed version beside those that answer.

        Raises:
            DubflowError: it cannot be loaded, and is not.
        """

    def reload(self, version: int, models: Sequence[str] = ()) -> None:
        """End a version and load it again, or only those of its ``models`` whose processes died.

        Raises:
            DubflowError: as :meth:`load`.
        """

    def remove(self, version: int) -> None:
        """End a version and take away what was laid out of it."""

    def ready(self, version: int) -> bool:
        """Whether it says of itself that it can answer; a dead one may say so as well."""

    def installed(self) -> set[int]:
        """Numbers of all versions that are laid out."""

    def dub(self, export: Exported, folder: Path, within_s: float) -> tuple[Heard, float]:
        """The golden clip, dubbed by exactly this version now, and the seconds it took.

        Raises:
            DubflowError: whatever is wrong with it.
        """


class InProcess:
    """No server: workers load the current version themselves, so what counts is that it loads and speaks here."""

    mode: Mode = "in_process"

    def install(self, export: Exported, folder: Path) -> None:
        """Nothing to lay out."""

    def load(self, version: int) -> None:
        """Workers do."""

    def reload(self, version: int, models: Sequence[str] = ()) -> None:
        """A worker that died is started again by whoever started it."""

    def remove(self, version: int) -> None:
        """Nothing was laid out."""

    def ready(self, version: int) -> bool:
        """What was exported can be loaded."""
        return True

    def installed(self) -> set[int]:
        """None."""
        return set()

    def dub(self, export: Exported, folder: Path, within_s: float) -> tuple[Heard, float]:
        """In a process of its own, as a worker would."""
        found = speak_apart(folder / MODEL)
        return found.heard, found.seconds
