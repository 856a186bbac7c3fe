"""The worst regressions, each with source, champion and challenger to see and hear."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from dubflow.judging.card.rows import ClipScore, Metric
from dubflow.judging.page.exhibit import ClipMedia
from dubflow.judging.page.markup import Markup, element
from dubflow.judging.page.player import Shown, drawings_explained, player
from dubflow.judging.page.regressions import Loss, Regression
from dubflow.judging.page.sides import Side
from dubflow.judging.page.words import figure, untrusted

ROLES = ("source", "champion", "challenger")
_LOSSES_SHOWN = 6


def regressions_section(
    found: Sequence[Regression],
    shown: int,
    sides: Sequence[Side],
    media: Mapping[str, ClipMedia],
    exhibits: Mapping[tuple[str, str], Shown],
    *,
    mouths: bool,
) -> Markup:
    """The ``shown`` first of ``found``, each with its clips side by side.

    Args:
        sides: what was ranked: the challenger alone, or against the champion. exhibits: of (clip, role).
        mouths: whether mouths were measured at all.
    """
    two, card = len(sides) > 1, sides[0].card
    rows, metrics = {row.clip: row for row in card.rows}, {metric.name: metric for metric in card.metrics}
    items = [
        element("li", _regression(place, one, rows[one.clip], metrics, media.get(one.clip), exhibits, two))
        for place, one in enumerate(found[:shown], start=1)
    ]
    if two:
        order = "First what failed where the champion did not, then by the largest loss on any ranked metric."
    else:
        order = "Nothing to compare with: first what failed, then what is furthest on the wrong side of the mean."
    return element(
        "section",
        element("h2", "Worst regressions" if two else "Worst clips"),
        element("p", f"Shown: {len(items)} of {len(found)}, worst first.", id="worst-count"),
        element("p", order, " Losses are in standard deviations (SD) of the metric over all clips.", class_="soft"),
        element("p", drawings_explained(mouths), class_="soft") if items else None,
        element("ol", items, class_="regressions") if items else element("p", "No clip is worse on a ranked metric."),
        id="regressions",
    )


def _regression(
    place: int,
    one: Regression,
    row: ClipScore,
    metrics: Mapping[str, Metric],
    media: ClipMedia | None,
    exhibits: Mapping[tuple[str, str], Shown],
    two: bool,
) -> Markup:
    tags = [element("span", untrusted(tag), class_="tag") for tag in row.tags.model_dump().values() if tag]
    lost = [loss for loss in one.losses if loss.deviations > 0]
    losses = [_loss(loss, metrics[loss.metric], row, two) for loss in lost[:_LOSSES_SHOWN]]
    more = len(lost) - len(losses)
    roles = [role for role in ROLES if two or role != "champion"]
    return element(
        "article",
        element("h3", f"{place}. ", untrusted(one.clip)),
        element("p", tags, class_="tags") if tags else None,
        untrusted(media.text, "blockquote", class_="said", aria_label="What is said") if media and media.text else None,
        element("p", element("span", f"✗ {row.status}: ", class_="bad"), untrusted(one.reason)) if one.broke else None,
        element("ul", losses, class_="losses") if losses else None,
        element("p", f"and on {more} more metrics", class_="note") if more > 0 else None,
        element("div", [_figure(role, one.clip, exhibits.get((one.clip, role))) for role in roles], class_="side"),
        class_="card",
    )


def _loss(loss: Loss, metric: Metric, row: ClipScore, two: bool) -> Markup:
    unit = f" {metric.unit}" if metric.unit else ""
    name = element("strong", metric.name)
    before = f" {figure(loss.champion)} →" if two else ""
    if loss.challenger is None:
        return element("li", name, f"{before} no figure: ", untrusted(row.reasons.get(metric.name, "")))
    return element("li", name, f"{before} {figure(loss.challenger)}{unit} (worse by {loss.deviations:.1f} SD)")


def _figure(role: str, clip: str, shown: Shown | None) -> Markup:
    return player(role.capitalize(), f"{role} clip of {clip}", shown, role)
