"""The samplers' form of the denoiser: the same logits as the network's own forward, with less computed."""

from __future__ import annotations

import importlib.util
import sys
from functools import partial
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional

from dubflow.diflow.flow.noise import generators
from dubflow.diflow.flow.samplers import SamplerSettings, SparseDenoiser, sample
from dubflow.diflow.nets import fast
from dubflow.diflow.nets.denoiser import FlowDenoiser
from dubflow.diflow.nets.dubber import DubberNetwork
from dubflow.diflow.nets.grid import inside_of
from dubflow.diflow.nets.prompt import prior_condition
from dubflow.diflow.nets.settings import TINY

FRAMES = [(9,), (9, 9), (20, 11, 6), (1, 8)]
BOOKS = TINY.books.flow
TIMES = torch.linspace(0, 0.9, 5)


@pytest.fixture(scope="module")
def network(stirred) -> FlowDenoiser:
    return stirred(FlowDenoiser(TINY))


def contexts(network, b):
    """Conditions of both stages: reference speech with streams of its own length, and a prior as long as the target."""
    noise = generators([3])[0]
    width, longest, dtype = TINY.denoiser.width, b.noisy.shape[-1], network.join.weight.dtype
    content = torch.randn(len(b.lengths), TINY.books.content, longest, width, generator=noise, dtype=dtype)
    prior = torch.randn(len(b.lengths), TINY.books.prosody, longest, width, generator=noise, dtype=dtype)
    for condition in (network.embedders(b.reference), prior_condition(prior, b.lengths)):
        yield network.prepare(condition, content, b.lengths, b.speaker.to(dtype))


def some(b, share: float, seed: int) -> torch.Tensor:
    """A random mask of tokens that exist, at least one."""
    shape = b.noisy.shape
    mask = torch.rand(shape, generator=generators([seed])[0]) < share
    mask[0, 0, 0] = True
    return mask & inside_of(b.lengths, shape[-1]).unsqueeze(1)


@pytest.mark.parametrize("frames", FRAMES)
@torch.no_grad()
def test_revealed_logits_are_those_of_the_whole_network(network, make_batch, frames) -> None:
    b = make_batch(frames=frames)
    for context in contexts(network, b):
        steps = network.bound(context).begin(TIMES)
        for step, share in ((0, 0.02), (1, 0.3), (4, 1.0)):
            revealed = some(b, share, step)
            wanted = network(b.noisy, TIMES[step].expand(len(frames)), context)[revealed]
            torch.testing.assert_close(steps(step, b.noisy, revealed), wanted, rtol=1e-3, atol=1e-3)


@pytest.fixture(scope="module")
def precise(stirred) -> FlowDenoiser:
    return stirred(FlowDenoiser(TINY)).double()


