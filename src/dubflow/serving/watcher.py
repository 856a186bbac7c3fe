"""The registry's alias is the contract: whoever is champion there serves here, within seconds, or is refused by name.

A version goes through: files brought and checked, spoken with in a process of its own, laid out, loaded beside the one
that serves, heard once more through the server, and only then named ``current``. Whatever fails on the way leaves the
one that serves untouched. Nothing is remembered but files that appear whole and one state that is switched at once, so
a watcher that was killed anywhere begins again with what it finds.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from threading import RLock

from dubflow.atomic import sweep
from dubflow.errors import BadInput, DubflowError
from dubflow.serving.backend import Backend
from dubflow.serving.export import MODEL, Exported, export_model, read_export
from dubflow.serving.heard import check_heard
from dubflow.serving.patience import WatchSettings
from dubflow.serving.source import Source, Wanted
from dubflow.serving.state import Health, Refused, Served, ServingState, now, read_state, update_state

MODELS = "models"


@dataclass
class _Refusals:
    """Which versions were refused at which change of the registry, and when they are tried again."""

    at: dict[tuple[int, str | None], tuple[int, int, float]] = field(default_factory=dict)

    def waits(self, wanted: Wanted, time_now: float) -> bool:
        change, _, until = self.at.get((wanted.version, wanted.package), (-1, 0, 0.0))
        return change == wanted.change and time_now < until

    def add(self, wanted: Wanted, time_now: float, settings: WatchSettings) -> int:
        change, tries, _ = self.at.get((wanted.version, wanted.package), (wanted.change, 0, 0.0))
        pause = min(settings.again_most_s, settings.again_s * 2**tries if change == wanted.change else settings.again_s)
        self.at[(wanted.version, wanted.package)] = (wanted.change, tries + 1, time_now + pause)
        return tries + 1


class Watcher:
    """Follows a source, one version at a time."""

    def __init__(
        self,
        directory: Path,
        source: Source,
        backend: Backend,
        settings: WatchSettings | None = None,
        *,
        say: Callable[[str], None] = lambda _: None,
        clock: Callable[[], float] = time.monotonic,
        export: Callable[[Path, int], Exported] = export_model,
    ) -> None:
        """
        Args:
            directory: of the server, with its state. say: is told what happens. clock: seconds.
            export: checks and describes the model that lies in a folder.
        """
        self.lock = RLock()
        """Held while versions are loaded, so that nobody heals what is being switched."""
        self._directory, self._source, self._backend = Path(directory), source, backend
        self._settings, self._say, self._clock, self._export = settings or WatchSettings(), say, clock, export
        self.recovered: tuple[int | None] | None = None
        """Process of the server for which :meth:`recover` was done; what it names is loaded there, or was."""
        self._refusals = _Refusals()
        self._unreachable = ""

    def recover(self) -> None:
        """Load what the state says serves, after a start of the server or of this process.

        A version that cannot be brought back is left out; the one before it then serves, until the registry says more.
        """
        with self.lock:
            sweep(self._directory / MODELS, older_than_s=0)
            state = read_state(self._directory)
            answering = []
            for one in (state.current, state.previous):
                if one is None:
                    continue
                try:
                    if not self._backend.ready(one.version):
                        self._backend.install(read_export(one.folder.parent), one.folder.parent)
                        self._backend.load(one.version)
                    answering.append(one)
                except DubflowError as error:
                    self._note(f"version {one.version} cannot be brought back: {error.headline}")
            current, previous = (*answering, None, None)[:2]
            if (current, previous) != (state.current, state.previous):
                update_state(self._directory, lambda found: found.with_changes(current=current, previous=previous))
            self._keep_only([one.version for one in answering])
            self.recovered = (state.server,)

    def look(self) -> bool:
        """Ask who should serve, and see to it; True when the current version has changed.

        Never raises what a version or the registry did: that is noted, and whoever serves goes on.
        """
        try:
            wanted = self._source.wanted()
        except DubflowError as error:
            self._missed(error.code, f"the registry cannot be asked: {error.headline}")
            return False
        state = read_state(self._directory)
        if wanted is None and state.current is not None:
            self._missed("nobody", f"the registry names nobody; version {state.current.version} goes on serving")
        else:
            self._unreachable = ""
        if wanted is None or _is(state.current, wanted):
            if self._settings.ahead:
                self._make_ready(state)
            return False
        if self._refusals.waits(wanted, self._clock()):
            return False
        try:
            self._adopt(wanted, state)
        except DubflowError as error:
            self._decline(wanted, error)
            return False
        return True

    def check(self, served: Served) -> Health:
        """Have the version dub the golden clip, and hold it to what it said when it was exported.

        Raises:
            DubflowError: what is wrong.
        """
        folder = served.folder.parent
        export = read_export(folder)
        heard, seconds = self._backend.dub(export, folder, self._settings.golden_s)
        check_heard(heard, export.heard)
        return Health(fine=True, at=now(), seconds=round(seconds, 3))

    def reloaded(self, served: Served, models: Sequence[str] = ()) -> Health:
        """End the version, or only some of its ``models``, load it again and hear it; the lock must be held.

        Raises:
            DubflowError: what is wrong with it still.
        """
        self._backend.reload(served.version, models)
        return self.check(served)

    def _adopt(self, wanted: Wanted, state: ServingState) -> None:
        back = _is(state.previous, wanted)
        began = time.monotonic()
        export, folder = self._exported(wanted)
        served = export.served(folder)
        with self.lock:
            if not (back and self._backend.ready(wanted.version)):
                self._backend.install(export, folder)
                self._backend.load(wanted.version)
            try:
                health = self.check(served)
                state = update_state(self._directory, lambda found: _switched(found, served, health))
            except DubflowError:
                self._keep_only([one.version for one in (state.current, state.previous) if one is not None])
                raise
            self._note(f"version {wanted.version} serves, {'as before' if back else 'new'} "
                       f"({time.monotonic() - began:.1f} s)")  # fmt: skip
            self._tidy(state)

    def _missed(self, what: str, told: str) -> None:
        """Say once that the registry does not say who should serve."""
        if what != self._unreachable:
            self._unreachable = what
            self._note(told)

    def _exported(self, wanted: Wanted) -> tuple[Exported, Path]:
        """The export of a version; made where it is not there yet."""
        folder = self._folder(wanted)
        if (folder / MODEL).is_dir():
            try:
                export = read_export(folder)
                if (export.version, export.package) == (wanted.version, wanted.package):
                    return export, folder
            except BadInput:
                pass  # killed between bringing and describing it
        else:
            self._source.bring(wanted, folder / MODEL)
        try:
            export = self._export(folder, wanted.version)
        except DubflowError:
            shutil.rmtree(folder, ignore_errors=True)  # what was brought may be what is wrong
            raise
        if export.package != wanted.package:
            shutil.rmtree(folder, ignore_errors=True)
            raise BadInput(
                "serving.other_package",
                f"The files of version {wanted.version} are another package than the registry names.",
                "Register the package again.",
                found=export.package,
                wanted=wanted.package,
            )
        return export, folder

    def _make_ready(self, state: ServingState) -> None:
        """Bring and check who may be wanted next, so that a promotion takes the time of loading only."""
        try:
            ahead = self._source.next_one()
        except DubflowError:
            return
        if ahead is None or self._refusals.waits(ahead, self._clock()) or (self._folder(ahead) / MODEL).is_dir():
            return
        try:
            self._exported(ahead)
            self._say(f"version {ahead.version} is ready to be promoted")
        except DubflowError as error:
            self._decline(ahead, error)

    def _decline(self, wanted: Wanted, error: DubflowError) -> None:
        """Refuse a version, or put it off where it is the registry's files that cannot be reached now."""
        if error.retryable and error.code.startswith("registry."):
            self._refusals.add(wanted, self._clock(), self._settings)
            self._note(f"version {wanted.version} cannot be brought yet: {error.headline}")
        else:
            self._refuse(wanted, error)

    def _refuse(self, wanted: Wanted, error: DubflowError) -> None:
        """Remember that a version must not serve, and why; whoever serves goes on."""
        tries = self._refusals.add(wanted, self._clock(), self._settings)
        refused = Refused(
            version=wanted.version,
            package=wanted.package,
            code=error.code,
            headline=error.headline,
            hint=error.hint,
            at=now(),
            tries=tries,
        )

        def change(found: ServingState) -> ServingState:
            others = tuple(one for one in found.refused if one.version != wanted.version)
            return found.counted(refusals=1).with_changes(refused=(*others, refused)[-10:])

        update_state(self._directory, change)
        self._note(f"version {wanted.version} is refused: {error.headline} [{error.code}]")

    def _tidy(self, state: ServingState) -> None:
        """Unload and remove what is neither current nor previous; a challenger that was made ready stays."""
        kept = [one for one in (state.current, state.previous) if one is not None]
        self._keep_only([one.version for one in kept])
        try:
            ahead = self._source.next_one()
        except DubflowError:
            return  # the next switch tidies
        folders = {one.folder.parent.name for one in kept} | ({self._folder(ahead).name} if ahead else set())
        for folder in (self._directory / MODELS).iterdir():
            if folder.name not in folders:
                shutil.rmtree(folder, ignore_errors=True)

    def _keep_only(self, versions: Sequence[int]) -> None:
        for version in sorted(self._backend.installed() - {*versions}):
            try:
                self._backend.remove(version)
            except DubflowError as error:
                self._note(f"version {version} cannot be unloaded: {error.headline}")

    def _folder(self, wanted: Wanted) -> Path:
        return self._directory / MODELS / f"{wanted.version}-{(wanted.package or 'stored')[:16]}"

    def _note(self, text: str) -> None:
        self._say(text)
        update_state(self._directory, lambda found: found.noted(text))


def _is(served: Served | None, wanted: Wanted) -> bool:
    return served is not None and (served.version, served.package) == (wanted.version, wanted.package)


def _switched(state: ServingState, served: Served, health: Health) -> ServingState:
    """The state in which ``served`` answers and the one until then is kept."""
    before = state.current
    previous = before if before is not None and before.version != served.version else None
    refused = tuple(one for one in state.refused if one.version != served.version)
    served = served.model_copy(update={"since": now()})
    return state.counted(switches=1).with_changes(current=served, previous=previous, refused=refused, health=health)
