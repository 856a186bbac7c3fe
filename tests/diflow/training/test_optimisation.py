"""The schedule of the learning rate."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from dubflow.diflow.nets.groups import LearningRates
from dubflow.diflow.training.optimisation import optimiser, rate_share
from dubflow.diflow.training.settings import TrainSettings

some_settings = st.builds(
    TrainSettings,
    steps=st.integers(1, 500),
    warmup_share=st.floats(0, 0.99),
    decay=st.sampled_from(["cosine", "constant"]),
    final_share=st.floats(0, 1),
)


@settings(deadline=None, max_examples=200)
@given(chosen=some_settings)
def test_the_rate_rises_to_one_and_then_never_rises_again(chosen: TrainSettings) -> None:
    shares = [rate_share(step, chosen) for step in range(chosen.steps)]
    warmup = round(chosen.warmup_share * chosen.steps)
    assert all(0 < share <= 1 for share in shares[:warmup])
    assert all(chosen.final_share - 1e-12 <= share <= 1 for share in shares[warmup:])
    assert shares[:warmup] == sorted(shares[:warmup])
    assert shares[warmup:] == sorted(shares[warmup:], reverse=True)
    if 0 < warmup < chosen.steps:
        assert shares[warmup - 1] == shares[warmup] == 1
    if chosen.decay == "constant":
        assert set(shares[warmup:]) <= {1.0}
    elif chosen.steps - warmup > 1:
        assert shares[-1] == pytest.approx(chosen.final_share, abs=1e-12)


def test_known_values() -> None:
    chosen = TrainSettings(steps=101, warmup_share=0.0, final_share=0.2)
    assert rate_share(50, chosen) == pytest.approx(0.6)
    assert rate_share(25, chosen) == pytest.approx(0.2 + 0.8 * 0.5 * (1 + math.cos(math.pi / 4)))
    assert rate_share(101, chosen) == pytest.approx(0.2), "the schedule is asked once more after the last step"
    rising = TrainSettings(steps=100, warmup_share=0.1)
    assert [rate_share(step, rising) for step in (0, 4, 9)] == pytest.approx([0.1, 0.5, 1.0])


def test_every_group_follows_the_schedule_from_its_own_rate() -> None:
    network = nn.ModuleDict({"denoiser": nn.Linear(2, 2), "encoder": nn.Linear(2, 2)})
    rates = LearningRates(default=1e-2, rates=(("denoiser.*", 1e-3),))
    chosen = TrainSettings(steps=10, warmup_share=0.2, rates=rates, weight_decay=0.5)
    made = optimiser(network, chosen)
    adam, schedule = made["optimizer"], made["lr_scheduler"]["scheduler"]
    assert made["lr_scheduler"]["interval"] == "step"
    for step in range(10):
        share = rate_share(step, chosen)
        assert {group["name"]: group["lr"] for group in adam.param_groups} == pytest.approx(
            {"denoiser.*": 1e-3 * share, "rest": 1e-2 * share}
        )
        assert all(group["weight_decay"] == 0.5 for group in adam.param_groups)
        adam.step()
        schedule.step()
    assert isinstance(adam, torch.optim.AdamW)
