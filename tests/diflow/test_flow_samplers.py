"""The law of the samplers and of the velocity they follow."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from torch import Tensor

from dubflow.diflow.flow.categorical import code_logits, draw_codes
from dubflow.diflow.flow.noise import generators
from dubflow.diflow.flow.samplers import (
    SamplerSettings,
    reveal_chances,
    revealed_by,
    sample,
    time_grid,
    trajectory,
)
from dubflow.diflow.flow.schedule import PAPER_SCHEDULE, PolynomialSchedule
from dubflow.diflow.flow.velocity import carried_posterior, jump_probability, velocity
from dubflow.diflow.flow.vocabulary import CODEC, Vocabulary
from dubflow.errors import OurFault, WrongUse

SMALL = Vocabulary(4)
METHODS = ("exact", "euler")
STEPS = (1, 2, 3, 8, 32, 128)

# Two dependent books of three codes: what one shows changes what the other may be.
PAIR = torch.tensor([[0.30, 0.02, 0.08], [0.05, 0.25, 0.00], [0.05, 0.05, 0.20]], dtype=torch.float64)
PAIR_BOOK = Vocabulary(3)


def chi_square_bound(degrees: int) -> float:
    """A bound on chi-square exceeded with probability about 1e-5 (Wilson-Hilferty)."""
    return degrees * (1 - 2 / (9 * degrees) + 4.3 * math.sqrt(2 / (9 * degrees))) ** 3


def chi_square(counts: Tensor, expected: Tensor) -> float:
    possible = expected > 0
    assert float(counts[~possible].sum()) == 0
    return float(((counts - expected)[possible] ** 2 / expected[possible]).sum())


def constant(probabilities: Tensor):
    """A denoiser that answers the same distribution everywhere."""
    logits = probabilities.log().float()

    def denoise(tokens: Tensor, t: Tensor) -> Tensor:
        return logits.expand(*tokens.shape, -1)

    return denoise


def pair_posterior(tokens: Tensor, t: Tensor) -> Tensor:
    """The true posterior of ``PAIR`` for tokens ``[B, 2, L]``: conditional where the other book is visible."""
    other = tokens.flip(1)
    first = torch.cat([PAIR.T / PAIR.T.sum(1, keepdim=True), torch.zeros(1, 3), PAIR.sum(1)[None]])
    second = torch.cat([PAIR / PAIR.sum(1, keepdim=True), torch.zeros(1, 3), PAIR.sum(0)[None]])
    return torch.stack([first[other[:, 0]], second[other[:, 1]]], dim=1).log()


def contextual(tokens: Tensor, t: Tensor) -> Tensor:
    """A denoiser that looks at time and at visible neighbours, and at nothing beyond an item's end."""
    shown = torch.where(tokens < SMALL.codes, tokens + 1, 0).double()
    left = torch.nn.functional.pad(shown, (1, 0))[..., :-1]
    right = torch.nn.functional.pad(shown, (0, 1))[..., 1:]
    mixed = (left + 2 * right + shown.sum(1, keepdim=True)).unsqueeze(-1) + t.view(-1, 1, 1, 1)
    return torch.sin(mixed * torch.arange(1, SMALL.codes + 1))


@pytest.mark.parametrize("steps", STEPS)
@pytest.mark.parametrize("grid", ["time", "share"])
def test_chances_are_probabilities_and_end_with_certainty(steps: int, grid: str) -> None:
    for method in METHODS:
        chances = reveal_chances(SamplerSettings(method=method, steps=steps, grid=grid))
        assert chances.shape == (steps,)
        assert bool(((chances >= 0) & (chances <= 1)).all())
        assert float(chances[-1]) == 1
        assert float(revealed_by(chances)[-1]) == 1


@pytest.mark.parametrize("steps", STEPS)
def test_the_exact_sampler_has_revealed_kappa_at_every_step(steps: int) -> None:
    sampler = SamplerSettings(method="exact", steps=steps)
    torch.testing.assert_close(revealed_by(reveal_chances(sampler)), PAPER_SCHEDULE.kappa(time_grid(sampler)[1:]))


def test_steps_of_equal_share_reveal_equal_shares() -> None:
    ends = revealed_by(reveal_chances(SamplerSettings(steps=10, grid="share")))
    torch.testing.assert_close(ends, torch.linspace(0.1, 1, 10, dtype=torch.float64))


