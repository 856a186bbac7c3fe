"""Triton as the watcher and the watchdog see it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from dubflow.serving.control import Control
from dubflow.serving.engines import engine_for
from dubflow.serving.export import MODEL, Exported
from dubflow.serving.golden import dub_golden, golden_job
from dubflow.serving.heard import Heard
from dubflow.serving.laid_out import REPOSITORY
from dubflow.serving.repository import MODELS, install_version, installed_versions, is_on, remove_version
from dubflow.serving.settings import TritonSettings
from dubflow.serving.state import Mode, read_state


class TritonBackend:
    """The server of a folder, wherever its state says that it listens; a server that was started anew is found."""

    mode: Mode = "triton"

    def __init__(self, directory: Path, settings: TritonSettings | None = None) -> None:
        self._directory, self._settings = Path(directory), settings or TritonSettings()
        self._repository = self._directory / REPOSITORY
        self._control: tuple[tuple[str | None, int | None], Control] | None = None
        self._job = golden_job()

    def install(self, export: Exported, folder: Path) -> None:
        """See :class:`~dubflow.serving.backend.Backend`."""
        install_version(self._repository, folder / MODEL, export.version, self._settings)

    def load(self, version: int) -> None:
        """See :class:`~dubflow.serving.backend.Backend`."""
        self._reached().load(version)

    def reload(self, version: int, models: Sequence[str] = ()) -> None:
        """See :class:`~dubflow.serving.backend.Backend`."""
        self._reached().reload(version, [name for name in MODELS if name in models] or MODELS)

    def remove(self, version: int) -> None:
        """See :class:`~dubflow.serving.backend.Backend`."""
        if is_on(self._repository, version):
            self._reached().unload(version)
        remove_version(self._repository, version)

    def ready(self, version: int) -> bool:
        """See :class:`~dubflow.serving.backend.Backend`."""
        return self._reached().is_ready(version)

    def installed(self) -> set[int]:
        """See :class:`~dubflow.serving.backend.Backend`."""
        return installed_versions(self._repository)

    def dub(self, export: Exported, folder: Path, within_s: float) -> tuple[Heard, float]:
        """See :class:`~dubflow.serving.backend.Backend`."""
        engine = engine_for(self._directory, read_state(self._directory), export.served(folder), deadline_s=within_s)
        dub = dub_golden(engine, within_s, self._job)
        return dub.heard, dub.seconds

    def _reached(self) -> Control:
        state = read_state(self._directory)
        where = (state.grpc, state.server)
        if self._control is None or self._control[0] != where:
            if self._control is not None:
                self._control[1].close()
            control = Control(state.grpc or "", self._directory, self._repository, load_s=self._settings.load_s)
            self._control = (where, control)
        return self._control[1]