@torch.no_grad()
def test_in_double_precision_the_two_agree_to_rounding(precise, make_batch) -> None:
    """Rotations stay in single precision in both, so what differs here would be the mathematics."""
    b, t = make_batch(frames=(7, 4)), torch.tensor([0.3])
    revealed = some(b, 0.2, 0)
    for context in contexts(precise, b):
        wanted = precise(b.noisy, t.expand(2), context)[revealed]
        torch.testing.assert_close(precise.bound(context).begin(t)(0, b.noisy, revealed), wanted, rtol=1e-6, atol=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("method", ["exact", "euler"])
@given(seed=st.integers(0, 2**32), steps=st.sampled_from([1, 2, 5, 16]))
@settings(max_examples=8, deadline=None)
@torch.no_grad()
def test_a_sample_has_the_codes_of_the_plain_denoiser(precise, make_batch, method, seed, steps) -> None:
    """In double precision: in single, a uniform number within 1e-6 of a boundary may fall on its other side."""
    b = make_batch(frames=(7, 3))
    chosen = SamplerSettings(method=method, steps=steps)
    for context in contexts(precise, b):
        lengths, seeds = b.lengths.tolist(), [seed, seed + 1]
        plain = sample(partial(precise, context=context), lengths, seeds, chosen, books=BOOKS)
        assert torch.equal(sample(precise.bound(context), lengths, seeds, chosen, books=BOOKS), plain)


@given(order=st.permutations(range(4)))
@settings(max_examples=6, deadline=None)
@torch.no_grad()
def test_what_was_asked_before_does_not_matter(network, make_batch, order) -> None:
    """Remembered look-ups and modulations must follow any jump of tokens and times."""
    b = make_batch(frames=(9, 6))
    context = next(iter(contexts(network, b)))
    states = [b.noisy, b.flow, b.noisy.flip(1), b.flow.roll(1, dims=-1)]
    states = [torch.where(b.flow == TINY.books.vocabulary.pad, b.flow, s) for s in states]
    revealed = some(b, 0.3, 1)
    used = network.bound(context).begin(TIMES)
    for step in order:
        fresh = network.bound(context).begin(TIMES)(step, states[step], revealed)
        torch.testing.assert_close(used(step, states[step], revealed), fresh, rtol=1e-4, atol=1e-4)


@torch.no_grad()
def test_modulations_are_the_same_in_groups_of_any_size(network, make_batch, monkeypatch) -> None:
    b = make_batch(frames=(5, 4))
    context = next(iter(contexts(network, b)))
    revealed = some(b, 0.5, 2)
    whole = network.bound(context).begin(TIMES)
    monkeypatch.setattr(fast, "_ROWS_AT_ONCE", 4)
    grouped = network.bound(context).begin(TIMES)
    assert grouped.group == 2
    assert whole.group > len(TIMES)
    for step in range(len(TIMES)):
        torch.testing.assert_close(
            grouped(step, b.noisy, revealed), whole(step, b.noisy, revealed), rtol=1e-4, atol=1e-4
        )


@torch.no_grad()
def test_padding_and_what_is_not_asked_for_are_not_computed(network, make_batch, monkeypatch) -> None:
    """Rows that go through lines: a ragged batch has as many as its items alone, and fewer when less is revealed."""
    rows = []
    honest = fast.line
    monkeypatch.setattr(fast, "line", lambda x, *a, **k: (rows.append(x.shape[0]), honest(x, *a, **k))[1])

    def counted(b, revealed):
        context = next(iter(contexts(network, b)))
        steps = network.bound(context).begin(TIMES[:1])
        steps(0, b.noisy, revealed)
        rows.clear()
        steps(0, b.noisy, revealed)
        return sum(rows)

    b = make_batch(frames=(20, 11, 6))
    revealed = some(b, 0.2, 0)
    revealed[:, 0, 0] = True
    alone = sum(
        counted(item, revealed[i : i + 1, :, : item.noisy.shape[-1]]) for i, item in enumerate(map(b.item, range(3)))
    )
    together = counted(b, revealed)
    assert together == alone
    longest = 3 * (b.noisy.shape[-1] + b.reference.prosody.shape[-1])
    assert together < longest * 4 * TINY.denoiser.layers
    assert counted(b, some(b, 0.0, 0)) < together - TINY.denoiser.layers


@torch.no_grad()
def test_the_line_is_a_linear_layer(network) -> None:
    noise = generators([0])[0]
    x, weight, bias = (torch.randn(*shape, generator=noise) for shape in ((7, 24), (40, 24), (40,)))
    for rows in (x, x[:1], x[:0], x.repeat(2, 2)[::2, :24]):
        wanted = functional.linear(rows, weight, bias)
        torch.testing.assert_close(fast.line(rows, weight, bias), wanted, rtol=1e-5, atol=1e-5)
        curved = functional.gelu(wanted, approximate="tanh")
        torch.testing.assert_close(fast.line(rows, weight, bias, gelu=True), curved, rtol=1e-4, atol=1e-5)


@torch.no_grad()
def test_half_precision_is_asked_for_and_stays_near(network, make_batch) -> None:
    b = make_batch(frames=(12, 7))
    context = next(iter(contexts(network, b)))
    revealed = some(b, 1.0, 0)
    exact = network.bound(context).begin(TIMES)(2, b.noisy, revealed)
    rough = network.bound(context, "bfloat16").begin(TIMES)(2, b.noisy, revealed)
    assert rough.dtype == exact.dtype
    with torch.autocast("cpu", torch.bfloat16):  # as inference asks
        within = network.bound(context, "bfloat16").begin(TIMES)(2, b.noisy, revealed)
    assert float((within - exact).norm() / exact.norm()) < 0.05
    error = float((rough - exact).norm() / exact.norm())
    assert 1e-4 < error < 0.05


@torch.no_grad()
def test_a_new_binding_sees_new_weights(stirred, make_batch) -> None:
    network, b = stirred(FlowDenoiser(TINY)), make_batch(frames=(5,))
    context = next(iter(contexts(network, b)))
    revealed = some(b, 0.5, 0)
    before = network.bound(context).begin(TIMES)(0, b.noisy, revealed)
    network.acoustic_head[2].bias.add_(1.0)
    after = network.bound(context).begin(TIMES)(0, b.noisy, revealed)
    shift = (after - before).mean(dim=-1)
    torch.testing.assert_close(shift, (revealed.nonzero()[:, 1] > 0).float(), rtol=1e-3, atol=1e-3)


def plain_module():
    """The benchmarks' plain version of the whole of stage 2."""
    path = Path(__file__).parents[2] / "benchmarks" / "plain_diflow.py"
    specification = importlib.util.spec_from_file_location("plain_diflow", path)
    module = importlib.util.module_from_spec(specification)
    sys.modules["plain_diflow"] = module
    specification.loader.exec_module(module)
    return module


@pytest.mark.parametrize("frames", [(9,), (12, 7)])
@torch.no_grad()
def test_inference_gives_the_codes_of_the_papers_equations(stirred, make_batch, frames) -> None:
    """Plan once, prepare, bind, sample: against everything again at each step, dense and with padding."""
    network, b = stirred(DubberNetwork(TINY)), make_batch(frames=frames)
    plain = plain_module().PlainDubber(network, b.text, b.picture, b.speaker)
    context = network.context(network.plan(b.text, b.picture), b.speaker)
    bound = network.denoiser.bound(context)
    assert isinstance(bound, SparseDenoiser)
    assert not isinstance(plain, SparseDenoiser)
    inside = inside_of(b.lengths, b.noisy.shape[-1]).unsqueeze(1).expand_as(b.noisy)
    wanted = plain(b.noisy, b.t)[inside]
    torch.testing.assert_close(bound(b.noisy, b.t)[inside], wanted, rtol=1e-3, atol=1e-3)
    lengths, seeds, chosen = b.lengths.tolist(), list(range(len(frames))), SamplerSettings(steps=6)
    assert torch.equal(
        sample(plain, lengths, seeds, chosen, books=BOOKS), sample(bound, lengths, seeds, chosen, books=BOOKS)
    )
