"""What a version tells of itself when it is asked over gRPC: who needs it runs on another machine, without its folder.

It is asked as it is for a dub, by a JOB that is no job, and answered at once, however many dubs are running. That the
answer comes at all proves that the version's front lives.
"""

from __future__ import annotations

from pathlib import Path

from pydantic import Field

from dubflow.config import Strict
from dubflow.errors import DubflowError
from dubflow.serving.laid_out import REPOSITORY
from dubflow.serving.repository import Installed
from dubflow.serving.state import Health, Served, now, read_state

QUESTION = b'{"asks": "who are you"}'
BESIDE = ("drift.json",)
"""Small files of a model's folder that others judge what comes in by."""
_MOST_BYTES = 2**20


class Told(Strict):
    """One version of one server."""

    format: str = Field("dubflow.told/1", pattern="^dubflow.told/1$")
    installed: Installed
    health: Health | None = Field(None, description="Its server's last deep look, where it was at this version.")
    beside: dict[str, str] = Field({}, description="Content of the files of BESIDE that its model has.")

    def served(self, folder: Path) -> Served:
        """It as a state names it; ``folder`` is what this machine has of it."""
        one = self.installed
        return Served(
            version=one.version,
            package=one.package,
            kind=one.kind,
            engine=one.engine,
            world=one.world,
            languages=one.languages,
            folder=folder,
            since=now(),
        )


def tell(installed: Installed, repository: Path) -> Told:
    """What the server of a model repository tells of one of its versions."""
    return Told(installed=installed, health=_health(installed, Path(repository)), beside=_beside(installed.folder))


def _health(installed: Installed, repository: Path) -> Health | None:
    if repository.name != REPOSITORY:
        return None  # an export that is served as it lies; nobody looks at it
    try:
        state = read_state(repository.parent)
    except DubflowError:
        return None
    return state.health if state.current is not None and state.current.version == installed.version else None


def _beside(folder: Path) -> dict[str, str]:
    found = {}
    for name in BESIDE:
        path = folder / name
        if path.is_file() and path.stat().st_size <= _MOST_BYTES:
            found[name] = path.read_text(encoding="utf-8")
    return found
