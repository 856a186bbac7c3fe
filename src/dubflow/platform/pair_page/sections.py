"""What the page says: how many pairs, why some were refused, how figures are spread, and every pair."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from dubflow.incontext.pairs.manifest import PairManifest, PairRow
from dubflow.incontext.pairs.quality.figures import FIGURES
from dubflow.incontext.pairs.quality.verdicts import reason_of
from dubflow.judging.page.markup import Markup, element, join
from dubflow.judging.page.words import DIRECTIONS, figure, plain_list, search_box, table, untrusted
from dubflow.platform.pair_page.histogram import histogram

REASONS: Mapping[str, str] = {
    "wrong_words": "says something else than its text",
    "old_words": "the context still says what the target says",
    "other_voice": "the voice is another's",
    "no_face": "no face is seen in too many frames",
    "other_face": "the face is another's",
    "same_lips": "the context's lips move as the target's",
    "still_lips": "the lips hardly move",
    "dull_lips": "the lips differ and move too little, both together",
    "other_scene": "the picture shows something else than the prompt says",
    "unmeasured": "a figure with a limit could not be taken",
}
_COSTS = {
    "seconds": "seconds in all",
    "device_seconds": "seconds of the base",
    "tries": "clips generated",
    "seconds_per_kept": "seconds a kept pair",
    "device_seconds_per_kept": "seconds of the base a kept pair",
    "tries_per_kept": "clips generated a kept pair",
}


def header(manifest: PairManifest) -> Markup:
    """Name, world, counts."""
    kept = len(manifest.accepted)
    embedded = manifest.header.world == "embedded"
    world = "Embedded world: drawn heads and synthetic voices." if embedded else "Real clips."
    return element(
        "header",
        element("h1", "Pairs: ", untrusted(manifest.header.name)),
        element("p", element("strong", world), class_="world"),
        element(
            "p",
            f"{len(manifest)} pairs, ",
            element("span", f"{kept} kept", class_="good"),
            ", ",
            element("span", f"{len(manifest) - kept} refused", class_="bad"),
            f"{_share(kept, len(manifest))}.",
            class_="headline",
        ),
    )


def overview(manifest: PairManifest) -> Markup:
    """Directions, speakers, and what a kept pair cost."""
    directions = Counter(f"{row.context_language or '?'} → {row.target_language or '?'}" for row in manifest)
    kept = Counter(f"{row.context_language or '?'} → {row.target_language or '?'}" for row in manifest.accepted)
    rows = [
        element("tr", element("th", name, scope="row"), _number(count), _number(kept[name]))
        for name, count in sorted(directions.items())
    ]
    cost = manifest.header.made_with.get("cost")
    facts: list[tuple[str, Markup | str]] = [("speakers", str(len({row.speaker for row in manifest if row.speaker})))]
    if isinstance(cost, Mapping):
        facts += [(said, figure(float(cost[name]))) for name, said in _COSTS.items() if _is_number(cost.get(name))]
    return element(
        "section",
        element("h2", "The run"),
        plain_list(facts),
        table("Directions of dubbing (context to target)", ["direction", "pairs", "kept"], rows),
        id="run",
    )


def reasons_section(manifest: PairManifest) -> Markup:
    """How often each reason stands, and how often alone: what a limit costs by itself; and prompts without a pair."""
    rows = manifest.rows
    named = [{reason_of(told) for told in row.rejected} for row in rows]
    counts = Counter(reason for reasons in named for reason in reasons)
    alone = Counter(next(iter(reasons)) for reasons in named if len(reasons) == 1)
    lines = [
        element(
            "tr",
            element("th", untrusted(reason), scope="row"),
            element("td", REASONS.get(reason, "")),
            _number(count),
            _number(alone[reason]),
        )
        for reason, count in sorted(counts.items(), key=lambda one: (-one[1], one[0]))
    ]
    heads = ["reason", "what it means", "pairs", "of them for it alone"]
    body = table("Reasons against pairs", heads, lines) if lines else element("p", "No pair was refused.")
    return element("section", element("h2", "Why pairs were refused"), body, _without_pair(manifest), id="reasons")


def figures_section(rows: Sequence[PairRow], bounds: Mapping[str, float]) -> Markup:
    """A histogram of every figure that was taken."""
    cards = [_card(name, rows, bounds.get(name)) for name in FIGURES]
    cards += [_card(name, rows, None) for name in sorted({name for row in rows for name in row.qc} - set(FIGURES))]
    return element(
        "section",
        element("h2", "Figures"),
        element(
            "p",
            element("span", "■ kept", class_="kept-key"),
            element("span", "■ refused, for whatever reason", class_="refused-key"),
            element("span", "┆ limit"),
            class_="key",
        ),
        element("div", cards, class_="grid"),
        id="figures",
    )


def pairs_section(rows: Sequence[PairRow]) -> Markup:
    """A row a pair with everything that was measured of it; searchable where scripts run."""
    names = [name for name in FIGURES if any(name in row.qc for row in rows)]
    heads = ["pair", "says", "status", *names]
    return element(
        "section",
        element("h2", "Every pair"),
        search_box("pairs", "name, word or reason"),
        table("Every pair, all figures", heads, [_line(row, names) for row in rows], tall=True, name="clip-table"),
        id="pairs",
    )


def status(row: PairRow) -> Markup:
    """Kept, or refused with its reasons."""
    if not row.rejected:
        return element("span", "kept", class_="good")
    return join(element("span", "refused", class_="bad"), ": ", untrusted("; ".join(row.rejected)))


def _without_pair(manifest: PairManifest) -> Markup | None:
    """Prompts whose clips could not be cut or masked, by the code of the last try."""
    codes = manifest.header.made_with.get("without_pair")
    if not isinstance(codes, Mapping) or not codes:
        return None
    counts = sorted(Counter(map(str, codes.values())).items(), key=lambda one: (-one[1], one[0]))
    lines = [element("tr", element("th", untrusted(code), scope="row"), _number(count)) for code, count in counts]
    return table("Prompts without a pair, by the refusal of their last try", ["refusal", "prompts"], lines)


def _card(name: str, rows: Sequence[PairRow], bound: float | None) -> Markup | None:
    taken = [row for row in rows if name in row.qc]
    kept, refused = ([row.qc[name] for row in taken if bool(row.rejected) is bad] for bad in (False, True))
    drawn = histogram(kept, refused, bound, name)
    if drawn is None:
        return None
    known = FIGURES.get(name)
    limit = "no limit" if bound is None else f"limit {figure(bound)}"
    missing = len(rows) - len(taken)
    return element(
        "article",
        element("h3", untrusted(name)),
        element("p", f"{known.says}; {DIRECTIONS[known.better]}", class_="note") if known else None,
        drawn,
        element("p", f"{limit}{f'; not taken of {missing} pairs' if missing else ''}", class_="note"),
        class_="card",
    )


def _line(row: PairRow, names: Sequence[str]) -> Markup:
    said = f"{row.context_language or '?'} → {row.target_language or '?'}"
    return element(
        "tr",
        element("th", untrusted(row.id), scope="row"),
        element("td", element("span", said, class_="tag"), " ", untrusted(row.prompt), class_="said"),
        element("td", status(row)),
        [element("td", figure(row.qc.get(name)), class_="figure") for name in names],
    )


def _number(value: int) -> Markup:
    return element("td", str(value), class_="figure")


def _share(part: int, whole: int) -> str:
    return f" ({100 * part / whole:.0f} % kept)" if whole else ""


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
