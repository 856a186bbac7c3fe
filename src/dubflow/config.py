"""Settings and presets: strict, described, read once.

A preset is a YAML file in ``configs/`` whose sections are validated by the room that owns them, so this module knows
how to find and read one, not what is in it. Unknown names are refused everywhere.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from dubflow.errors import BadInput, OurFault, WrongUse


class Strict(BaseModel):
    """Base of every settings object: unknown fields are errors, values never change after validation."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Settings(BaseSettings):
    """What the environment may set, under the prefix ``DUBFLOW_``."""

    model_config = SettingsConfigDict(env_prefix="DUBFLOW_", extra="ignore", frozen=True)

    home: Path = Field(Path("demo"), description="Where commands put what they make when no --out is given.")
    decode_seconds: float = Field(7200.0, gt=0, description="Longest clip accepted, in seconds of media.")
    decode_bytes: int = Field(8 * 2**30, gt=0, description="Largest file accepted, in bytes.")
    decode_wall_s: float = Field(600.0, gt=0, description="Wall time after which the decoding child is ended.")


Model = TypeVar("Model", bound=BaseModel)


def presets_folder() -> Path:
    """Where the shipped presets lie: inside an installed wheel, or ``configs/`` of a checkout."""
    package = Path(__file__).parent
    for folder in (package / "presets", package.parents[1] / "configs"):
        if folder.is_dir():
            return folder
    raise OurFault(
        "config.no_presets", "The folder of presets is missing from this installation.", "Reinstall dubflow."
    )


def preset_names() -> list[str]:
    """Names that ``--preset`` takes."""
    return sorted(path.stem for path in presets_folder().glob("*.yaml"))


def load_preset(name: str, section: str, model: type[Model]) -> Model:
    """Read ``section`` of the preset ``name`` (a shipped name or a path to a YAML file) into ``model``.

    Raises:
        WrongUse: ``config.unknown_preset``.
        BadInput: ``config.bad_preset`` with every offending field named.
    """
    path = Path(name) if name.endswith((".yaml", ".yml")) else presets_folder() / f"{name}.yaml"
    if not path.is_file():
        raise WrongUse("config.unknown_preset", f"There is no preset {name!r}.", f"Known: {', '.join(preset_names())}.")
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise BadInput(
            "config.bad_preset", f"{path.name} is not YAML: {error}.", "Compare it with configs/tiny.yaml."
        ) from error
    if not isinstance(content, dict):
        raise BadInput("config.bad_preset", f"{path.name} has no sections.", "Compare it with configs/tiny.yaml.")
    return validated(model, content.get(section, {}), f"{path.name}, section {section!r}")


def validated(model: type[Model], content: Any, where: str) -> Model:
    """``content`` as a ``model``, or ``config.bad_preset`` naming every field that is wrong."""
    try:
        return model.model_validate(content)
    except ValidationError as error:
        problems = "; ".join(f"{'.'.join(map(str, e['loc'])) or 'value'}: {e['msg']}" for e in error.errors())
        raise BadInput("config.bad_preset", f"{where}: {problems}.", "Remove or correct the named fields.") from error
