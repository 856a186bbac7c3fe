"""Which weight learns how fast."""

from __future__ import annotations

import csv

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from dubflow.errors import WrongUse
from dubflow.incontext.adapter.groups import (
    RATES,
    RateGroups,
    group_lines,
    group_of,
    group_table,
    parameter_groups,
    rates_of,
)
from dubflow.incontext.adapter.lora import LoraSettings, add_lora, lora_parameters
from dubflow.incontext.backbone.tiny import tiny_backbone

PAPER = {
    "attn1": 2e-4, "attn2": 2e-4, "ff": 2e-4, "audio_to_video_attn": 2e-4, "video_to_audio_attn": 2e-4,
    "audio_attn1": 1e-5, "audio_attn2": 1e-5, "audio_ff": 1e-5,
}  # fmt: skip
CODE = {**PAPER, "audio_attn1": 1e-6, "audio_attn2": 1e-6, "audio_ff": 1e-6, "video_to_audio_attn": 1e-6}


def transformer():  # type: ignore[no-untyped-def]
    made = tiny_backbone().transformer
    add_lora(made, LoraSettings(rank=2))
    return made


@pytest.mark.parametrize(("preset", "expected"), [("paper", PAPER), ("code", CODE)])
def test_presets_give_every_layer_its_published_rate(preset: str, expected: dict[str, float]) -> None:
    net = transformer()
    rates = rates_of(preset)  # type: ignore[arg-type]
    assert {line.part: line.rate for line in group_lines(net, rates)} == expected
    groups = parameter_groups(net, rates)
    by_parameter = {id(p): group["lr"] for group in groups for p in group["params"]}  # type: ignore[attr-defined]
    for name, parameter in lora_parameters(net):
        assert by_parameter[id(parameter)] == expected[name.split(".")[2]]
    assert len(by_parameter) == 112, "each weight once"


def test_the_table_names_every_weight() -> None:
    net = transformer()
    rows = list(csv.DictReader(group_table(net, RATES["code"]).splitlines()))
    assert [row["weight"] for row in rows] == [name for name, _ in lora_parameters(net)]
    assert sum(int(row["parameters"]) for row in rows) == sum(p.numel() for _, p in lora_parameters(net))
    crossing = {row["rate"] for row in rows if "video_to_audio_attn" in row["weight"]}
    assert crossing == {"1e-06"}


@settings(deadline=None, max_examples=40)
@given(st.permutations(["audio", "attn1", "audio_attn", "ff"]), st.sampled_from(["audio_attn1", "attn1", "audio_ff"]))
def test_the_first_pattern_that_is_found_decides(order: list[str], layer: str) -> None:
    rates = RateGroups(default=9.0, patterns=tuple((pattern, float(i + 1)) for i, pattern in enumerate(order)))
    name = f"transformer_blocks.3.{layer}.x.lora_A.default.weight"
    first = next((i for i, pattern in enumerate(order) if pattern in name), None)
    assert group_of(name, rates)[1] == (9.0 if first is None else first + 1.0)


def test_idle_and_broken_patterns_are_refused() -> None:
    with pytest.raises(WrongUse) as refused:
        parameter_groups(transformer(), RateGroups(patterns=(("audio_atn", 1e-5),)))
    assert refused.value.code == "incontext.idle_pattern"
    with pytest.raises(ValidationError):
        RateGroups(patterns=(("audio_(", 1e-5),))
