"""Monotonic search, contrastive alignment, CTC, distillation: each against its equation written out."""

from __future__ import annotations

import itertools
import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from dubflow.diflow.flow.noise import generators
from dubflow.diflow.nets.alignment_loss import contrastive_alignment, one_map
from dubflow.diflow.nets.attention import AttentionMap
from dubflow.diflow.nets.ctc import ctc_loss
from dubflow.diflow.nets.distillation import distillation_loss
from dubflow.diflow.nets.grid import alignment_matrix, inside_of
from dubflow.diflow.nets.losses import LossParts
from dubflow.diflow.nets.monotonic import log_weights, monotonic_search
from dubflow.diflow.nets.settings import AlignmentSettings
from dubflow.diflow.nets.text import Text
from dubflow.errors import BadInput, WrongUse


def all_paths(units: int, phonemes: int, relaxed: bool) -> list[tuple[int, ...]]:
    """Every monotonic assignment of units to phonemes."""
    paths = itertools.combinations_with_replacement(range(phonemes), units)
    return list(paths) if relaxed else [p for p in paths if set(p) == set(range(phonemes))]


@settings(deadline=None, max_examples=80)
@given(
    sizes=st.lists(st.tuples(st.integers(1, 6), st.integers(1, 5)), min_size=1, max_size=4), seed=st.integers(0, 10**6)
)
def test_the_search_finds_the_best_of_all_paths(sizes: list[tuple[int, int]], seed: int) -> None:
    units, phonemes = (torch.tensor(side) for side in zip(*sizes, strict=True))
    values = torch.randn(len(sizes), int(units.max()) + 1, int(phonemes.max()) + 1, generator=generators([seed])[0])
    for item, (t, n) in enumerate(sizes):  # padding that would win if it were read
        values[item, t:] = 1e6
        values[item, :, n:] = 1e6
    found = monotonic_search(values, units, phonemes)
    for item, (t, n) in enumerate(sizes):
        paths = all_paths(t, n, relaxed=n > t)
        best = max(paths, key=lambda path, item=item: sum(float(values[item, i, j]) for i, j in enumerate(path)))
        assert found.durations[item].tolist()[:n] == [best.count(j) for j in range(n)]
        assert int(found.durations[item].sum()) == t
        assert bool(found.relaxed[item]) == (n > t)


def test_a_clear_diagonal_is_found_and_crowding_is_refused_where_asked() -> None:
    durations = torch.tensor([[3, 1, 4]])
    weights = alignment_matrix(durations, 8).float() * 0.9 + 0.03
    found = monotonic_search(log_weights(weights), torch.tensor([8]), torch.tensor([3]), crowded="reject")
    assert torch.equal(found.durations, durations)
    with pytest.raises(BadInput, match="more_phones_than_units"):
        monotonic_search(torch.zeros(1, 2, 3), torch.tensor([2]), torch.tensor([3]), crowded="reject")


def test_zero_weights_do_not_break_the_search() -> None:
    weights = torch.zeros(1, 5, 3)
    weights[0, :, 2] = 1
    found = monotonic_search(log_weights(weights), torch.tensor([5]), torch.tensor([3]))
    assert found.durations.tolist() == [[1, 1, 3]]


def literal_alignment(a: torch.Tensor, m: torch.Tensor, tau: float) -> float:
    """Eq. 2 for one item, in loops; rows without a positive left out."""
    e, total = (a.double() / tau).exp(), 0.0
    for axis in (0, 1):
        for row_e, row_m in zip(*((x if axis == 0 else x.T) for x in (e, m)), strict=True):
            if row_m.any():
                total -= math.log(float((row_m * row_e).sum() / row_e.sum()))
    return total


def test_the_alignment_loss_is_equation_two() -> None:
    durations = torch.tensor([[2, 0, 3, 1], [4, 0, 0, 0]])  # one phoneme without a frame; one item of one phoneme
    phones, units = torch.tensor([4, 1]), torch.tensor([6, 4])
    matrix = alignment_matrix(durations, 7)
    scores = torch.rand(2, 7, 4, generator=generators([0])[0]).requires_grad_()
    loss = contrastive_alignment(scores, matrix, inside_of(units, 7), inside_of(phones, 4), 0.1)
    wanted = literal_alignment(scores[0, :6].detach(), matrix[0, :6], 0.1)
    wanted += literal_alignment(scores[1, :4, :1].detach(), matrix[1, :4, :1], 0.1)
    assert loss.value.item() == pytest.approx(wanted / 2, rel=1e-5)
    assert (loss.skipped_phonemes, loss.skipped_units) == (1, 0)
    (gradient,) = torch.autograd.grad(loss.value, scores)
    assert bool(gradient.isfinite().all())
    assert float(gradient[0, 6].abs().sum() + gradient[1, 4:].abs().sum() + gradient[1, :, 1:].abs().sum()) == 0


