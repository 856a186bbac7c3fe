"""Two small systems judged on eight clips, one of which broke; texts are as hostile as transcripts can be."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from dubflow.judging.card.aggregates import build_card
from dubflow.judging.card.rows import ClipScore, JudgePin, Metric, ScoreCard, Tags, score_protocol
from dubflow.judging.gate.decide import judge
from dubflow.judging.gate.policy import Floor, Guardrail, Policy, Primary, SliceRule
from dubflow.judging.gate.verdict import Verdict
from dubflow.judging.page.exhibit import ClipMedia
from dubflow.media.encode import write_audio, write_clip

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


@pytest.fixture(scope="session")
def champion() -> ScoreCard:
    return make_card("champion <b>one</b>", [make_row(i, i % 3, 0.8 - 0.01 * i, i % 2) for i in range(9)])


@pytest.fixture(scope="session")
def challenger() -> ScoreCard:
    rows = [make_row(i, (i * 2) % 5, 0.75 + 0.01 * i, -(i % 3)) for i in range(7)]
    rows.append(make_row(7, 1, None, 0.0))
    rows.append(make_row(8, 0, 0.0, 0.0, broke=HOSTILE[0]))
    return make_card(HOSTILE[6], rows)


@pytest.fixture(scope="session")
def verdict(challenger: ScoreCard, champion: ScoreCard) -> Verdict:
    return judge(challenger, champion, POLICY)


Maker = Callable[[str, float], Path]


@pytest.fixture(scope="session")
def make_clip(tmp_path_factory: pytest.TempPathFactory) -> Maker:
    """A second of a grey square over a tone of so many Hz; sound alone where the name ends in .wav."""
    folder = tmp_path_factory.mktemp("clips")

    def make(name: str, hz: float) -> Path:
        path = folder / name
        tone = (0.4 * np.sin(2 * np.pi * hz * np.arange(16000) / 16000)).astype(np.float32)
        if path.suffix == ".wav":
            write_audio(path, tone, 16000)
            return path
        frames = np.zeros((25, 48, 64, 3), np.uint8)
        for index, frame in enumerate(frames):
            frame[8:40, index : index + 24] = 180
        write_clip(path, frames, 25, tone, 16000)
        return path

    return make


@pytest.fixture(scope="session")
def media(make_clip: Maker) -> dict[str, ClipMedia]:
    """Files and texts of most clips; the champion's file of one is missing, one file is damaged."""
    source, ours, theirs = (make_clip(f"{name}.mp4", hz) for name, hz in (("a b", 200), ("c'\"<d", 300), ("e", 400)))
    damaged = source.with_name("damaged.mp4")
    damaged.write_bytes(source.read_bytes()[:900])
    told = {
        f"clip{place}": ClipMedia(source=source, champion=theirs, challenger=ours, text=HOSTILE[place % len(HOSTILE)])
        for place in range(7)
    }
    told["clip7"] = ClipMedia(source=source, champion=None, challenger=damaged, text="Καλημέρα, мир, שלום")
    told["clip8"] = ClipMedia(source=make_clip("alone.wav", 250), champion=theirs.with_name("never_was.mp4"))
    return told
