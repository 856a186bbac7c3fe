"""The law of the path: schedule, corruption, loss."""

from __future__ import annotations

import json
import math
import re
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from dubflow.diflow.flow.loss import posterior_cross_entropy
from dubflow.diflow.flow.noise import generators
from dubflow.diflow.flow.path import corrupt, draw_times
from dubflow.diflow.flow.schedule import PAPER_SCHEDULE, PolynomialSchedule, flipped_time
from dubflow.diflow.flow.vocabulary import CODEC, Vocabulary
from dubflow.errors import WrongUse


@pytest.fixture(scope="module")
def flow_facts(shared_data: Path) -> dict:
    return json.loads((shared_data / "expected_flow" / "flow_facts.json").read_text("utf-8"))


def padded_target(lengths: list[int], books: int = 4, seed: int = 0) -> torch.Tensor:
    """Random codes ``[B, books, max]`` with pad behind each length."""
    drawn = torch.randint(0, CODEC.codes, (len(lengths), books, max(lengths)), generator=generators([seed])[0])
    for item, length in enumerate(lengths):
        drawn[item, :, length:] = CODEC.pad
    return drawn


def test_the_vocabulary_is_the_published_one() -> None:
    assert (CODEC.codes, CODEC.pad, CODEC.mask, CODEC.embedded) == (1024, 1024, 1025, 1026)


def test_kappa_runs_from_nothing_to_everything() -> None:
    ends = torch.tensor([0.0, 1.0], dtype=torch.float64)
    assert PAPER_SCHEDULE.kappa(ends).tolist() == [0, 1]
    assert PAPER_SCHEDULE.kappa_dot(ends).tolist() == [0, 2]


@pytest.mark.parametrize("exponent", [1.0, 2.0, 3.0])
def test_the_derivative_is_that_of_kappa(exponent: float) -> None:
    schedule = PolynomialSchedule(exponent)
    t = torch.linspace(0, 1, 101, dtype=torch.float64, requires_grad=True)
    (slope,) = torch.autograd.grad(schedule.kappa(t).sum(), t)
    torch.testing.assert_close(schedule.kappa_dot(t), slope)


def test_the_chance_to_be_revealed_is_the_integral_of_the_hazard() -> None:
    t, s = 0.3, 0.8
    grid = torch.linspace(t, s, 20_001, dtype=torch.float64)
    integral = torch.trapezoid(PAPER_SCHEDULE.hazard(grid), grid)
    chance = PAPER_SCHEDULE.reveal(grid[0], grid[-1])
    assert float(chance) == pytest.approx(-math.expm1(-float(integral)), abs=1e-8)
    assert float(chance) == pytest.approx((s**2 - t**2) / (1 - t**2))


def test_expected_inverses_of_kappa_and_of_the_odds(flow_facts: dict) -> None:
    (identity,) = (text for text in flow_facts["identities"] if "inverses recover t" in text)
    times, tolerance = re.search(r"t=([\d.,]+) to (\S+) for", identity).groups()
    t = torch.tensor([float(value) for value in times.split(",")], dtype=torch.float64)
    for exponent in (1.0, 2.0):  # "cond-OT and polynomial n=2"
        schedule = PolynomialSchedule(exponent)
        torch.testing.assert_close(schedule.kappa_inverse(schedule.kappa(t)), t, atol=float(tolerance), rtol=0)
        torch.testing.assert_close(schedule.odds_inverse(schedule.odds(t)), t, atol=float(tolerance), rtol=0)


def test_expected_solution_of_the_polynomial_field(flow_facts: dict) -> None:
    """The field 3 t^2 is kappa_dot for the exponent 3; Euler steps over it must reach the stated end points."""
    facts = flow_facts["ode_polynomial_field"]
    assert facts["velocity"].startswith("3*t**2")
    start, end = facts["t"]
    grid = torch.arange(start, end, facts["step_size"], dtype=torch.float64)
    travelled = (PolynomialSchedule(3).kappa_dot(grid) * facts["step_size"]).sum()
    reached = torch.tensor(facts["x_init"], dtype=torch.float64) + travelled
    torch.testing.assert_close(reached, torch.tensor(facts["x_final"], dtype=torch.float64), atol=facts["atol"], rtol=0)


