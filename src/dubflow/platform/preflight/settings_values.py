"""Values of ``DUBFLOW_*`` variables, read by the very classes that will read them in a pod."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar

from pydantic import ValidationError
from pydantic_settings import BaseSettings, EnvSettingsSource

from dubflow.config import Settings
from dubflow.gateway.settings import GatewaySettings
from dubflow.platform.backup.settings import BackupSettings
from dubflow.platform.inference_services import DeploySettings
from dubflow.platform.pipelines.cluster import ClusterSettings
from dubflow.platform.rollout.kubernetes import ClusterSettings as RolloutSettings
from dubflow.platform.steps.verbs import RetrySettings
from dubflow.platform.trainjobs import TrainJobSettings
from dubflow.registry.journal import JournalSettings
from dubflow.registry.tracking_store import TrackingSettings
from dubflow.serving.listening import Listening

CLASSES: tuple[type[BaseSettings], ...] = (
    Settings, GatewaySettings, BackupSettings, DeploySettings, ClusterSettings, RolloutSettings, RetrySettings,
    TrainJobSettings, JournalSettings, TrackingSettings, Listening,
)  # fmt: skip
"""Every class that reads the environment; a test holds the list to the code."""
_NOBODY = "DUBFLOW_PREFLIGHT_NOBODY_"
_Settings = TypeVar("_Settings", bound=BaseSettings)


def prefix_of(kind: type[BaseSettings]) -> str:
    """Of the variables of a class."""
    return str(kind.model_config.get("env_prefix"))


def read_settings(kind: type[_Settings], variables: Mapping[str, str]) -> _Settings:
    """What a pod with these variables would read; the rest is left to the defaults.

    Raises:
        pydantic.ValidationError: for a value that the class does not take.
        pydantic_settings.SettingsError: for a list that is no JSON.
    """
    source = EnvSettingsSource(kind)
    source.env_vars = {name.lower(): value for name, value in variables.items()}
    # Under a prefix that nobody uses: what this person's environment says is no part of the overlay.
    return kind(_env_prefix=_NOBODY, **source())


def wrong_values(variables: Mapping[str, str]) -> list[str]:
    """What any class says against its variables, a sentence each."""
    found = []
    for kind in CLASSES:
        prefix = prefix_of(kind)
        names = {f"{prefix}{name.upper()}" for name in kind.model_fields}
        given = {name: value for name, value in variables.items() if name in names}
        if not given:
            continue
        try:
            read_settings(kind, given)
        except ValidationError as error:
            found += [
                f"{prefix}{str(one['loc'][0]).upper() if one['loc'] else ''}: {one['msg']}." for one in error.errors()
            ]
        except ValueError as error:  # a list that is no JSON
            found.append(f"{error}.")
    return found