def test_attention_on_the_alignment_costs_less_than_off_it() -> None:
    matrix = alignment_matrix(torch.tensor([[3, 3, 2]]), 8)
    everything, phones = torch.ones(1, 8, dtype=torch.bool), torch.ones(1, 3, dtype=torch.bool)
    costs = [
        float(contrastive_alignment(scores, matrix, everything, phones, 0.1).value)
        for scores in (matrix.float(), torch.full((1, 8, 3), 1 / 3), (~matrix).float() / 2)
    ]
    assert costs == sorted(costs)
    assert costs[0] < 0.01


def test_one_map_stands_for_all_heads() -> None:
    flat, sharp = torch.full((1, 1, 4, 3), 1 / 3), torch.eye(4, 3).view(1, 1, 4, 3)
    maps = AttentionMap(torch.cat([flat, sharp], 1), torch.cat([flat, sharp], 1))
    everything = torch.ones(1, 4, dtype=torch.bool)
    assert torch.equal(one_map(maps, everything, AlignmentSettings(head="focused")).weights, sharp[:, 0])
    torch.testing.assert_close(one_map(maps, everything, AlignmentSettings()).weights, (flat + sharp)[:, 0] / 2)
    with pytest.raises(ValidationError):
        AlignmentSettings(head="first")


def test_ctc_is_the_sum_over_all_readings_and_leaves_out_what_cannot_fit() -> None:
    symbols, blank = 3, 3
    chances = torch.rand(2, 4, symbols + 1, generator=generators([1])[0]).softmax(-1)
    text = Text(torch.tensor([[1, 2], [2, 2]]), torch.zeros(2, 2, dtype=torch.long), torch.tensor([2, 2]))
    loss = ctc_loss(chances.log(), torch.tensor([4, 2]), text)  # the second needs three tokens for its repeat

    total = 0.0
    for reading in itertools.product(range(symbols + 1), repeat=4):
        said = [symbol for symbol, _ in itertools.groupby(reading) if symbol != blank]
        if said == [1, 2]:
            total += math.prod(float(chances[0, i, symbol]) for i, symbol in enumerate(reading))
    assert float(loss.value) == pytest.approx(-math.log(total) / 2, rel=1e-5)
    assert loss.skipped == 1


def test_ctc_of_nothing_that_fits_is_zero() -> None:
    text = Text(torch.tensor([[1, 1]]), torch.zeros(1, 2, dtype=torch.long), torch.tensor([2]))
    log_probabilities = torch.randn(1, 2, 4).log_softmax(-1).requires_grad_()
    loss = ctc_loss(log_probabilities, torch.tensor([2]), text)
    loss.value.backward()
    assert (loss.value.item(), loss.skipped) == (0, 1)
    assert bool(log_probabilities.grad.isfinite().all())


def test_the_distillation_compares_directions_of_time_averages() -> None:
    student = torch.randn(2, 6, 8, generator=generators([2])[0])
    inside = inside_of(torch.tensor([6, 4]), 6)
    mean = torch.stack([student[0].mean(0), student[1, :4].mean(0)])
    longer = inside_of(torch.tensor([9, 9]), 9)
    same = (3 * mean).unsqueeze(1).expand(-1, 9, -1)
    assert float(distillation_loss(student, inside, same, longer)) == pytest.approx(0, abs=1e-6)
    assert float(distillation_loss(student, inside, -same, longer)) == pytest.approx(2, abs=1e-6)


def test_no_gradient_reaches_the_teacher() -> None:
    student, teacher = torch.randn(1, 3, 4, requires_grad=True), torch.randn(1, 5, 4, requires_grad=True)
    everything = torch.ones(1, 5, dtype=torch.bool)
    distillation_loss(student, everything[:, :3], teacher, everything).backward()
    assert teacher.grad is None
    assert float(student.grad.abs().sum()) > 0


def test_a_loss_is_the_weighted_sum_of_its_parts() -> None:
    values = {"a": torch.tensor(2.0), "b": torch.tensor(3.0), "broken": torch.tensor(math.nan)}
    assert float(LossParts(values, {"a": 0.5, "b": 2.0, "broken": 0.0}).total) == 7
    assert math.isnan(LossParts(values, {"a": 0.5, "b": 2.0, "broken": 0.1}).total)
    with pytest.raises(WrongUse, match="bad_weights"):
        LossParts(values, {"a": 1.0})
    with pytest.raises(WrongUse, match="bad_weights"):
        _ = LossParts(values, dict.fromkeys(values, 0.0)).total
