"""The list of rules in ``docs/preflight.md``, written from the rules: ``python -m dubflow.platform.preflight.page``."""

from __future__ import annotations

import sys
from itertools import groupby
from pathlib import Path

from dubflow.atomic import write_text
from dubflow.errors import OurFault
from dubflow.platform.preflight.check import all_rules, project_root

PAGE = "docs/preflight.md"
BEGIN, END = "<!-- rules: written by `make pages` -->\n", "<!-- end of rules -->\n"
_GROUPS = {
    "render": "Rendering",
    "schema": "Schemas",
    "policy": "Policies",
    "reference": "References",
    "version": "Versions",
    "promtool": "Rules and alerts",
    "image": "Images",
}


def rules_table() -> str:
    """Every rule by group: what is asked, and what happens otherwise."""
    lines = []
    for group, rules in groupby(all_rules(), key=lambda one: one.group):
        lines += ["", f"### {_GROUPS[group]}", "", "| rule | asks | otherwise |", "|---|---|---|"]
        lines += [f"| `{one.name}` | {_cell(one.asks)} | {_cell(one.why)} |" for one in rules]
    return "\n".join([*lines, "", ""])


def with_rules(page: str) -> str:
    """A page with the list in its place.

    Raises:
        OurFault: ``platform.page_without_place``.
    """
    before, begin, rest = page.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise OurFault("platform.page_without_place", f"{PAGE} has no place for the rules.", "Put the two marks back.")
    return f"{before}{BEGIN}{rules_table()}{END}{after}"


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def main(root: Path | None = None) -> int:
    """Write the page."""
    path = (root or project_root()) / PAGE
    write_text(path, with_rules(path.read_text(encoding="utf-8")))
    return 0


if __name__ == "__main__":
    sys.exit(main())
