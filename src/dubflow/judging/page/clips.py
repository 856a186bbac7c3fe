"""A table of every clip, searchable where scripts run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from dubflow.judging.card.rows import ClipScore, Metric
from dubflow.judging.page.exhibit import ClipMedia
from dubflow.judging.page.markup import Markup, element, join
from dubflow.judging.page.sides import Side
from dubflow.judging.page.words import figure, key, search_box, table, titled, untrusted


def clips_section(sides: Sequence[Side], metrics: Sequence[Metric], media: Mapping[str, ClipMedia]) -> Markup:
    """A row a clip with everything that was measured of it."""
    challenger, before = sides[0].card, {row.clip: row for side in sides[1:] for row in side.card.rows}
    measured = [metric for metric in metrics if metric.aggregate != "distribution"]
    rows = [_row(row, before.get(row.clip), len(sides) > 1, measured, media.get(row.clip)) for row in challenger.rows]
    others = len(set(before) - {row.clip for row in challenger.rows})
    return element(
        "section",
        element("h2", "Every clip"),
        key(len(sides) > 1),
        element("p", f"{others} clips of the champion's card have no row here.", class_="warning") if others else None,
        search_box("clips", "name, word, tag or status"),
        table(
            "Every clip, all metrics",
            ["Clip", "Said", "Tags", "Status", *(titled(metric) for metric in measured)],
            rows,
            tall=True,
            name="clip-table",
        ),
        id="clips",
    )


def _row(
    row: ClipScore, before: ClipScore | None, two: bool, metrics: Sequence[Metric], media: ClipMedia | None
) -> Markup:
    status = [element("span", row.status, class_="good" if row.status == "ok" else "bad")]
    if row.reason:
        status.append(join(": ", untrusted(row.reason)))
    if before is not None and before.status != row.status:
        status.append(element("span", f"was {before.status}", class_="champion"))
    tags = [join(untrusted(tag), " ") for tag in row.tags.model_dump().values() if tag]
    return element(
        "tr",
        element("th", untrusted(row.clip), scope="row"),
        element("td", untrusted(media.text) if media and media.text else None, class_="said"),
        element("td", tags),
        element("td", status),
        [_cell(metric, row, before, two) for metric in metrics],
    )


def _cell(metric: Metric, row: ClipScore, before: ClipScore | None, two: bool) -> Markup:
    why = row.reasons.get(metric.name)
    then = None if before is None else before.values.get(metric.name)
    return element(
        "td",
        element("span", figure(row.values.get(metric.name)), class_="challenger"),
        element("span", figure(then), class_="champion") if two else None,
        # It stands there, not behind the pointer: on a touch screen nothing hovers.
        element("span", untrusted(why), class_="word") if why else None,
        class_="figure",
    )