def test_the_first_euler_step_is_dead_for_the_papers_schedule_only() -> None:
    sampler = SamplerSettings(method="euler", steps=16)
    assert float(reveal_chances(sampler)[0]) == 0
    assert float(reveal_chances(sampler, PolynomialSchedule(1))[0]) == pytest.approx(-math.expm1(-1 / 16))
    calls: list[float] = []

    def counting(tokens: Tensor, t: Tensor) -> Tensor:
        calls.append(float(t[0]))
        return contextual(tokens, t)

    states = list(trajectory(counting, [300], [0], sampler, books=2, vocabulary=SMALL))
    assert bool((states[0] == SMALL.mask).all())
    assert len(calls) == 15, "the denoiser is not asked in a step that reveals nothing"
    assert min(calls) > 0


def test_euler_chances_tend_to_the_exact_ones() -> None:
    gaps = []
    for steps in (8, 32, 128):
        exact, euler = (revealed_by(reveal_chances(SamplerSettings(method=m, steps=steps))) for m in METHODS)
        gaps.append(float((exact - euler).abs().max()))
    assert gaps[0] > 3 * gaps[1] > 9 * gaps[2]
    assert gaps[2] < 0.02


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("steps", STEPS)
def test_no_mask_is_left_and_visible_tokens_never_change(method: str, steps: int) -> None:
    sampler = SamplerSettings(method=method, steps=steps)
    before = torch.full((2, 3, 40), SMALL.mask)
    before[1, :, 25:] = SMALL.pad
    for state in trajectory(contextual, [40, 25], [1, 2], sampler, books=3, vocabulary=SMALL):
        visible = before != SMALL.mask
        assert torch.equal(state[visible], before[visible])
        before = state
    assert bool((before[0] < SMALL.codes).all())
    assert bool((before[1, :, :25] < SMALL.codes).all())
    assert bool((before[1, :, 25:] == SMALL.pad).all())


@pytest.mark.parametrize("method", METHODS)
def test_one_step_draws_everything_from_the_first_posterior(method: str) -> None:
    known = torch.tensor([0.5, 0.25, 0.2, 0.05], dtype=torch.float64)
    drawn = sample(constant(known), [20_000], [3], SamplerSettings(method=method, steps=1), books=1, vocabulary=SMALL)
    counts = torch.bincount(drawn.flatten(), minlength=4).double()
    assert chi_square(counts, known * 20_000) < chi_square_bound(3)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("steps", [2, 16])
def test_a_known_posterior_gives_back_its_distribution(method: str, steps: int) -> None:
    known = torch.tensor([0.5, 0.25, 0.2, 0.05], dtype=torch.float64)
    sampler = SamplerSettings(method=method, steps=steps)
    drawn = sample(constant(known), [10_000], [4], sampler, books=2, vocabulary=SMALL)
    counts = torch.bincount(drawn.flatten(), minlength=4).double()
    assert chi_square(counts, known * 20_000) < chi_square_bound(3)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("steps", [1, 4, 32, 128])
def test_dependent_tokens_follow_the_law_of_the_steps(method: str, steps: int) -> None:
    """Two books revealed in one step are drawn independently, in different steps from the true conditional.

    With q the chance that both fall into one step, the sampler's distribution is (1 - q) P + q P1 x P2, exactly.
    """
    sampler = SamplerSettings(method=method, steps=steps)
    pairs = 20_000
    drawn = sample(pair_posterior, [pairs], [steps], sampler, books=2, vocabulary=PAIR_BOOK)
    counts = torch.bincount((drawn[0, 0] * 3 + drawn[0, 1]), minlength=9).double().view(3, 3)
    expected = pairs * step_law(sampler)
    assert chi_square(counts, expected) < chi_square_bound(int((expected > 0).sum()) - 1)
    if steps == 1:  # and the test can tell: one step is visibly not the joint distribution
        assert float((counts / pairs - PAIR).abs().max()) > 0.1


def step_law(sampler: SamplerSettings) -> Tensor:
    """The distribution of a pair that ``sampler`` must give, ``[3, 3]``."""
    ends = revealed_by(reveal_chances(sampler))
    together = float((torch.diff(ends, prepend=torch.zeros(1)) ** 2).sum())
    return (1 - together) * PAIR + together * torch.outer(PAIR.sum(1), PAIR.sum(0))


