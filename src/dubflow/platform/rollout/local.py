"""A rollout on the server of this machine: the candidate is loaded into the same Triton, beside the champion.

No user's job goes to the candidate before it is promoted (workers take whoever is current); each stage is judged by
golden dubs that both versions make in turn on the same server. Promotion is the registry's: the server's watcher
follows the alias, as it always does, and finds the candidate loaded.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

from dubflow.errors import BadInput, DubflowError, WrongUse
from dubflow.platform.rollout.checks import GoldenPair, Requests
from dubflow.platform.rollout.golden import Hears, check_languages, compare_golden, golden_seeds
from dubflow.platform.rollout.records import Contest
from dubflow.platform.rollout.releasing import Releases
from dubflow.platform.serving_status import await_served, is_up
from dubflow.registry.licences import LicencePolicy
from dubflow.registry.models import Registry
from dubflow.serving.backend import Backend
from dubflow.serving.engines import engine_for
from dubflow.serving.export import MODEL, Exported, export_model, read_export
from dubflow.serving.source import RegistrySource, Wanted
from dubflow.serving.state import Served, ServingState, read_state

FOLDER = "rollout"
_SERVED_S = 120.0


class LocalPlace:
    """The server of ``directory`` (``dubflow serve up --name MODEL``), with the real Triton."""

    def __init__(
        self,
        directory: Path,
        releases: Releases,
        backend: Backend,
        judge: Callable[[], Hears],
        say: Callable[[str], None] = lambda _: None,
        *,
        policy: LicencePolicy | None = None,
        export: Callable[[Path, int], Exported] = export_model,
    ) -> None:
        """
        Args:
            releases: promotes and rolls back in the registry. backend: the server. judge: opens whoever hears phones.
            policy: licences that are allowed.
        """
        self._directory, self._releases, self._backend = Path(directory), releases, backend
        self._judge, self._say, self._export, self._policy = judge, say, export, policy

    def set_share(self, contest: Contest, percent: int) -> None:
        """See :class:`~dubflow.platform.rollout.machine.Place`: the candidate is loaded; what share is on paper only.

        Raises:
            WrongUse: ``platform.no_server``, ``platform.no_triton_server``. BadInput: ``platform.other_champion``;
                what is wrong with the candidate. OurFault: ``serving.not_loaded``.
        """
        self._champion(contest)
        if self._backend.ready(contest.candidate):
            return
        export, folder = self._exported(contest)
        self._backend.install(export, folder)
        self._backend.load(contest.candidate)
        self._say(f"version {contest.candidate} is loaded beside version {contest.champion}")

    def golden(
        self, contest: Contest, dubs: int, look: int, stopped: Callable[[], bool] = lambda: False
    ) -> Sequence[GoldenPair]:
        """See :class:`~dubflow.platform.rollout.machine.Place`."""
        state, champion = self._champion(contest)
        export, folder = self._exported(contest)
        candidate = export.served(folder)
        limit = contest.policy.dub_s
        ours = engine_for(self._directory, state, candidate, deadline_s=limit)
        theirs = engine_for(self._directory, state, champion, deadline_s=limit)
        check_languages(candidate.languages, champion.languages)
        seeds = golden_seeds(dubs, look)
        return list(compare_golden(ours, theirs, seeds, self._judge(), within_s=limit, stopped=stopped))

    def requests(self, contest: Contest) -> tuple[Requests | None, Requests | None] | None:
        """Nobody is asked: users' jobs do not reach the candidate here."""
        return None

    def promote(self, contest: Contest, by: str) -> None:
        """See :class:`~dubflow.platform.rollout.machine.Place`; ends once the server serves it."""
        self._releases.promote(contest, by)
        await_served(self._directory, contest.candidate, contest.candidate_package, _SERVED_S)
        shutil.rmtree(self._folder(contest), ignore_errors=True)  # the server has an export of its own

    def rollback(self, contest: Contest, by: str, reason: str) -> None:
        """See :class:`~dubflow.platform.rollout.machine.Place`."""
        self._releases.rollback(contest, by, reason)
        if not is_up(self._directory):
            return  # whoever starts it again loads the champion only
        if self._releases.registry.state(contest.model).champion == contest.champion:
            await_served(self._directory, contest.champion, contest.champion_package, _SERVED_S)
        state = read_state(self._directory)
        kept = {one.version for one in (state.current, state.previous) if one is not None}
        if contest.candidate not in kept and contest.candidate in self._backend.installed():
            self._backend.remove(contest.candidate)
        shutil.rmtree(self._folder(contest), ignore_errors=True)

    def _champion(self, contest: Contest) -> tuple[ServingState, Served]:
        """The state, and the champion of the contest, which must be the one that serves."""
        if not is_up(self._directory):
            raise WrongUse(
                "platform.no_server",
                f"No server runs in {self._directory}.",
                f"Start it: dubflow serve up --name {contest.model} --detach.",
            )
        state = read_state(self._directory)
        if state.mode != "triton":
            raise WrongUse(
                "platform.no_triton_server",
                f"The server runs its models in-process ({state.why}): a second version cannot be loaded beside.",
                "Judge with dubflow evaluate and dubflow gate, and promote with dubflow models promote.",
            )
        current = state.current
        if current is None or (current.version, current.package) != (contest.champion, contest.champion_package):
            serves = "nobody" if current is None else f"version {current.version}"
            raise BadInput(
                "platform.other_champion",
                f"The contest is against version {contest.champion}, and {serves} serves in {self._directory}.",
                "Somebody changed it: dubflow rollout rollback, then begin anew.",
            )
        return state, current

    def _exported(self, contest: Contest) -> tuple[Exported, Path]:
        """The candidate's export; made once, checked and spoken with in a process of its own."""
        folder = self._folder(contest)
        if (folder / MODEL).is_dir():
            try:
                return read_export(folder), folder
            except DubflowError:
                shutil.rmtree(folder)  # killed between bringing and describing it
        registry, keys = self._releases.registry, self._releases.package_keys
        source = RegistrySource(registry, contest.model, keys, self._policy)
        source.bring(Wanted(contest.candidate, contest.candidate_package, 0), folder / MODEL)
        try:
            return self._export(folder, contest.candidate), folder
        except DubflowError:
            shutil.rmtree(folder, ignore_errors=True)
            raise

    def _folder(self, contest: Contest) -> Path:
        return self._directory / FOLDER / f"{contest.candidate}-{contest.candidate_package[:16]}"


def triton_backend(directory: Path) -> Backend:
    """The running server of a folder, with the tuning that it was started with.

    Raises:
        BadInput: ``serving.no_options``. WrongUse: ``install.missing_extra``.
    """
    from dubflow.serving.options import read_options
    from dubflow.serving.triton_backend import TritonBackend

    return TritonBackend(directory, read_options(directory).tuning.triton)


def registry_of(directory: Path) -> tuple[Registry, str, Sequence[Path]]:
    """Registry, model and trusted keys that the server of a folder follows.

    Raises:
        WrongUse: ``platform.no_model_followed``. BadInput: ``serving.no_options``.
    """
    from dubflow.registry.models import open_registry
    from dubflow.serving.options import read_options

    options = read_options(directory)
    if options.name is None:
        raise WrongUse(
            "platform.no_model_followed",
            f"The server of {directory} follows no model of a registry.",
            "Start it with dubflow serve up --name MODEL.",
        )
    return open_registry(options.registry), options.name, options.trusted_keys
