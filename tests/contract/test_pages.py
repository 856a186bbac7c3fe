"""Generated pages tell the truth about the source and the lock."""

from __future__ import annotations

import importlib.util
import re
import sys
from pathlib import Path
from types import ModuleType

import pytest


def load_tool(repository: Path, name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"dubflow_tool_{name}", repository / "tools" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def test_every_error_code_is_documented(repository: Path) -> None:
    page = load_tool(repository, "error_codes").page()
    assert (repository / "docs" / "errors.md").read_text("utf-8") == page, "run `make pages`"


def test_codes_are_named_after_their_room(repository: Path) -> None:
    astray = [
        (raised.code, raised.module)
        for raised in load_tool(repository, "error_codes").all_raised()
        if not re.fullmatch(r"[a-z]+\.[a-z0-9_]+", raised.code)
        or (raised.module.split(".")[0] not in {raised.code.split(".")[0], "errors"})
    ]
    assert astray == []


def test_a_code_is_always_the_same_persons_doing(repository: Path) -> None:
    kinds: dict[str, set[str]] = {}
    for raised in load_tool(repository, "error_codes").all_raised():
        kinds.setdefault(raised.code, set()).add(raised.kind)
    assert {code: kind for code, kind in kinds.items() if len(kind) > 1} == {}


def test_the_scanner_finds_codes_in_every_form_we_write_them(repository: Path) -> None:
    tool = load_tool(repository, "error_codes")
    source = "raise BadInput('a.b', f'{x} is off.', '')\nerror = WrongUse('a.c' if y else 'a.d', 'No.')\n"
    found = [(raised.code, raised.kind, raised.headline) for raised in tool.raised_in(source, "a")]
    assert found == [("a.b", "BadInput", "{x} is off."), ("a.c", "WrongUse", "No."), ("a.d", "WrongUse", "No.")]


def test_every_locked_package_has_a_licence_in_the_table(repository: Path) -> None:
    tool = load_tool(repository, "licences")
    rows = re.findall(
        r"^\| (\S+) \| (\S+) \| (.+?) \| (.+?) \|$", (repository / "docs/licences.md").read_text("utf-8"), re.M
    )
    assert {name: version for name, version, *_ in rows[1:]} == tool.locked(), "run `make pages`"
    assert [row for row in rows if "UNKNOWN" in row[2].upper()] == []


@pytest.mark.parametrize("package", ["espeakng-loader", "pygit2", "grandalf", "asyncssh", "dulwich"])
def test_copyleft_packages_stay_out_of_the_base_installation(repository: Path, package: str) -> None:
    row = re.search(rf"^\| {package} \|.*$", (repository / "docs/licences.md").read_text("utf-8"), re.M)
    assert row is not None
    assert "GPL" in row[0]
    assert not row[0].endswith("| base |")