def test_both_samplers_tend_to_the_joint_distribution() -> None:
    for method in METHODS:
        errors = [
            float((step_law(SamplerSettings(method=method, steps=n)) - PAIR).abs().sum()) for n in (1, 4, 32, 128)
        ]
        assert errors == sorted(errors, reverse=True)
        assert errors[-1] < 0.015


@pytest.mark.parametrize("method", METHODS)
def test_the_schedule_changes_the_pace_not_the_limit(method: str) -> None:
    for exponent in (1.0, 2.0, 3.0):
        drawn = sample(
            pair_posterior,
            [10_000],
            [8],
            SamplerSettings(method=method, steps=128),
            books=2,
            schedule=PolynomialSchedule(exponent),
            vocabulary=PAIR_BOOK,
        )
        shares = torch.bincount(drawn[0, 0] * 3 + drawn[0, 1], minlength=9).double() / 10_000
        assert float((shares.view(3, 3) - PAIR).abs().max()) < 4.5 * 0.5 / math.sqrt(10_000)


@settings(deadline=None, max_examples=30)
@given(
    lengths=st.lists(st.integers(1, 20), min_size=2, max_size=4),
    seed=st.integers(0, 2**31),
    steps=st.integers(1, 128),
    method=st.sampled_from(METHODS),
    temperature=st.sampled_from([0.0, 0.5, 1.0, 2.0]),
)
def test_an_item_is_the_same_alone_in_a_batch_and_in_any_order(
    lengths: list[int], seed: int, steps: int, method: str, temperature: float
) -> None:
    sampler = SamplerSettings(method=method, steps=steps, temperature=temperature)
    seeds = [seed + item for item in range(len(lengths))]
    together = sample(contextual, lengths, seeds, sampler, books=3, vocabulary=SMALL)
    turned = sample(contextual, lengths[::-1], seeds[::-1], sampler, books=3, vocabulary=SMALL)
    assert torch.equal(turned.flip(0), together)
    for item, length in enumerate(lengths):
        alone = sample(contextual, [length], [seeds[item]], sampler, books=3, vocabulary=SMALL)
        assert torch.equal(alone[0], together[item, :, :length])


def test_special_ids_are_never_drawn_even_from_a_network_that_wants_them() -> None:
    def eager(tokens: Tensor, t: Tensor) -> Tensor:
        logits = torch.zeros(*tokens.shape, SMALL.embedded)
        logits[..., SMALL.codes :] = 50.0
        return logits

    drawn = sample(eager, [500], [0], SamplerSettings(steps=4), books=2, vocabulary=SMALL)
    assert set(drawn.unique().tolist()) == set(range(SMALL.codes))


def test_temperature_sharpens_flattens_and_at_zero_decides() -> None:
    known = torch.tensor([0.1, 0.6, 0.3], dtype=torch.float64)
    shares = torch.rand(20_000, generator=generators([0])[0], dtype=torch.float64)
    for temperature in (0.5, 2.0):
        counts = torch.bincount(draw_codes(known.log().expand(20_000, 3), shares, temperature), minlength=3).double()
        expected = known ** (1 / temperature)
        assert chi_square(counts, 20_000 * expected / expected.sum()) < chi_square_bound(2)
    assert draw_codes(known.log().expand(20_000, 3), shares, 0.0).unique().tolist() == [1]


def test_a_draw_is_the_code_whose_interval_holds_the_number() -> None:
    logits = torch.tensor([0.25, 0.0, 0.5, 0.25, 0.0], dtype=torch.float64).log()
    shares = torch.tensor([0.0, 0.2499, 0.25, 0.7499, 0.75, 1 - 2**-53], dtype=torch.float64)
    assert draw_codes(logits.expand(6, 5), shares).tolist() == [0, 0, 2, 2, 3, 3]


def test_many_rows_are_drawn_in_pieces_without_a_seam() -> None:
    rows = 20_000
    logits = torch.randn(rows, 5, generator=generators([1])[0])
    shares = torch.rand(rows, generator=generators([2])[0], dtype=torch.float64)
    whole = draw_codes(logits, shares)
    assert torch.equal(whole[9000:9100], draw_codes(logits[9000:9100], shares[9000:9100]))


