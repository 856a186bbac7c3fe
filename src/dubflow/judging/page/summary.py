"""The top of the page: which world, what was decided and why; and at its end what all of it is bound to."""

from __future__ import annotations

from collections.abc import Sequence

from dubflow.judging.gate.verdict import Figures, Outcome, RuleResult, Verdict
from dubflow.judging.page.markup import Markup, element, join
from dubflow.judging.page.plots import gain
from dubflow.judging.page.sides import Side
from dubflow.judging.page.words import figure, plain_list, short, untrusted

_DECISIONS = {
    "promote": ("✓ Promote", "The challenger may replace what is in use."),
    "refuse": ("✗ Refuse", "The challenger may not replace what is in use."),
    "inconclusive": (
        "? Inconclusive",
        "The evidence does not decide: the challenger may not replace what is in use yet.",
    ),
}
_OUTCOMES: dict[Outcome, tuple[str, str, str]] = {
    "refuse": ("✗ refuses", "bad", "Rules that refuse"),
    "inconclusive": ("? undecided", "open", "Rules that are undecided"),
    "pass": ("✓ passes", "good", "Rules that pass"),
    "not_applicable": ("– not applied", "soft", "Rules that do not apply"),
}
_SECTIONS = (
    ("verdict", "Verdict"),
    ("metrics", "Metrics"),
    ("slices", "Slices"),
    ("regressions", "Worst clips"),
    ("clips", "Every clip"),
    ("protocol", "Protocol and gaps"),
    ("provenance", "Provenance"),
)


def header(sides: Sequence[Side]) -> Markup:
    """World, title and the way to the sections."""
    systems = [untrusted(side.card.system) for side in sides]
    title: list[Markup | str] = ["Evidence: ", systems[0]]
    if len(systems) > 1:
        title += [" against ", systems[1]]
    links = [element("li", element("a", name, href=f"#{anchor}")) for anchor, name in _SECTIONS]
    return element(
        "header",
        element("a", "Skip to the verdict", href="#verdict", class_="skip"),
        world_line({side.card.world for side in sides}),
        element("h1", title),
        element("p", "Benchmark ", untrusted(sides[0].card.benchmark), class_="soft"),
        element("nav", element("ul", links), aria_label="Sections"),
    )


def world_line(worlds: set[str]) -> Markup:
    """Which world the figures are from; the embedded one is always named."""
    if "embedded" not in worlds:
        return element("p", element("strong", "Real recordings"), class_="world")
    both = " and real recordings, side by side" if len(worlds) > 1 else ""
    return element(
        "p",
        element("strong", f"embedded world{both}"),
        ": drawn heads and synthetic voices. These figures say nothing of real films, nor of a paper's.",
        class_="world",
    )


def verdict_section(verdict: Verdict, sides: Sequence[Side], *, comparable: bool) -> Markup:
    """The decision, then rule by rule what it rests on, refusals first."""
    word, meaning = _DECISIONS[verdict.decision]
    groups = [(outcome, [rule for rule in verdict.rules if rule.outcome == outcome]) for outcome in _OUTCOMES]
    return element(
        "section",
        element(
            "div",
            element("h2", word),
            element("p", untrusted(verdict.headline), class_="headline"),
            element("p", meaning),
            element("p", _counted(groups), class_="soft"),
            class_=f"verdict {verdict.decision}",
        ),
        None if comparable else element("p", _apart(sides), class_="warning"),
        element(
            "p",
            "A drawn gain is positive where the challenger is better; its bar runs between one-sided bounds. The thin "
            "line is no difference, the broken line the limit: a rule passes where the whole bar lies right of it.",
            class_="soft",
        )
        if any(rule.figures.gain is not None for rule in verdict.rules)
        else None,
        [_group(outcome, rules) for outcome, rules in groups if rules],
        id="verdict",
    )


def metric_parts(verdict: Verdict) -> dict[str, list[str]]:
    """Which parts each metric plays in the verdict, in the verdict's order."""
    parts: dict[str, list[str]] = {}
    for rule in verdict.rules:
        if rule.metric is not None and rule.kind not in parts.setdefault(rule.metric, []):
            parts[rule.metric].append(rule.kind)
    return parts