@pytest.mark.parametrize("t", [0.0, 0.2, 0.5, 0.9, 1.0])
def test_the_masked_share_is_one_minus_t_squared(t: float) -> None:
    target = padded_target([4000, 4000, 3000])
    noisy = corrupt(target, torch.full((3,), t), generators([1, 2, 3]))
    positions = int((target != CODEC.pad).sum())
    masked = int((noisy == CODEC.mask).sum())
    share = 1 - t**2
    spread = math.sqrt(positions * share * (1 - share))
    assert abs(masked - positions * share) <= 4.5 * spread  # two-sided binomial, about 7e-6


def test_books_and_positions_are_masked_independently() -> None:
    target = padded_target([20_000], books=2)
    masked = (corrupt(target, torch.tensor([math.sqrt(0.5)]), generators([5])) == CODEC.mask)[0].double() - 0.5
    assert abs(float((masked[0] * masked[1]).mean())) < 4.5 * 0.25 / math.sqrt(20_000)
    assert abs(float((masked[0, 1:] * masked[0, :-1]).mean())) < 4.5 * 0.25 / math.sqrt(20_000)


@settings(deadline=None, max_examples=40)
@given(
    lengths=st.lists(st.integers(1, 30), min_size=1, max_size=5),
    seed=st.integers(0, 2**31),
    t=st.floats(0, 1, width=32),
)
def test_corruption_shows_the_target_the_mask_or_padding_and_belongs_to_the_item(
    lengths: list[int], seed: int, t: float
) -> None:
    target = padded_target(lengths, seed=seed)
    times = torch.full((len(lengths),), t)
    seeds = list(range(seed, seed + len(lengths)))
    noisy = corrupt(target, times, generators(seeds))
    assert bool(((noisy == target) | ((noisy == CODEC.mask) & (target != CODEC.pad))).all())
    for item, length in enumerate(lengths):
        alone = corrupt(target[item : item + 1, :, :length], times[:1], generators([seeds[item]]))
        assert torch.equal(alone[0], noisy[item, :, :length])


def test_later_times_show_more_of_the_same_draw() -> None:
    target = padded_target([500])
    seen = [corrupt(target, torch.tensor([t]), generators([9])) != CODEC.mask for t in (0.2, 0.5, 0.9)]
    assert bool((seen[0] <= seen[1]).all())
    assert bool((seen[1] <= seen[2]).all())


def test_flipped_time_names_the_same_state() -> None:
    """A network trained with "masked share = label" sees at our t exactly what it saw at its label 1 - kappa(t)."""
    target, linear = padded_target([700]), PolynomialSchedule(1)
    t = torch.tensor([0.6], dtype=torch.float64)
    label = flipped_time(t)
    assert float(label) == pytest.approx(1 - 0.36)
    ours = corrupt(target, t, generators([4]))
    theirs = corrupt(target, 1 - label, generators([4]), schedule=linear)  # masked with probability label
    assert torch.equal(ours, theirs)
    times = torch.linspace(0, 1, 11, dtype=torch.float64)
    torch.testing.assert_close(flipped_time(flipped_time(times, linear), linear), times)
    assert flipped_time(torch.tensor([0.0, 1.0])).tolist() == [1, 0]


def test_training_times_fill_their_range_and_belong_to_the_item() -> None:
    drawn = draw_times(generators(range(4000)), margin=0.01)
    assert drawn.dtype == torch.float32
    assert 0.01 <= float(drawn.min()) < 0.02
    assert 0.98 < float(drawn.max()) <= 0.99
    assert float(drawn.mean()) == pytest.approx(0.5, abs=4.5 * 0.98 / math.sqrt(12 * 4000))
    assert float(draw_times(generators([17]), margin=0.01)) == float(drawn[17])


