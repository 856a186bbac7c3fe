"""From ``pipelines/`` and ``components/`` of a checkout to the compiled pipelines."""

from __future__ import annotations

import importlib
import sys
from dataclasses import dataclass
from pathlib import Path

from dubflow.atomic import write_text
from dubflow.errors import WrongUse, missing_extra

PIPELINES = ("evaluate", "nightly", "release", "train_dubber", "train_lora")


@dataclass(frozen=True)
class Compiled:
    """One pipeline: where its compiled form lies, and whether it had changed."""

    name: str
    path: Path
    changed: bool


def definitions_root() -> Path:
    """The checkout that holds ``pipelines/`` and ``components/``.

    Raises:
        WrongUse: ``platform.no_definitions`` for an installed package, which carries the compiled form alone.
    """
    root = Path(__file__).parents[4]
    if not all((root / name / "__init__.py").is_file() for name in ("pipelines", "components")):
        raise WrongUse(
            "platform.no_definitions",
            "Pipelines are compiled from a checkout of dubflow; this is an installed package.",
            "`dubflow run` uses the compiled pipelines that it carries.",
        )
    return root


def compile_pipelines(out: Path, *, write: bool = True) -> tuple[Compiled, ...]:
    """Compile every pipeline into the folder ``out``; without ``write`` only say which would change.

    Raises:
        WrongUse: ``platform.no_definitions``, ``install.missing_extra``.
    """
    root = definitions_root()
    return tuple(_compiled(root, name, Path(out), write) for name in PIPELINES)


def compiled_text(root: Path, name: str) -> str:
    """The YAML of one pipeline, as it is written."""
    try:
        from kfp import compiler
    except ImportError as error:
        raise missing_extra("kfp") from error
    import tempfile

    if str(root) not in sys.path:
        sys.path.insert(0, str(root))
    pipeline = getattr(importlib.import_module(f"pipelines.{name}"), name)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "pipeline.yaml"
        compiler.Compiler().compile(pipeline, str(path))
        return path.read_text(encoding="utf-8")


def _compiled(root: Path, name: str, out: Path, write: bool) -> Compiled:
    text, path = compiled_text(root, name), out / f"{name}.yaml"
    changed = not path.is_file() or path.read_text(encoding="utf-8") != text
    if changed and write:
        write_text(path, text)
    return Compiled(name.replace("_", "-"), path, changed)