def test_the_velocity_is_a_rate_out_of_the_present_state() -> None:
    posterior = torch.softmax(torch.randn(2, 3, 5, 4, generator=generators([0])[0], dtype=torch.float64), dim=-1)
    tokens = torch.full((2, 3, 5), SMALL.mask)
    tokens[0, 0, :3] = torch.tensor([1, 3, SMALL.pad])
    t = torch.tensor([0.3, 0.8], dtype=torch.float64)
    rates = velocity(posterior, tokens, t, vocabulary=SMALL)
    torch.testing.assert_close(rates.sum(-1), torch.zeros(2, 3, 5, dtype=torch.float64), atol=1e-12, rtol=0)
    present = torch.nn.functional.one_hot(tokens, SMALL.embedded).bool()
    assert bool((rates[~present] >= 0).all())
    assert float(rates[0, 0, :3].abs().max()) == 0, "visible tokens do not move"
    hazard = 2 * 0.8 / (1 - 0.64)
    torch.testing.assert_close(rates[1, 2, 4, :4], hazard * posterior[1, 2, 4])
    assert float(rates[1, 2, 4, SMALL.mask]) == pytest.approx(-hazard)
    assert float(rates[..., SMALL.pad].abs().max()) == 0


def test_the_velocity_carries_the_path_forward() -> None:
    """Kolmogorov's forward equation: integrating Eq. 8 from all mask gives the mixture at every time."""
    known = torch.tensor([0.5, 0.25, 0.2, 0.05], dtype=torch.float64)
    masked = torch.full((1, 1, 1), SMALL.mask)
    state = torch.nn.functional.one_hot(masked[0, 0, 0], SMALL.embedded).double()
    steps = 4000
    for index in range(3 * steps // 4):
        t = torch.tensor([index / steps], dtype=torch.float64)
        rates = velocity(known.view(1, 1, 1, 4), masked, t, vocabulary=SMALL)[0, 0, 0]
        state = state + state[SMALL.mask] * rates / steps  # only the masked state has outgoing rates
    kappa = 0.75**2
    expected = torch.cat([kappa * known, torch.tensor([0.0, 1 - kappa], dtype=torch.float64)])
    torch.testing.assert_close(state, expected, atol=1e-3, rtol=0)


def test_a_jump_is_to_first_order_the_velocity() -> None:
    t, step = torch.tensor(0.4, dtype=torch.float64), torch.tensor(1e-5, dtype=torch.float64)
    out = -velocity(
        torch.full((1, 1, 1, 4), 0.25).double(), torch.full((1, 1, 1), SMALL.mask), t[None], vocabulary=SMALL
    )
    leaving = out[0, 0, 0, SMALL.mask]
    assert float(jump_probability(t, step)) == pytest.approx(float(step * leaving), rel=1e-4)
    assert float(PAPER_SCHEDULE.reveal(t, t + step)) == pytest.approx(float(step * leaving), rel=1e-4)


def test_the_carried_posterior_knows_what_is_visible() -> None:
    guess = torch.full((2, 4), 0.25)
    carried = carried_posterior(guess, torch.tensor([2, SMALL.mask]), vocabulary=SMALL)
    assert carried.tolist() == [[0, 0, 1, 0, 0, 0], [0.25, 0.25, 0.25, 0.25, 0, 0]]


def test_denoisers_that_answer_nonsense_are_named() -> None:
    def broken(tokens: Tensor, t: Tensor) -> Tensor:
        return torch.full((*tokens.shape, 4), math.nan)

    with pytest.raises(OurFault, match="not_finite"):
        sample(broken, [3], [0], SamplerSettings(steps=2), books=1, vocabulary=SMALL)
    with pytest.raises(WrongUse, match="bad_logits"):
        code_logits(torch.zeros(1, 1, 1, 1000), CODEC)
    with pytest.raises(WrongUse, match="bad_lengths"):
        sample(contextual, [3, 4], [0], SamplerSettings(), books=1, vocabulary=SMALL)
    with pytest.raises(WrongUse, match="bad_logits"):
        carried_posterior(torch.zeros(2, 5), torch.zeros(2, dtype=torch.long), vocabulary=SMALL)


@pytest.mark.parametrize("bad", [{"steps": 0}, {"steps": 129}, {"temperature": -1}, {"method": "heun"}, {"nfe": 4}])
def test_settings_are_strict(bad: dict) -> None:
    with pytest.raises(ValidationError):
        SamplerSettings.model_validate(bad)
