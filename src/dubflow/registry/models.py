"""The registry: versions of models in MLflow, and which of them is champion, challenger and previous.

The history (:mod:`dubflow.registry.journal`) is the truth and MLflow's aliases follow it. Whoever reads puts aliases
right that lag behind: after a crash between the two, or after somebody moved one by hand. A reader that healed looks
at the history again before it is content, so a slow one cannot leave an older state behind a newer one.
"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from dubflow.atomic import atomic_dir
from dubflow.config import Settings
from dubflow.errors import BadInput, DubflowError, OurFault
from dubflow.registry.history import ALIASES, Entry, State, state_of
from dubflow.registry.journal import Journal
from dubflow.registry.package.contents import files_below
from dubflow.registry.package.opening import ModelPackage, open_package, read_package
from dubflow.registry.tracking_store import Store, client_of, store_of
from dubflow.registry.versions import Version, check_digest, files_of, number_of, version_of

if TYPE_CHECKING:
    from mlflow.entities.model_registry import ModelVersion
    from mlflow.tracking import MlflowClient

_TRIES = 20


class Registry:
    """Models in an MLflow store; nothing is opened before it is needed."""

    def __init__(self, store: Store, note: Callable[[str], None] | None = None) -> None:
        """A registry in ``store``; ``note`` is told what takes long and what was put right (standard error without).

        Raises:
            WrongUse: ``registry.no_journal``, ``registry.no_driver``, ``install.missing_extra``.
        """
        self.store, self.note = store, note or _to_standard_error
        self.journal = Journal(store)
        self._client: MlflowClient | None = None

    @property
    def client(self) -> MlflowClient:
        """MLflow's client; a new database is set up first.

        Raises:
            OurFault: ``registry.unreachable``. WrongUse: ``install.missing_extra``, ``registry.no_driver``.
        """
        if self._client is None:
            if self.store.is_new:
                self.note(f"MLflow: setting up {self.store.shown} for the first time; this takes up to a minute")
            with self.reaching():
                self._client = client_of(self.store)
        return self._client

    def names(self) -> tuple[str, ...]:
        """All models that have versions."""
        return self.journal.models()

    def history(self, model: str) -> tuple[Entry, ...]:
        """Every change of a model's aliases, oldest first; checked to be whole.

        Raises:
            BadInput: ``registry.no_model``, ``registry.history_damaged``.
        """
        entries = self.journal.entries(model)
        if not entries:
            known = ", ".join(self.names()) or "none yet"
            raise BadInput(
                "registry.no_model", f"{self.store.shown} has no model {model!r}.", f"It has: {known}.", model=model
            )
        state_of(model, entries)
        return entries

    def state(self, model: str, *, told: bool = True) -> State:
        """Where a model stands; aliases that do not follow the history are put right, and ``note`` is ``told``.

        Raises:
            BadInput: ``registry.no_model``, ``registry.history_damaged``.
            OurFault: ``registry.unreachable``, ``registry.unsettled``.
        """
        for _ in range(_TRIES):
            state = state_of(model, self.history(model))
            self._follow(state, told=told)
            if self.journal.last_number(model) == state.number:
                return state
        raise OurFault(
            "registry.unsettled", f"The history of {model} does not stop changing.", "Try again when it is quiet."
        )

    def versions(self, model: str) -> tuple[Version, ...]:
        """All versions of a model, newest first.

        Raises:
            as :meth:`state`.
        """
        state = self.state(model)
        with self.reaching():
            found = self.client.search_model_versions(f"name='{model}'")
        return tuple(sorted((version_of(one, state) for one in found), key=lambda one: -one.version))

    def version(self, model: str, which: str | int, state: State | None = None) -> Version:
        """A version by number or alias, as things stand now or stood in ``state``.

        Raises:
            BadInput: ``registry.no_version``, and as :meth:`state`. WrongUse: ``registry.bad_version``.
        """
        state = self.state(model) if state is None else state
        number = number_of(state, which)
        if number is None:
            raise BadInput("registry.no_version", f"{model} has no {which}.", "See what it has: dubflow models list.")
        return version_of(self._found(model, number), state)

    def fetch(self, model: str, which: str | int, into: Path, trusted_keys: Sequence[Path]) -> ModelPackage:
        """Copy a version's package into the new folder ``into``, which appears only if every check holds.

        Where the folder has that very package already, it is checked and taken as it is.

        Raises:
            BadInput: as :meth:`version` and :func:`open_package`; ``registry.package_changed`` when the files are
                another package than the one that was registered.
        """
        version = self.version(model, which)
        into = Path(into)
        if into.exists():
            found = open_package(into, trusted_keys)
            check_digest(version, found)
            return found
        with self.files(version) as folder, atomic_dir(into) as part:
            for file in files_below(folder):
                (part / file).parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(folder / file, part / file)
            copied = open_package(part, trusted_keys)  # the copy: what lay there may change at any moment
            check_digest(version, copied)
        return ModelPackage(into, copied.manifest, copied.signed_by)

    def files(self, version: Version) -> AbstractContextManager[Path]:
        """A version's files on this machine, for the length of a ``with`` block.

        Raises:
            BadInput: ``registry.files_gone``.
        """
        return files_of(self.store, version)

    def read_files(self, version: Version, trusted_keys: Sequence[Path] = ()) -> ModelPackage:
        """Read every byte of a version's files and say what package they are; ``folder`` is of no use afterwards.

        Args:
            trusted_keys: one of them must have signed it; none: the signature is not looked at.

        Raises:
            BadInput: as :func:`open_package`; ``registry.package_changed`` when they are another package than the one
                that was registered.
        """
        with self.files(version) as folder:
            package = open_package(folder, trusted_keys) if trusted_keys else read_package(folder)
        check_digest(version, package)
        return package

    def change(self, seen: State, make: Callable[[State], Entry]) -> Entry:
        """Append what ``make`` makes of the latest state, unless the champion is no longer the one that was seen.

        Entries of others that leave the champion alone (a new challenger) are no conflict: ``make`` is asked again.

        Raises:
            BadInput: ``registry.lost_race``, naming the winner; what ``make`` raises.
            OurFault: ``registry.journal_unreachable``, ``registry.unsettled``.
        """
        state = seen
        for _ in range(_TRIES):
            entry = make(state)
            if self.journal.append(entry):
                return entry
            entries = self.history(seen.model)
            state = state_of(seen.model, entries)
            won = [one for one in entries[seen.number :] if one.champion != one.before]
            if won:
                raise _lost(won[0], seen.champion)
        raise OurFault(
            "registry.unsettled", f"The history of {seen.model} does not stop changing.", "Try again when it is quiet."
        )

    def as_seen(self, state: State, champion: int | None) -> None:
        """Refuse where the champion is no longer the one that somebody decided about; None: nobody said.

        Raises:
            BadInput: ``registry.lost_race``, naming who changed it.
        """
        if champion is not None and state.champion != champion:
            changes = [entry for entry in self.history(state.model) if entry.champion != entry.before]
            if changes:
                raise _lost(changes[-1], champion)
            raise BadInput(
                "registry.no_champion", f"{state.model} has no champion, so it was never {champion}.", "Look again."
            )

    @contextmanager
    def reaching(self) -> Iterator[None]:
        """Turns what MLflow raises when its store does not answer into an error of ours.

        Raises:
            OurFault: ``registry.unreachable``.
        """
        try:
            yield
        except DubflowError:
            raise
        except Exception as error:
            reason = " ".join(str(error).split())[:300]
            raise OurFault(
                "registry.unreachable",
                f"{self.store.shown} does not answer ({type(error).__name__}: {reason}).",
                "See whether it runs and can be reached, then try again.",
            ) from error

    def _found(self, model: str, number: int) -> ModelVersion:
        from mlflow.exceptions import MlflowException

        with self.reaching():
            try:
                return self.client.get_model_version(model, str(number))
            except MlflowException as error:
                if error.error_code != "RESOURCE_DOES_NOT_EXIST":
                    raise
                raise BadInput(
                    "registry.no_version",
                    f"{model} has no version {number}.",
                    "See what it has: dubflow models list.",
                ) from error

    def _follow(self, state: State, *, told: bool) -> None:
        """Set MLflow's aliases of a model as the history has them."""
        with self.reaching():
            aliases = self.client.get_registered_model(state.model).aliases
        wanted = {str(alias): version for alias, version in state.aliases.items()}
        for alias in ALIASES:
            want, found = wanted.get(alias), aliases.get(alias)
            if want == (None if found is None else int(found)):
                continue
            done = self._set(state.model, alias, want)
            if told and done:
                self.note(
                    f"MLflow: the {alias} of {state.model} was {found or 'nobody'}; put right by the history: "
                    f"{want or 'nobody'}"
                )

    def _set(self, model: str, alias: str, version: int | None) -> bool:
        """Set or remove an alias; False where MLflow has no such version any more."""
        from mlflow.exceptions import MlflowException

        with self.reaching():
            try:
                if version is None:
                    self.client.delete_registered_model_alias(model, alias)
                else:
                    self.client.set_registered_model_alias(model, alias, str(version))
            except MlflowException as error:
                if error.error_code != "RESOURCE_DOES_NOT_EXIST":
                    raise
                # Not an error: what else could be done, such as promoting another, must go on working.
                self.note(f"MLflow: version {version} of {model}, its {alias} by the history, was deleted there")
                return False
        return True


def open_registry(uri: str | None = None, note: Callable[[str], None] | None = None) -> Registry:
    """The registry of ``uri``; without it that of DUBFLOW_MLFLOW_URI or, without that, ``mlflow.db`` in DUBFLOW_HOME.

    Raises:
        WrongUse: ``registry.bad_tracking_uri``, ``registry.no_journal``, ``registry.no_driver``,
            ``install.missing_extra``.
    """
    return Registry(store_of(uri, Settings().home / "models"), note)


def now() -> str:
    """UTC, ISO 8601, to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def _lost(won: Entry, seen: int | None) -> BadInput:
    before = "nobody" if seen is None else f"version {seen}"
    return BadInput(
        "registry.lost_race",
        f"{won.by} was first: at {won.at} version {won.champion} of {won.model} became champion ({won.action}), "
        f"where this had seen {before}.",
        "Look at the new champion; to replace it, judge against it and promote again.",
        winner=won.model_dump(mode="json"),
    )


def _to_standard_error(text: str) -> None:
    sys.stderr.write(text + "\n")
