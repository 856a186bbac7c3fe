"""A lineage drawn: one HTML file with the graph from prompts and clips to the model, and every node in tables.

Prompts, clips and pairs that lead to the same place are one box with their number. The file needs no network and runs
nothing; names in it are untrusted and stand as text.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

from dubflow.judging.page.markup import Markup, element, raw_block
from dubflow.registry.package.lineage import Lineage, Node

_MANY = ("prompt", "clip", "pair")
_WIDTH, _HEIGHT, _ACROSS, _DOWN, _MARGIN = 190, 62, 64, 18, 12
_LONGEST = 24
_STYLE = """
:root { color-scheme: light dark; }
body { margin: 1.5rem; font: 15px/1.45 system-ui, "DejaVu Sans", sans-serif; overflow-wrap: anywhere; }
.graph { overflow-x: auto; }
rect { fill: Canvas; stroke: currentColor; stroke-opacity: .45; }
rect.model { stroke: #0072b2; stroke-width: 2.5; stroke-opacity: 1; }
path { fill: none; stroke: currentColor; stroke-opacity: .4; }
text { fill: currentColor; font-size: 13px; }
text.soft { fill-opacity: .7; font-size: 11px; }
td, th { text-align: left; padding: .1rem .8rem .1rem 0; vertical-align: top; }
td.digest { font-family: monospace; }
"""


@dataclass(frozen=True)
class Box:
    """What is drawn as one.

    Attributes:
        nodes: one, or many of a kind that lead to the same boxes. into: places of those boxes in the drawing.
        column: longest way to the model, which is in column 0.
    """

    nodes: tuple[Node, ...]
    into: tuple[int, ...]
    column: int

    @property
    def lines(self) -> tuple[str, str, str]:
        """Kind, name and content, as they stand in the box."""
        first = self.nodes[0]
        if len(self.nodes) > 1:
            return f"{len(self.nodes)} {first.kind}s", "", ""
        return first.kind, _short(first.name), first.digest[:16] if first.digest else ""


def boxes(lineage: Lineage) -> tuple[Box, ...]:
    """The boxes of a lineage; the first is the model, and each leads to boxes before it."""
    targets: dict[str, list[str]] = {node.id: [] for node in lineage.nodes}
    for source, target in lineage.edges:
        targets[source].append(target)
    left = {node.id: node for node in lineage.nodes}
    place: dict[str, int] = {}
    made: list[Box] = []
    while left:
        free = [node for node in left.values() if all(one in place for one in targets[node.id])]
        together: dict[tuple[str, ...], list[Node]] = {}
        for node in free:
            into = sorted({place[one] for one in targets[node.id]})
            alike = node.kind if node.kind in _MANY else node.id
            together.setdefault((alike, *map(str, into)), []).append(node)
        for nodes in together.values():
            leading = tuple(sorted({place[one] for one in targets[nodes[0].id]}))
            column = 1 + max((made[one].column for one in leading), default=-1)
            place |= {node.id: len(made) for node in nodes}
            made.append(Box(tuple(nodes), leading, column))
        for node in free:
            del left[node.id]
    return tuple(made)


def lineage_page(name: str, lineage: Lineage) -> str:
    """The page, as HTML; equal lineages give equal bytes."""
    title = f"Lineage of {name}"
    policy = f"default-src 'none'; style-src 'sha256-{_sha256(_STYLE)}'; base-uri 'none'; form-action 'none'"
    head = element(
        "head",
        element("meta", charset="utf-8"),
        element("meta", http_equiv="Content-Security-Policy", content=policy),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("title", title),
        raw_block("style", _STYLE),
    )
    counts = ", ".join(f"{kind} {count}" for kind, count in lineage.counts().items())
    tables = [_table(kind, lineage.of(kind)) for kind in dict.fromkeys(node.kind for node in lineage.nodes)]
    drawn = element("div", _drawing(boxes(lineage), title), class_="graph")
    body = element("body", element("h1", title), element("p", counts), drawn, tables)
    return f"<!doctype html>\n{element('html', head, body, lang='en').source}\n"


def _drawing(all_boxes: Sequence[Box], title: str) -> Markup:
    """From left, what was there first, to right, the model."""
    columns = 1 + max(box.column for box in all_boxes)
    rows: dict[int, int] = {}
    corners: dict[int, tuple[int, int]] = {}
    for place, box in enumerate(all_boxes):
        row = rows.setdefault(box.column, 0)
        rows[box.column] += 1
        left = _MARGIN + (columns - 1 - box.column) * (_WIDTH + _ACROSS)
        corners[place] = left, _MARGIN + row * (_HEIGHT + _DOWN)
    width = 2 * _MARGIN + columns * _WIDTH + (columns - 1) * _ACROSS
    height = 2 * _MARGIN + max(rows.values()) * (_HEIGHT + _DOWN) - _DOWN
    arrows = [_arrow(corners[place], corners[into]) for place, box in enumerate(all_boxes) for into in box.into]
    shapes = [_shape(box, corner) for box, corner in zip(all_boxes, corners.values(), strict=True)]
    frame = f"0 0 {width} {height}"
    return element("svg", arrows, shapes, role="img", aria_label=title, width=width, height=height, viewBox=frame)


def _arrow(start: tuple[int, int], end: tuple[int, int]) -> Markup:
    x, y = start[0] + _WIDTH, start[1] + _HEIGHT // 2
    to_x, to_y = end[0], end[1] + _HEIGHT // 2
    middle = (x + to_x) // 2
    return element("path", d=f"M{x} {y}C{middle} {y} {middle} {to_y} {to_x} {to_y}")


def _shape(box: Box, corner: tuple[int, int]) -> Markup:
    x, y = corner
    kind, name, digest = box.lines
    rect = element("rect", x=x, y=y, width=_WIDTH, height=_HEIGHT, rx=6, class_=box.nodes[0].kind)
    lines = [
        element("text", text, x=x + 10, y=y + 20 + 17 * row, class_="soft" if row else None)
        for row, text in enumerate((kind, name, digest))
        if text
    ]
    return element("g", rect, lines)


def _table(kind: str, nodes: Sequence[Node]) -> Markup:
    head = element("tr", [element("th", text) for text in ("id", "SHA-256", "name", "licence")])
    rows = [
        element(
            "tr",
            element("td", node.id),
            element("td", node.digest or "", class_="digest"),
            element("td", node.name),
            element("td", node.licence or ""),
        )
        for node in nodes
    ]
    return element("details", element("summary", f"{kind} ({len(nodes)})"), element("table", head, rows))


def _short(text: str) -> str:
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"


def _sha256(text: str) -> str:
    return base64.b64encode(hashlib.sha256(text.encode("utf-8")).digest()).decode("ascii")
