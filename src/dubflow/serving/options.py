"""What a server was asked to serve, and how; kept in its folder, so that every process of it reads the same."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Literal

from pydantic import Field, ValidationError

from dubflow.atomic import write_json
from dubflow.config import Strict
from dubflow.errors import BadInput
from dubflow.serving.patience import WatchSettings
from dubflow.serving.settings import TritonSettings

FILE = "options.json"


class Tuning(Strict):
    """The section ``serving`` of a preset."""

    triton: TritonSettings = TritonSettings()
    watch: WatchSettings = WatchSettings()


class ServeOptions(Strict):
    """Of one server."""

    format: Literal["dubflow.serve-options/1"] = "dubflow.serve-options/1"
    model: str | None = Field(
        "starter", description="starter, or a folder: of a package or stored model (version 0), or of an export."
    )
    registry: str | None = Field(None, description="MLflow's database or server; None: as `dubflow models` finds it.")
    name: str | None = Field(None, description="Model in the registry whose champion is served, instead of `model`.")
    trusted_keys: tuple[Path, ...] = Field((), description="Public keys, one of which must have signed a package.")
    verdict_keys: tuple[Path, ...] = Field(
        (), description="Public keys, one of which must have signed the verdict of a promotion over HTTP."
    )
    licences: str | None = Field(None, description="Licence policy: commercial, research or a file.")
    tuning: Tuning = Tuning()


def write_options(directory: Path, options: ServeOptions) -> None:
    """Keep the options of the server of ``directory``."""
    write_json(Path(directory) / FILE, options.model_dump(mode="json"))


def read_options(directory: Path) -> ServeOptions:
    """What :func:`write_options` kept.

    Raises:
        BadInput: ``serving.no_options``.
    """
    path = Path(directory) / FILE
    try:
        return ServeOptions.model_validate(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, ValidationError) as error:
        raise BadInput(
            "serving.no_options", f"{path} does not say what to serve: {error}", "Start the server: dubflow serve up."
        ) from error
