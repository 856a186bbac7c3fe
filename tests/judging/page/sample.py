"""Small cards, and texts as hostile as transcripts can be."""

from __future__ import annotations

from dubflow.judging.card.aggregates import build_card
from dubflow.judging.card.rows import Aggregate, ClipScore, JudgePin, Metric, ScoreCard, Tags, score_protocol
from dubflow.judging.gate.policy import Floor, Guardrail, Policy, Primary, SliceRule
from dubflow.judging.gate.verdict import Figures, Party, PowerLine, RuleResult, Verdict

HOSTILE = (
    "</script><script>document.title='owned'</script>",
    "<img src=x onerror=\"document.title='owned'\">",
    "' onmouseover='document.title=1' \" autofocus onfocus=\"document.title=1",
    "<!-- --><style>*{display:none}</style>&lt;b&gt;&#x3c;",
    "javascript:document.title=1 http://example.com/x.png url(//example.com)",
    "\u202eright to left\x00\x1b[31m\ud800",
    "]]></svg></title><svg onload=document.title=1>",
    "{{constructor.constructor('document.title=1')()}} \u2028 $& `",
)

METRICS = (
    Metric(
        name="wer", unit="", better="lower", aggregate="corpus_ratio", judge="listener", worst=1.0,
        definition="Errors over words of the reference.", comparable_with="the same listener & <nobody> else",
    ),
    Metric(
        name="secs", unit="", better="higher", aggregate="mean", judge="voice", worst=-1.0,
        definition="Cosine of speaker embeddings.", comparable_with="figures of the same encoder",
    ),
    Metric(
        name="av_offset", unit="frames", better="near_zero", aggregate="mean", judge="sync", worst=15.0,
        definition="Shift of best agreement.", comparable_with="nobody",
    ),
    Metric(
        name="fid", unit="", better="lower", aggregate="distribution", judge="inception",
        definition="Distance of features.", comparable_with="nobody",
    ),
)  # fmt: skip
POLICY = Policy(
    format="dubflow.policy/1",
    name="small",
    rounds=200,
    smallest_sample=4,
    primary=Primary(metric="wer", worthwhile=0.05),
    guardrails=(Guardrail(metric="secs", margin=0.05),),
    floors=(Floor(metric="secs", at_least=0.1),),
    slices=(SliceRule(by="language_pair", metric="wer", margin=0.2, smallest=3),),
    require_package=False,
)
WORDS = 6


def make_row(place: int, errors: int, secs: float | None, offset: float, *, broke: str = "") -> ClipScore:
    tags = Tags(
        language_pair=("en-fr", "en-de")[place % 2], speaker=f"s{place % 3}", length="short", difficulty="standard"
    )
    if broke:
        return ClipScore(clip=f"clip{place}", tags=tags, status="failed", reason=broke)
    return ClipScore(
        clip=f"clip{place}",
        tags=tags,
        status="ok",
        values={"wer": errors / WORDS, "secs": secs, "av_offset": offset},
        weights={"wer": (float(errors), float(WORDS))},
        reasons={} if secs is not None else {"secs": HOSTILE[1]},
    )


def make_card(system: str, rows: list[ClipScore], *, version: str = "1") -> ScoreCard:
    judges = {
        "listener": JudgePin(version=version),
        "voice": JudgePin(version="2", sha256="ab" * 32, settings={"rate": 16000}),
        "sync": JudgePin(version="1"),
        "inception": JudgePin(version="1"),
    }
    protocol = score_protocol(
        judges, METRICS, benchmark="cd" * 32, sample_rate=16000, crops={"mouth": "96 px around the lips"}
    )
    return build_card(
        rows,
        METRICS,
        protocol,
        benchmark="talkers-standard",
        system=system,
        world="embedded",
        gaps={"inception": "no weights here"},
        licences=("Apache-2.0",),
        lineage={"run": HOSTILE[4]},
        costs={"device_s_per_minute": 12.5},
        rounds=200,
    )


def with_figures(card: ScoreCard, wer: float) -> ScoreCard:
    """The card with a handful of aggregates in place of its own."""
    aggregates = [
        Aggregate(metric="wer", population="intention_to_treat", value=wer, low=wer - 0.1, high=wer + 0.1, clips=9),
        Aggregate(metric="secs", population="intention_to_treat", value=0.7, low=0.6, high=0.8, clips=9, at_worst=1),
        Aggregate(metric="secs", population="successes", value=0.75, clips=8, resampled="none"),
        Aggregate(
            metric="wer", population="intention_to_treat", by="speaker", group="s0", value=2 * wer,
            low=2 * wer - 0.05, high=2 * wer + 0.05, clips=3,
        ),
    ]  # fmt: skip
    return card.model_copy(update={"aggregates": tuple(aggregates)})


def small_verdict(challenger: ScoreCard, champion: ScoreCard) -> Verdict:
    """A rule of every outcome."""
    figures = Figures(challenger=0.3, champion=0.2, gain=-0.1, low=-0.2, high=-0.02, limit=0.0, p=0.97, clips=9)
    seen = PowerLine(units=9, visible=0.2, asked=0.05, needed=140, power=0.8, text="9 clips see 0.2; 140 are needed.")
    return Verdict(
        decision="refuse",
        headline=f"Refuse: {HOSTILE[1]}",
        world="embedded",
        challenger=Party.of(challenger),
        champion=Party.of(champion),
        protocol=challenger.protocol.id,
        benchmark=challenger.benchmark,
        policy="small",
        policy_digest="ef" * 32,
        rules=(
            RuleResult(kind="sample", rule="sample", outcome="pass", reason="9 clips are enough."),
            RuleResult(
                kind="primary", rule="primary.wer", outcome="refuse", reason="It is worse.", metric="wer",
                figures=figures, power=seen,
            ),
            RuleResult(
                kind="guardrail", rule="guardrail.secs", outcome="inconclusive", reason="Nobody knows.", metric="secs",
                figures=figures.model_copy(update={"low": None, "p": 0.0001}),
            ),
            RuleResult(kind="cost", rule="cost", outcome="not_applicable", reason="The policy names no cost."),
        ),
    )  # fmt: skip
