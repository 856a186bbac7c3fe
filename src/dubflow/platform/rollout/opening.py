"""A rollout as a command finds it: which records, which registry, and where the versions run."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from dubflow.config import Settings
from dubflow.errors import WrongUse
from dubflow.platform.rollout.golden import Hears
from dubflow.platform.rollout.machine import Rollout
from dubflow.platform.rollout.policy import Where
from dubflow.platform.rollout.records import RolloutLog
from dubflow.platform.rollout.releasing import Releases
from dubflow.registry.licences import LicencePolicy
from dubflow.registry.promoting import Rules

RECORDS = "rollouts"


@dataclass(frozen=True)
class Asked:
    """What a command was told.

    Attributes:
        state: folder of the server, for ``local``. model: in the registry; the server's own where it is None.
        registry: as ``dubflow models`` takes it; the server's own locally.
    """

    where: Where
    state: Path
    model: str | None = None
    registry: str | None = None
    package_keys: Sequence[Path] = ()
    verdict_keys: Sequence[Path] = ()
    policies: Sequence[str] | None = None
    licences: LicencePolicy | None = None


@dataclass(frozen=True)
class Opened:
    """Everything that a verb needs."""

    model: str
    releases: Releases
    rollout: Rollout


def log_of(asked: Asked) -> RolloutLog:
    """Where the decisions stand: in the server's folder, or in ``rollouts/MODEL`` of DUBFLOW_HOME for a cluster.

    Raises:
        WrongUse: ``platform.no_model_named``.
    """
    if asked.where == "local":
        from dubflow.platform.rollout.local import FOLDER

        return RolloutLog(asked.state / FOLDER)
    return RolloutLog(Settings().home / RECORDS / _named(asked))


def open_rollout(asked: Asked, say: Callable[[str], None]) -> Opened:
    """The rollout of a model; nothing is changed by that.

    Raises:
        WrongUse: ``platform.no_model_named``, ``platform.other_model``, ``platform.no_model_followed``,
            ``platform.no_cluster_address``; what the registry's settings are refused for.
        BadInput: ``serving.no_options`` for a folder of no server.
    """
    log = log_of(asked)
    if asked.where == "cluster":
        from dubflow.platform.rollout.cluster import ClusterPlace
        from dubflow.platform.rollout.kubernetes import ClusterSettings, services_of
        from dubflow.registry.models import open_registry

        rules = Rules(asked.package_keys, asked.verdict_keys, asked.licences, asked.policies)
        releases, settings = Releases(open_registry(asked.registry), rules), ClusterSettings()
        place = ClusterPlace(services_of(settings), releases, settings, recogniser, say)
        return Opened(_named(asked), releases, Rollout(log, place, say))
    from dubflow.platform.rollout.local import LocalPlace, registry_of, triton_backend

    registry, model, keys = registry_of(asked.state)
    if asked.model not in (None, model):
        raise WrongUse(
            "platform.other_model",
            f"The server of {asked.state} serves {model}, not {asked.model}.",
            "Name its model, or another server's folder: --state.",
        )
    rules = Rules(tuple(asked.package_keys) or tuple(keys), asked.verdict_keys, asked.licences, asked.policies)
    releases = Releases(registry, rules)
    local = LocalPlace(asked.state, releases, triton_backend(asked.state), recogniser, say, policy=asked.licences)
    return Opened(model, releases, Rollout(log, local, say))


def recogniser() -> Hears:
    """The phone judge that comes with the package.

    Raises:
        WrongUse: ``install.missing_extra``.
    """
    from dubflow.judging.phone_judge.recogniser import PhoneRecogniser

    return PhoneRecogniser.open()


def _named(asked: Asked) -> str:
    if asked.model is None:
        raise WrongUse("platform.no_model_named", "No model is named.", "Give --name MODEL.")
    return asked.model
