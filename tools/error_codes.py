"""Write ``docs/errors.md``: every error code in the source, whose doing it is, and the sentence that comes with it."""

from __future__ import annotations

import ast
import re
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "errors.md"
KINDS = {"WrongUse": ("wrong use", 2), "BadInput": ("bad input", 3), "OurFault": ("ours", 4)}
BUILDERS = {**{name: name for name in KINDS}, "refuse": "BadInput"}
"""What a coded error is built by, in our source: the classes, and ``refuse``, which adds the file's name in front."""
CODE = re.compile(r"[a-z]+\.[a-z][a-z0-9_]*")
INTRODUCTION = """# Error codes

Written by `make pages` from the source; a test holds it against the source. A code is a contract: scripts may match on
it. The exit code follows from whose doing it was: 2 wrong use, 3 bad input, 4 ours. Words in braces are filled in.

| code | whose doing | exit | headline |
|---|---|---|---|
"""


@dataclass(frozen=True, order=True)
class Raised:
    """One place that raises a coded error."""

    code: str
    kind: str
    headline: str
    module: str


def raised_in(source: str, module: str) -> list[Raised]:
    """Every coded error that a module's source builds with a literal code."""
    found = []
    tree = ast.parse(source)
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call) or len(node.args) < 2:
            continue
        name = node.func.id if isinstance(node.func, ast.Name) else getattr(node.func, "attr", "")
        if name in BUILDERS:
            before = "{name} " if name == "refuse" else ""
            headline = before + template(node.args[1])
            found += [Raised(code, BUILDERS[name], headline, module) for code in codes_of(node.args[0], tree)]
    return found


def codes_of(node: ast.expr, tree: ast.AST) -> list[str]:
    """The literal codes an argument can be; a plain name is looked up where the module assigns it."""
    if isinstance(node, ast.Name):
        assignments = [one for one in ast.walk(tree) if isinstance(one, ast.Assign)]
        values = [one.value for one in assignments if node.id in names_in(one.targets[0])]
    else:
        values = [node]
    literals = [c.value for value in values for c in ast.walk(value) if isinstance(c, ast.Constant)]
    return [code for code in literals if isinstance(code, str) and CODE.fullmatch(code)]


def names_in(target: ast.expr) -> set[str]:
    """Names that an assignment binds, in a tuple too."""
    return {node.id for node in ast.walk(target) if isinstance(node, ast.Name)}


def template(node: ast.expr) -> str:
    """The sentence as written, with braces where values go."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    if isinstance(node, ast.JoinedStr):
        return "".join(
            part.value if isinstance(part, ast.Constant) else "{" + ast.unparse(part.value) + "}"
            for part in node.values
            if isinstance(part, ast.Constant | ast.FormattedValue)
        )
    return "{" + ast.unparse(node) + "}"


def all_raised() -> list[Raised]:
    """Over the whole package, sorted by code."""
    package = ROOT / "src" / "dubflow"
    found = []
    for path in sorted(package.rglob("*.py")):
        module = ".".join(path.relative_to(package).with_suffix("").parts)
        found += raised_in(path.read_text(encoding="utf-8"), module)
    return sorted(set(found))


def page() -> str:
    """The whole page: one line a code and sentence."""
    lines = {}
    for raised in all_raised():
        whose, exit_code = KINDS[raised.kind]
        headline = " ".join(raised.headline.split()).replace("|", "\\|")
        lines.setdefault((raised.code, whose, exit_code), []).append(headline)
    rows = [
        f"| `{code}` | {whose} | {exit_code} | {' / '.join(dict.fromkeys(headlines))} |"
        for (code, whose, exit_code), headlines in sorted(lines.items())
    ]
    return INTRODUCTION + "\n".join(rows) + "\n"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
    print(f"wrote {PAGE.relative_to(ROOT)}")
