"""Pairs to look at and to listen to: context and target side by side, and both at the same moments below."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from dubflow.incontext.pairs.manifest import PairRow
from dubflow.incontext.pairs.quality.figures import FIGURES
from dubflow.incontext.pairs.quality.verdicts import reason_of
from dubflow.judging.page.markup import Markup, element, join
from dubflow.judging.page.player import Shown, drawings_explained, player
from dubflow.judging.page.words import figure, untrusted
from dubflow.platform.pair_page.sections import status

ROLES = ("context", "target")


def gallery_section(
    rows: Sequence[PairRow],
    of: int,
    exhibits: Mapping[tuple[str, str], Shown],
    stills: Mapping[str, str | None],
    *,
    mouths: bool,
) -> Markup:
    """The pairs of ``rows``, with filters where scripts run.

    Args:
        of: how many pairs there are. exhibits: by pair and role. stills: addresses of pictures, by pair.
        mouths: whether mouths were measured.
    """
    items = [element("li", _pair(row, exhibits, stills.get(row.id)), **_facts(row)) for row in rows]
    return element(
        "section",
        element("h2", "Pairs to look at"),
        element(
            "p",
            f"{len(rows)} of {of} pairs. The target is the half as the base generated it; the context is the same "
            "half, re-spoken in the other language. A merged context has the sound of one pass and the lips of "
            "another: its lips do not follow its sound, and need not.",
        ),
        element("p", drawings_explained(mouths), class_="soft") if rows else None,
        _filters(rows) if rows else element("p", "There is no pair to show."),
        element("ol", items, class_="regressions", id="gallery"),
        id="look",
    )


def _facts(row: PairRow) -> dict[str, str]:
    """What filters ask of a pair."""
    reasons = sorted({reason_of(told) for told in row.rejected})
    return {
        "data_status": "refused" if row.rejected else "kept",
        "data_reasons": " ".join(reasons),
        "data_direction": _direction(row),
    }


def _filters(rows: Sequence[PairRow]) -> Markup:
    reasons = sorted({reason_of(told) for row in rows for told in row.rejected})
    directions = sorted({_direction(row) for row in rows})
    return element(
        "div",
        _select("status", "Status", ["kept", "refused"]),
        _select("reasons", "Reason", reasons),
        _select("direction", "Languages", directions),
        element("span", id="shown", role="status", class_="soft"),
        class_="search filters",
        hidden=True,  # until the script that answers them runs
    )


def _select(name: str, label: str, choices: Sequence[str]) -> Markup:
    options = [element("option", "all", value=""), *(element("option", one, value=one) for one in choices)]
    return element("label", f"{label} ", element("select", options, data_filter=name))


def _pair(row: PairRow, exhibits: Mapping[tuple[str, str], Shown], still: str | None) -> Markup:
    figures = [join(element("dt", name), element("dd", figure(row.qc[name]))) for name in FIGURES if name in row.qc]
    players = [
        player(f"{role.capitalize()} ({_told(row, role)})", f"{role} of {row.id}", exhibits.get((row.id, role)), role)
        for role in ROLES
    ]
    picture = None
    if still is not None:
        alt = f"Frames of {row.id}: context above, target below, at the same moments"
        caption = element("figcaption", "Context above, target below, at the same moments")
        picture = element("figure", caption, element("img", src=still, alt=alt), class_="stills")
    return element(
        "article",
        element("h3", untrusted(row.id)),
        element("p", status(row)),
        untrusted(row.prompt, "blockquote", class_="said", aria_label="What the target says"),
        untrusted(row.context_prompt, "blockquote", class_="said", aria_label="What the context says")
        if row.context_prompt
        else None,
        element("div", players, class_="side"),
        picture,
        element("dl", figures, class_="figures") if figures else None,
        class_="card",
    )


def _told(row: PairRow, role: str) -> str:
    """Language, and how the clip was made where that is known."""
    roles = row.lineage.get("roles")
    made = roles.get(role) if isinstance(roles, Mapping) else None
    return f"{_language(row, role)}, {made}" if isinstance(made, str) else _language(row, role)


def _language(row: PairRow, role: str) -> str:
    return (row.context_language if role == "context" else row.target_language) or "?"


def _direction(row: PairRow) -> str:
    return f"{_language(row, 'context')} → {_language(row, 'target')}"
