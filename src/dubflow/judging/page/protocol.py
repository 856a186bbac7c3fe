"""Under which protocol the figures were taken, what they may be compared with, and which judges were missing."""

from __future__ import annotations

from collections.abc import Sequence

from dubflow.judging.page.markup import Markup, element, join
from dubflow.judging.page.sides import Side
from dubflow.judging.page.words import plain_list, short, table, untrusted


def protocol_section(sides: Sequence[Side]) -> Markup:
    """The challenger's protocol and both systems' gaps."""
    card = sides[0].card
    parts = card.protocol.parts
    judges = [
        element(
            "tr",
            element("th", untrusted(name), scope="row"),
            element("td", untrusted(pin.version)),
            element("td", short(pin.sha256) if pin.sha256 else "code only"),
            element("td", untrusted(", ".join(f"{key}={value}" for key, value in sorted(pin.settings.items())))),
        )
        for name, pin in sorted(parts.judges.items())
    ]
    facts = [
        ("Protocol", short(card.protocol.id)),
        ("Benchmark", join(untrusted(card.benchmark), " ", short(parts.benchmark))),
        ("World", "embedded world" if card.world == "embedded" else "real recordings"),
        ("Sound judged at", f"{parts.sample_rate} Hz"),
        *((f"Crop {name}", untrusted(text)) for name, text in sorted(parts.crops.items())),
    ]
    return element(
        "section",
        element("h2", "Protocol and comparability"),
        element(
            "p",
            "These figures may stand beside figures of the same protocol id, which pins every judge, crop and clip. "
            "What each metric may be compared with beyond that is said at the metric.",
        ),
        plain_list(facts),
        table("Judges", ("Judge", "Version", "Weights", "Settings"), judges),
        gaps(sides),
        id="protocol",
    )


def gaps(sides: Sequence[Side]) -> Markup:
    """Judges that were missing, by name."""
    missing: dict[tuple[str, str], list[str]] = {}
    for side in sides:
        for judge, why in side.card.gaps.items():
            missing.setdefault((judge, why), []).append(side.kind)
    heading = element("h3", "Gaps", id="gaps")
    if not missing:
        return join(heading, element("p", "None: every judge was there."))
    items = [
        element("li", element("strong", untrusted(judge)), ": ", untrusted(why), f" ({' and '.join(whose)})")
        for (judge, why), whose in sorted(missing.items())
    ]
    return join(
        heading,
        element("p", "These judges were missing: their metrics have no figure, which is not a figure of zero."),
        element("ul", items),
    )
