"""A packed adapter as an engine: files, licence-bound facts and the base are looked at first, weights last."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dubflow.errors import WrongUse
from dubflow.registry.package.facts import IncontextFacts
from dubflow.registry.package.manifest import PACKAGE, WEIGHTS, read_manifest
from dubflow.registry.package.opening import read_package

if TYPE_CHECKING:
    from dubflow.dubbing.incontext_engine import IncontextEngine

BASE = "DUBFLOW_INCONTEXT_BASE"
"""Variable with the place of the base in this deployment; without it packages are taken at their word."""


def is_adapter_package(folder: Path) -> bool:
    """Whether a folder is a package of the in-context family.

    Raises:
        BadInput: what :func:`dubflow.registry.package.manifest.read_manifest` says.
    """
    return (Path(folder) / PACKAGE).is_file() and isinstance(read_manifest(folder).facts, IncontextFacts)


def open_adapter_package(folder: Path, base: str | Path | None = None, **how: Any) -> IncontextEngine:
    """The engine of a packed adapter on its base.

    Args:
        base: where the base lies; by default :data:`BASE`, else where it lay when the adapter was trained.
        how: as :meth:`dubflow.dubbing.incontext_engine.IncontextEngine.open` takes it.

    Raises:
        BadInput: what :func:`dubflow.registry.package.opening.read_package` says, ``registry.incompatible``, and what
            opening the engine says.
        WrongUse: ``serving.not_an_adapter``.
    """
    from dubflow.dubbing.incontext_engine import IncontextEngine
    from dubflow.incontext.backbone.described import describe_base
    from dubflow.registry.package.incontext import base_of, check_adapter

    package = read_package(Path(folder))
    if not isinstance(package.facts, IncontextFacts):
        raise WrongUse(
            "serving.not_an_adapter", f"{folder} is no package of an adapter.", "Name one of the in-context family."
        )
    where = str(base or os.environ.get(BASE) or base_of(package))
    check_adapter(package.facts, describe_base(where))
    return IncontextEngine.open(Path(where), adapter=package.folder / WEIGHTS, **how)
