"""Tables as Markdown."""

from __future__ import annotations

from collections.abc import Sequence

from dubflow.judging.tables import Cell, Table


def markdown(table: Table) -> str:
    """The table in Markdown, with its caption over it and its notes under it; gaps are numbered."""
    reasons = table.reasons()
    heads = list(table.heads)
    if table.settings:
        heads = list(table.heads)
    if table.settings:
        heads = [f"{head} ({setting})" for head, setting in zip(heads, table.settings, strict=True)]
    lines = [f"**{table.caption}**", "", _line(["", *heads]), _line(["---"] * (len(table.heads) + 1))]
    tier = ""
    for row in table.rows:
        if row.tier != tier:
            tier = row.tier
            lines.append(_line([f"*{_plain(tier)}*", *([""] * len(table.heads))]))
        lines.append(_line([_plain(row.label), *(_marked(cell, reasons) for cell in row.cells)]))
    lines += ["", *(f"- {_plain(note)}" for note in table.notes)]
    lines += [f"- –{number}: {_plain(reason)}" for number, reason in enumerate(reasons, start=1)]
    return "\n".join(lines) + "\n"


def _marked(cell: Cell, reasons: Sequence[str]) -> str:
    return f"–{reasons.index(cell.reason) + 1}" if cell.reason else _plain(cell.text)


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _plain(text: str) -> str:
    """Names that others gave stay in their cell, and mean nothing there."""
    flat = " ".join(text.split())
    for mark in "\\`*|[]":
        flat = flat.replace(mark, f"\\{mark}")
    return flat.replace("<", "&lt;").replace(">", "&gt;")
