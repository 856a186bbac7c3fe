"""What the watcher and the watchdog ask of whatever serves: Triton, or the same core in the workers."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import Protocol

from dubflow.serving.export import Exported
from dubflow.serving.heard import Heard
from dubflow.serving.state import Mode


class Backend(Protocol):
    """Versions that are loaded, by number."""

    @property
    def mode(self) -> Mode:
        """Which kind it is."""

    def install(self, export: Exported, folder: Path) -> None:
        """Lay the export of ``folder`` out so that it can be loaded; one that lies there is replaced."""

    def load(self, versions: Collection[int]) -> None:
        """Have exactly these versions loaded: others are unloaded, those that are loaded go on answering.

        Raises:
            OurFault: ``serving.load_failed``.
        """

    def heal(self, versions: Collection[int]) -> None:
        """Unload everything and load these again: what was dead is fresh afterwards."""

    def ready(self, version: int) -> bool:
        """Whether it says of itself that it can answer; a dead one may say so as well."""

    def dub(self, export: Exported, folder: Path, within_s: float) -> tuple[Heard, float]:
        """The golden clip, dubbed by exactly this version, and the seconds it took.

        Raises:
            DubflowError: whatever is wrong with it.
        """


class InProcess:
    """No server: workers load the current version themselves, so what counts is that it loads and speaks here."""

    mode: Mode = "in_process"

    def install(self, export: Exported, folder: Path) -> None:
        """Nothing to lay out."""

    def load(self, versions: Collection[int]) -> None:
        """Workers do."""

    def heal(self, versions: Collection[int]) -> None:
        """A worker that died is started again by whoever started it."""

    def ready(self, version: int) -> bool:
        """What was exported can be loaded."""
        return True

    def dub(self, export: Exported, folder: Path, within_s: float) -> tuple[Heard, float]:
        """As it was dubbed in a process of its own when it was exported."""
        return export.heard, export.seconds
