"""Which columns the tables of both papers have, and which metric of ours stands in each.

Where several metrics could stand in a column, they are in the order of how near they come to the paper's own. A note
says where ours differs; what a figure may be compared with is said by the metric itself.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

Better = Literal["higher", "lower", ""]


@dataclass(frozen=True)
class Column:
    """A column as the paper heads it.

    Attributes:
        head: the paper's word. better: the paper's arrow.
        metrics: ours that may stand in it, the nearest first; empty where nothing of ours can.
        note: where ours differs, or why nothing can stand in it.
        scale: ours times this is in the paper's unit. decimals: printed.
        source: what the figure is: an aggregate, one of the card's costs, or a word of its lineage, the last two by
            ``key``.
    """

    head: str
    metrics: tuple[str, ...] = ()
    better: Better = ""
    note: str = ""
    scale: float = 1.0
    decimals: int = 2
    source: Literal["metric", "cost", "lineage"] = "metric"
    key: str = ""


@dataclass(frozen=True)
class Shape:
    """A table of a paper.

    Attributes:
        name: as the verb takes it. title: what the paper shows in it. columns: behind the system's name.
        settings: groups of columns side by side (Dub 1.0 and 2.0), each with columns that only it has left in; empty
            where the table has one group. tiers: whether rows stand in groups by benchmark.
    """

    name: str
    title: str
    columns: tuple[Column, ...]
    settings: tuple[str, ...] = ()
    only_in: dict[str, tuple[str, ...]] = field(default_factory=dict)
    tiers: bool = False

    def columns_of(self, setting: str) -> tuple[Column, ...]:
        """The columns that stand in a setting."""
        return tuple(one for one in self.columns if setting in self.only_in.get(one.head, (setting,)))


_SYNC = "Figures of another network or crop have another scale."
_WER = "Where the recogniser cannot hear the clips' language, the phone error rate stands in it."
_LSE = (
    Column("LSE-C", ("lse_c_pipeline", "lse_c_lrs", "lse_c_small"), "higher", _SYNC),
    Column("LSE-D", ("lse_d_pipeline", "lse_d_lrs", "lse_d_small"), "lower", _SYNC),
)
_SAID = Column("WER", ("wer_legacy", "wer_mean", "per_mean"), "lower", f"Per cent. {_WER}", scale=100)
_VOICE = Column("SECS", ("secs",), "higher", "Per cent; the paper's encoder is another.", scale=100)
_NATURAL = Column("UTMOS", ("utmos", "dnsmos_overall"), "higher", "DNSMOS is another opinion on another scale.")
_LISTENERS = Column("MOS-S", (), "higher", "The opinion of 20 listeners; no judge of ours may stand in it.")
_IDENTITY = ("csim", "csim_embedded")
_CONTENT = Column("WER", ("wer", "wer_open", "per"), "lower", _WER, decimals=4)
_SPEAKER = Column("V-SIM", ("v_sim", "secs"), "higher", "The paper's encoder is ERes2Net.", decimals=4)
_DUBBING = (*_LSE, _SAID, _VOICE, _LISTENERS, _NATURAL)
_SETTINGS = ("1.0", "2.0")

SHAPES: tuple[Shape, ...] = (
    Shape(
        "justdubit-1",
        "JUST-DUB-IT, Table 1: picture and synchronisation",
        (
            Column("Succ", ("success_rate",), "higher", "Per cent.", scale=100, decimals=1),
            Column("CSIM", _IDENTITY, "higher", decimals=4),
            Column("FID", ("fid",), "lower"),
            Column("FVD", ("fvd",), "lower"),
            Column(
                "MAR Div.", ("mar_diversity_paper", "mar_diversity_geometric"), "higher",
                "Trembling raises it as speech does.", decimals=4,
            ),
            Column(
                "ASync", ("av_offset_pipeline", "av_offset_lrs", "av_offset_small", "mouth_offset"), "lower",
                "Mean of absolute offsets in frames; the paper does not say its unit.",
            ),
        ),
        tiers=True,
    ),
    Shape(
        "justdubit-2",
        "JUST-DUB-IT, Table 2: sound",
        (
            Column("Dur-Err (s)", ("duration_error",), "lower", decimals=4),
            _SPEAKER,
            Column("Int-Corr", ("int_corr",), "higher", decimals=3),
            _CONTENT,
        ),
        tiers=True,
    ),
    Shape(
        "justdubit-3",
        "JUST-DUB-IT, Table 3: ablations",
        (
            Column("ID-SIM", _IDENTITY, "higher", decimals=4),
            _SPEAKER,
            _CONTENT,
            Column("LMD", ("lmd",), "higher", "A distorted mouth raises it as other words do.", decimals=4),
        ),
        tiers=True,
    ),
    Shape(
        "diflowdubber-1", "DiFlowDubber, Table 1: both settings (there on Chem)", _DUBBING,
        settings=_SETTINGS, only_in={"MOS-S": ("2.0",)},
    ),
    Shape(
        "diflowdubber-2", "DiFlowDubber, Table 2: both settings (there on GRID)", _DUBBING,
        settings=_SETTINGS, only_in={"MOS-S": ("2.0",)},
    ),
    Shape(
        "diflowdubber-3",
        "DiFlowDubber, Table 3: ablations",
        (
            Column(
                "AVSync", (), "higher",
                "AlignDiT's measure, whose code and features are not published; LSE and offsets say what they can.",
            ),
            *_LSE, _SAID, _VOICE, _NATURAL,
        ),
    ),
    Shape(
        "diflowdubber-4",
        "DiFlowDubber, Table 4: number of function evaluations",
        (
            Column("#Params", source="lineage", key="parameters", note="As the package says."),
            Column("NFE", source="lineage", key="nfe", note="As the package says."),
            Column(
                "RTF", better="lower", source="cost", key="device_s_per_minute", scale=1 / 60,
                note="Seconds of a device a second of clip; the paper leaves preparing the picture out.",
            ),
            *_LSE, _SAID, _VOICE, _NATURAL,
        ),
    ),
    Shape(
        "diflowdubber-5",
        "DiFlowDubber, Table 5: prosody and emotion",
        (
            *(
                Column(name.upper(), (name,), "lower", "The paper does not name its pitch extractor.", decimals=3)
                for name in ("ffe", "gpe", "vde")
            ),
            Column("Emo-SIM", ("emo_sim",), "higher", decimals=3),
        ),
    ),
)  # fmt: skip
"""In the papers' order."""
