from __future__ import annotations

import pytest

from dubflow.errors import WrongUse
from dubflow.judging.catalogue import JUDGES, LISTINGS, gaps, judge_of, listing, metric, metrics, names

ISSUE = [
    "wer",
    "cer",
    "wer_legacy",
    "secs",
    "v_sim",
    "utmos",
    "dnsmos_overall",
    "mcd",
    "mcd_dtw",
    "pesq",
    "stoi",
    "ffe",
    "gpe",
    "vde",
    "emo_sim",
    "f0_correlation",
    "duration_error",
    "int_corr",
    "speech_start_error",
    "speech_end_error",
    "lse_c_pipeline",
    "lse_d_pipeline",
    "av_offset_pipeline",
    "lse_c_lrs",
    "lse_d_lrs",
    "av_offset_lrs",
    "mouth_offset",
    "csim",
    "mar_diversity_paper",
    "mar_diversity_geometric",
    "lmd",
    "qd",
    "fid",
    "fvd",
    "psnr_outside_face",
    "ssim_outside_face",
    "success_rate",
]


def test_every_metric_is_there_once() -> None:
    assert not set(ISSUE) - set(names())
    assert len(set(names())) == len(names())


def test_every_metric_makes_a_row_of_a_card() -> None:
    """Which also asks for a worst value wherever something is judged and averaged."""
    for one in LISTINGS:
        described = metric(one.name, "some-judge-1")
        assert (described.name, described.judge, described.better) == (one.name, "some-judge-1", one.better)
        assert described.definition.endswith(".")
        assert described.comparable_with.endswith(".")


@pytest.mark.parametrize("tier", ["offline", "full"])
def test_what_is_not_measured_is_a_named_gap(tier: str) -> None:
    measured, missing = metrics(tier), gaps(tier)
    assert {one.name for one in measured} | {one.metric for one in missing} == set(names())
    assert len(measured) + len(missing) == len(names())
    assert all(one.judge in JUDGES for one in measured)
    for gap in missing:
        assert gap.judge in JUDGES
        assert gap.reason


def test_tiers() -> None:
    assert judge_of("v_sim", "offline") is None
    assert judge_of("v_sim", "full") == "eres2net"
    assert judge_of("pesq", "offline") == judge_of("pesq", "full") == "pesq"
    assert gaps("full") == ()
    offline = {one.name for one in metrics("offline")}
    assert offline < {one.name for one in metrics("full")}
    # What needs a large network's weights, and nothing else.
    assert {gap.judge for gap in gaps("offline")} == {
        "eres2net", "utmos", "emotion", "syncnet", "arcface", "inception", "i3d"
    }  # fmt: skip
    assert [one.name for one in metrics("offline", ("stoi", "csim", "wer"))] == ["stoi", "wer"]
    assert [gap.reason for gap in gaps("offline", ("stoi", "csim"))] == [JUDGES["arcface"].gap]


def test_worst_values_lie_on_the_worse_side() -> None:
    for one in LISTINGS:
        if one.worst is not None:
            assert one.worst <= 1 if one.better == "higher" else one.worst >= 1


def test_an_unknown_metric() -> None:
    for call in (listing, lambda name: metrics("full", (name,)), lambda name: gaps("full", (name,))):
        with pytest.raises(WrongUse) as caught:
            call("bleu")
        assert caught.value.code == "judging.unknown_metric"