def test_the_loss_is_the_mean_surprise_at_the_target() -> None:
    book = Vocabulary(3)
    target = torch.tensor([[[0, 2, book.pad]]])
    noisy = torch.tensor([[[0, book.mask, book.pad]]])
    probabilities = torch.tensor([[[[0.5, 0.3, 0.2], [0.1, 0.1, 0.8], [0.2, 0.2, 0.6]]]])
    logits = probabilities.log().requires_grad_()
    both = posterior_cross_entropy(logits, target, noisy, vocabulary=book)
    assert both.item() == pytest.approx(-(math.log(0.5) + math.log(0.8)) / 2, abs=1e-6)
    masked = posterior_cross_entropy(logits, target, noisy, scope="masked", vocabulary=book)
    assert masked.item() == pytest.approx(-math.log(0.8), abs=1e-6)
    (gradient,) = torch.autograd.grad(both, logits)
    assert gradient[0, 0, 2].abs().max() == 0
    assert gradient[0, 0, :2].abs().max() > 0


def test_the_loss_of_nothing_is_zero_and_can_be_differentiated() -> None:
    target = torch.full((1, 2, 3), CODEC.pad)
    logits = torch.zeros(1, 2, 3, CODEC.codes, requires_grad=True)
    loss = posterior_cross_entropy(logits, target, target)
    loss.backward()
    assert loss.item() == 0
    assert float(logits.grad.abs().sum()) == 0


def test_the_true_posterior_has_the_least_loss() -> None:
    """The minimiser of Eq. 1 is the posterior: with a known distribution of targets, any tilt away from it costs."""
    book, known = Vocabulary(4), torch.tensor([0.4, 0.3, 0.2, 0.1])
    target = torch.multinomial(known, 30_000, replacement=True, generator=generators([0])[0]).view(1, 1, -1)
    noisy = torch.full_like(target, book.mask)
    costs = []
    for tilt in (-0.3, 0.0, 0.3):
        logits = known.log() + tilt * torch.tensor([1.0, -1.0, 1.0, -1.0])
        costs.append(float(posterior_cross_entropy(logits.expand(1, 1, 30_000, 4), target, noisy, vocabulary=book)))
    assert costs[1] < min(costs[0], costs[2])


@pytest.mark.parametrize(
    ("target", "t"),
    [
        (torch.tensor([[[CODEC.mask]]]), torch.tensor([0.5])),
        (torch.tensor([[[-1]]]), torch.tensor([0.5])),
        (torch.tensor([[[0.0]]]), torch.tensor([0.5])),
        (torch.tensor([[[0]]]), torch.tensor([1.5])),
        (torch.tensor([[[0]]]), torch.tensor([math.nan])),
        (torch.tensor([[[0]]]), torch.tensor([0.5, 0.5])),
        (torch.tensor([[[0]], [[1]]]), torch.tensor([0.5, 0.5])),  # two items, one generator
        (torch.tensor([[[0, CODEC.pad, 1]]]), torch.tensor([0.5])),  # padding inside an item
        (torch.tensor([[[0, 1], [0, CODEC.pad]]]), torch.tensor([0.5])),  # books of different length
    ],
)
def test_corruption_refuses_what_it_cannot_mean(target: torch.Tensor, t: torch.Tensor) -> None:
    with pytest.raises(WrongUse, match=r"diflow\."):
        corrupt(target, t, generators([0]))


def test_settings_without_meaning_are_refused() -> None:
    with pytest.raises(WrongUse, match="bad_schedule"):
        PolynomialSchedule(0.5)
    with pytest.raises(WrongUse, match="bad_schedule"):
        PolynomialSchedule(math.nan)
    with pytest.raises(WrongUse, match="bad_vocabulary"):
        Vocabulary(0)
    with pytest.raises(WrongUse, match="bad_time"):
        draw_times(generators([0]), margin=0.5)
    with pytest.raises(WrongUse, match="bad_logits"):
        posterior_cross_entropy(
            torch.zeros(1, 1, 1, CODEC.embedded), torch.zeros(1, 1, 1, dtype=torch.long), torch.zeros(1, 1, 1)
        )