def provenance_section(verdict: Verdict, sides: Sequence[Side], signed_by: str | None) -> Markup:
    """Who signed, digests, licences, lineage and costs."""
    # A fingerprint is compared by eye, so all of it stands there.
    key = "nobody" if signed_by is None else join("the Ed25519 key ", element("code", signed_by))
    facts: list[tuple[str, Markup | str]] = [
        ("Verdict", short(verdict.digest)),
        ("Policy", join(untrusted(verdict.policy), " ", short(verdict.policy_digest))),
        ("Made at", verdict.made_at or "not said"),
        ("Signed by", key),
    ]
    return element(
        "section",
        element("h2", "Provenance"),
        element("p", "The verdict is bound to these digests; another package or card is another verdict."),
        plain_list(facts),
        [_system(side) for side in sides],
        id="provenance",
    )


def _system(side: Side) -> Markup:
    card = side.card
    facts: list[tuple[str, Markup | str]] = [
        ("System", untrusted(card.system)),
        ("Package", short(card.package)),
        ("Score card", short(card.digest)),
        ("Licences", untrusted(", ".join(card.licences) or "not said")),
        *((name, untrusted(value)) for name, value in sorted(card.lineage.items())),
        *((name, figure(value)) for name, value in sorted(card.costs.items())),
    ]
    return join(element("h3", side.kind.capitalize(), class_=side.kind), plain_list(facts))


def _counted(groups: Sequence[tuple[Outcome, Sequence[RuleResult]]]) -> str:
    counts = {outcome: len(rules) for outcome, rules in groups}
    total = sum(counts.values())
    return (
        f"Of {total} rules {counts['pass']} pass, {counts['refuse']} refuse, {counts['inconclusive']} are undecided, "
        f"{counts['not_applicable']} do not apply."
    )


def _apart(sides: Sequence[Side]) -> str:
    if len(sides) < 2:
        return "There is no champion: nothing here is a comparison."
    return (
        "The two cards are of different protocols. Their figures stand on this page to be read, not to be compared, "
        "and clips are ranked by the challenger's alone."
    )


def _group(outcome: Outcome, rules: Sequence[RuleResult]) -> Markup:
    _, _, title = _OUTCOMES[outcome]
    content = element("ul", [_rule(rule) for rule in rules], class_="rules")
    return element(
        "details",
        element("summary", element("strong", f"{title} ({len(rules)})")),
        content,
        open=outcome != "not_applicable",
    )


def _rule(rule: RuleResult) -> Markup:
    word, kind, _ = _OUTCOMES[rule.outcome]
    figures = _figures(rule.figures)
    power = rule.power if rule.power is not None and rule.power.text not in rule.reason else None
    return element(
        "li",
        element("p", element("span", word, class_=kind), " ", element("code", untrusted(rule.rule))),
        element("p", untrusted(rule.reason)),
        element("p", figures, class_="soft") if figures else None,
        _gain(rule),
        element("p", untrusted(power.text), class_="note") if power is not None else None,
    )


def _gain(rule: RuleResult) -> Markup | None:
    figures = rule.figures
    if figures.gain is None:
        return None
    limit = "" if figures.limit is None else f", to lie above {figures.limit:.4g}"
    low = "no bound" if figures.low is None else f"{figures.low:.4g}"
    high = "no bound" if figures.high is None else f"{figures.high:.4g}"
    alt = f"Gain on {rule.metric}: {figures.gain:.4g}, from {low} to {high}{limit}"
    return gain(figures.gain, figures.low, figures.high, figures.limit, alt)


def _figures(figures: Figures) -> str:
    """What the rule was decided by, in one line; the systems' own figures are in its reason."""
    parts = []
    if figures.gain is not None:
        span = None if figures.low is None or figures.high is None else figures.high - figures.low
        low = "−∞" if figures.low is None else figure(figures.low, span)
        high = "∞" if figures.high is None else figure(figures.high, span)
        parts.append(f"gain {figure(figures.gain, span)} [{low}, {high}]")
    if figures.limit is not None:
        parts.append(f"limit {figure(figures.limit)}")
    if figures.p is not None:
        parts.append("p < 0.001" if figures.p < 0.001 else f"p = {figure(figures.p)}")
    if figures.clips is not None:
        parts.append(f"{figures.clips} clips")
    return " · ".join(parts)
