"""Inference's noise levels: diffusers' scheduler with the same settings, and the published tables."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from dubflow.errors import WrongUse
from dubflow.incontext.flow.schedules import CODE_REFINING, DISTILLED, REFINING, fixed_schedule, ltx2_schedule


@settings(deadline=None)
@given(steps=st.integers(2, 60))
def test_levels_fall_from_one_to_nothing_and_the_last_step_begins_at_a_tenth(steps: int) -> None:
    levels = ltx2_schedule(steps)
    assert levels.shape == (steps + 1,)
    assert levels.dtype == torch.float32
    assert levels[0] == 1
    assert levels[-1] == 0
    assert float(levels[-2]) == pytest.approx(0.1, abs=1e-6)
    assert all(a > b for a, b in pairwise(levels.tolist()))


@pytest.mark.parametrize("tokens", [1024, 4096, 8160])
def test_they_are_those_of_diffusers_scheduler(tokens: int) -> None:
    from diffusers import FlowMatchEulerDiscreteScheduler

    theirs = FlowMatchEulerDiscreteScheduler(
        use_dynamic_shifting=True, base_shift=0.95, max_shift=2.05, base_image_seq_len=1024, max_image_seq_len=4096,
        shift_terminal=0.1, time_shift_type="exponential",
    )  # fmt: skip
    mu = 0.95 + (tokens - 1024) * 1.1 / 3072
    theirs.set_timesteps(sigmas=np.linspace(1.0, 1 / 30, 30), mu=mu)
    assert torch.allclose(ltx2_schedule(30, tokens=tokens), theirs.sigmas, atol=2e-6)


def test_unstretched_levels_are_the_shifted_ones() -> None:
    levels = ltx2_schedule(4, last=None)
    shift = torch.exp(torch.tensor(2.05))
    assert torch.allclose(levels[1:-1], shift / (shift + 1 / torch.tensor([0.75, 0.5, 0.25]) - 1))
    assert torch.equal(ltx2_schedule(1), torch.tensor([1.0, 0.0]))


def test_published_tables_fall_and_the_code_leaves_out_the_first_of_the_tail() -> None:
    assert len(DISTILLED) == 9
    assert set(REFINING) <= set(DISTILLED)
    assert REFINING[1:] == CODE_REFINING
    for table in (DISTILLED, REFINING, CODE_REFINING):
        assert torch.equal(fixed_schedule(table), torch.tensor(table))


@pytest.mark.parametrize("levels", [(), (1.0,), (0.5, 0.5, 0.0), (1.2, 0.0), (1.0, 0.5), (0.2, 0.6, 0.0)])
def test_levels_that_are_no_schedule_are_refused(levels: tuple[float, ...]) -> None:
    with pytest.raises(WrongUse, match=r"incontext\.bad_schedule"):
        fixed_schedule(levels)


def test_no_steps_are_no_schedule() -> None:
    with pytest.raises(WrongUse, match=r"incontext\.bad_schedule"):
        ltx2_schedule(0)
