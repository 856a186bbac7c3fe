"""Names of environment variables that our code reads, and paths that it answers, found in the code itself.

Two ways of reading a variable are known: fields of settings classes (``env_prefix``), and names that stand in the code
as a whole word.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator
from functools import lru_cache
from pathlib import Path

_NAME = re.compile(r"""["'](DUBFLOW_[A-Z0-9_]*[A-Z0-9])["']""")
_PATH = re.compile(r"""["'](/[a-z0-9_/{}-]*)["']""")
_FOLDERS = ("src/dubflow", "components", "pipelines", "serving")


@lru_cache(maxsize=2)
def known_variables(root: Path) -> frozenset[str]:
    """Every ``DUBFLOW_*`` variable that code below a project's root reads."""
    found: set[str] = set()
    for path in _sources(root):
        text = path.read_text(encoding="utf-8")
        if "DUBFLOW_" not in text:
            continue
        found |= set(_NAME.findall(text))
        if "env_prefix" in text:
            found |= set(_fields(ast.parse(text)))
    return frozenset(found)


@lru_cache(maxsize=2)
def known_paths(root: Path) -> frozenset[str]:
    """Every text of our code that could be the path of a request."""
    return frozenset(path for file in _sources(root) for path in _PATH.findall(file.read_text(encoding="utf-8")))


def _sources(root: Path) -> Iterable[Path]:
    # Preflight itself speaks of names that it looks for, which does not make them be read.
    here = Path(__file__).parent
    return (path for folder in _FOLDERS for path in (root / folder).rglob("*.py") if here not in path.parents)


def _fields(tree: ast.AST) -> Iterator[str]:
    for one in ast.walk(tree):
        prefix = _prefix(one) if isinstance(one, ast.ClassDef) else None
        if prefix is None or not isinstance(one, ast.ClassDef):
            continue
        for line in one.body:
            if isinstance(line, ast.AnnAssign) and isinstance(line.target, ast.Name):
                yield f"{prefix}{line.target.id.upper()}"


def _prefix(one: ast.ClassDef) -> str | None:
    for line in one.body:
        if isinstance(line, ast.Assign) and isinstance(line.value, ast.Call):
            for keyword in line.value.keywords:
                if keyword.arg == "env_prefix" and isinstance(keyword.value, ast.Constant):
                    return str(keyword.value.value)
    return None
