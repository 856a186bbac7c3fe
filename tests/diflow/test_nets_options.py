"""Options beyond the paper: an acoustic prompt in stage 2, a loss of FaPro's own, stepwise attention at evaluation."""

from __future__ import annotations

import dataclasses
import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from torch.nn import functional

from dubflow.diflow.flow.noise import generators
from dubflow.diflow.nets.dubber import DubberNetwork, DubberTargets, DubbingWeights, dubbing_loss
from dubflow.diflow.nets.monotonic import monotonic_search
from dubflow.diflow.nets.prompt import Reference, prior_condition, prompted
from dubflow.diflow.nets.settings import TINY, NetSettings
from dubflow.diflow.nets.stepwise import expected_alignment, hard_alignment
from dubflow.errors import WrongUse

PROMPTED = TINY.model_copy(update={"acoustic_prompt": True})


def placed(positions: str, **more) -> NetSettings:
    denoiser = TINY.denoiser.model_copy(update={"positions": positions})
    return PROMPTED.model_copy(update={"denoiser": denoiser, **more})


def stepping(how: str) -> NetSettings:
    return TINY.model_copy(update={"alignment": TINY.alignment.model_copy(update={"stepwise": how})})


def dub(network, b, reference=None):
    return network(b.text, b.picture, b.speaker, b.noisy, b.t, reference)


def test_the_condition_is_the_reference_then_the_prior() -> None:
    prior = torch.randn(2, 1, 4, 8, generator=generators([0])[0])
    acoustic = torch.randn(2, 3, 5, 8, generator=generators([1])[0])
    lengths, references = torch.tensor([4, 2]), torch.tensor([2, 5])
    condition = prompted(prior_condition(prior, lengths), acoustic, references)
    assert condition.lengths.tolist() == [6, 7]
    whole = condition.dense(2, 3)
    for item, (length, reference) in enumerate(zip(lengths.tolist(), references.tolist(), strict=True)):
        own = whole[item]
        assert torch.equal(own[3:, :reference], acoustic[item, :, :reference])
        assert torch.equal(own[:1, reference : reference + length], prior[item, :, :length])
        assert float(own[:3, :reference].abs().sum() + own[1:, reference : reference + length].abs().sum()) == 0


@torch.no_grad()
@pytest.mark.parametrize("face", [True, False], ids=["face", "no face"])
@pytest.mark.parametrize("positions", ["concatenated", "aligned"])
def test_a_prompt_is_heard_without_its_prosody_and_padding_stays_absent(
    stirred, make_batch, positions: str, face: bool
) -> None:
    network, b = stirred(DubberNetwork(placed(positions, face_prior=face))), make_batch()
    heard = dub(network, b, b.reference).flow_logits
    other = (b.reference.prosody + 7) % 1024
    assert torch.equal(dub(network, b, dataclasses.replace(b.reference, prosody=other)).flow_logits, heard)
    changed = dataclasses.replace(b.reference, acoustic=b.reference.acoustic.flip(2))
    assert not torch.equal(dub(network, b, changed).flow_logits[0], heard[0])
    for item in range(3):
        one, tokens = b.item(item), int(b.lengths[item])
        alone = dub(network, one, one.reference).flow_logits[0]
        torch.testing.assert_close(alone, heard[item, :, :tokens], rtol=2e-4, atol=2e-4)


@torch.no_grad()
def test_prior_and_target_stay_where_they_were(stirred, make_batch) -> None:
    """Rotary distance between the two ends of a position: L behind one another, 0 where they are to meet."""
    b = make_batch(frames=(10, 5))
    for positions in ("concatenated", "aligned"):
        network = stirred(DubberNetwork(placed(positions)))
        plan = network.plan(b.text, b.picture)
        turned = network.context(plan, b.speaker, b.reference).rotation
        longest = int((b.lengths + b.reference.lengths).max())
        for item in range(2):
            r, tokens = int(b.reference.lengths[item]), int(b.lengths[item])
            apart = tokens if positions == "concatenated" else 0
            angle = torch.atan2(turned.sin[item, 0, :, 0], turned.cos[item, 0, :, 0])  # of frequency 1
            steps = torch.remainder(angle[longest : longest + tokens] - angle[r : r + tokens], 2 * math.pi)
            torch.testing.assert_close(
                steps, torch.full_like(steps, math.remainder(apart, 2 * math.pi) % (2 * math.pi)), rtol=0, atol=1e-3
            )
            torch.testing.assert_close(
                torch.remainder(angle[r] - angle[0], 2 * math.pi), torch.tensor(r % (2 * math.pi)), rtol=0, atol=1e-3
            )


@torch.no_grad()
def test_a_prompt_is_given_exactly_where_settings_ask_for_it(stirred, make_batch) -> None:
    b = make_batch()
    with pytest.raises(WrongUse, match="bad_reference"):
        dub(stirred(DubberNetwork(PROMPTED)), b)
    with pytest.raises(WrongUse, match="bad_reference"):
        dub(stirred(DubberNetwork(TINY)), b, b.reference)
    empty = Reference(b.reference.prosody, b.reference.acoustic, b.reference.lengths * 0)
    with pytest.raises(WrongUse, match="bad_lengths"):
        dub(stirred(DubberNetwork(PROMPTED)), b, empty)


def test_the_mappers_own_loss_reaches_the_mapper_alone(stirred, make_batch) -> None:
    chosen = TINY.model_copy(update={"prosody_head": True})
    b, network = make_batch(), stirred(DubberNetwork(chosen))
    targets = DubberTargets(b.content, b.flow, b.frame_durations, b.token_durations, None)
    weights = DubbingWeights(**dict.fromkeys(DubbingWeights().model_dump(), 0.0) | {"prosody": 2.0})

    def parts(network, settings):
        return dubbing_loss(
            dub(network, b), b.text, b.picture.frames, targets, b.noisy, settings=settings, weights=weights
        )

    loss = parts(network, chosen)
    logits = network.prosody(network.plan(b.text, b.picture).prior)
    wanted = functional.cross_entropy(logits.flatten(0, -2), b.flow[:, :1].flatten(), ignore_index=1024)
    torch.testing.assert_close(loss.total, 2 * wanted)
    loss.total.backward()
    reached = {name.split(".")[0] for name, p in network.named_parameters() if p.grad is not None}
    assert reached == {"fapro", "prosody"}

    plain = stirred(DubberNetwork(TINY))
    assert not [name for name in plain.state_dict() if name.startswith("prosody")]
    with pytest.raises(WrongUse, match=r"'prosody'.*bad_weights"):
        parts(plain, TINY)
    with pytest.raises(ValidationError, match="prosody_head"):
        NetSettings(prosody_head=True, face_prior=False)


def soft_map(units: list[int], phonemes: list[int], seed: int) -> torch.Tensor:
    logits = 3 * torch.randn(len(units), max(units), max(phonemes), generator=generators([seed])[0])
    for item, count in enumerate(phonemes):
        logits[item, :, count:] = -torch.inf
    return logits.softmax(-1)


SIZES = st.lists(st.tuples(st.integers(1, 9), st.integers(1, 6)), min_size=1, max_size=4)


@settings(deadline=None, max_examples=60)
@given(sizes=SIZES, seed=st.integers(0, 10**6))
def test_expected_attention_is_the_mean_over_all_stepwise_walks(sizes: list[tuple[int, int]], seed: int) -> None:
    units, phonemes = ([size[side] for size in sizes] for side in (0, 1))
    weights = soft_map(units, phonemes, seed)
    alpha = expected_alignment(weights, torch.tensor(phonemes)).double()
    torch.testing.assert_close(alpha.sum(-1), torch.ones_like(alpha[..., 0]))
    places = (alpha * torch.arange(alpha.shape[2])).sum(-1)
    assert bool((places.diff(dim=1) >= -1e-6).all())
    assert bool((places.diff(dim=1) <= 1 + 1e-6).all())
    for item, (t, n) in enumerate(sizes):
        chances = {(0,): 1.0}
        for unit in range(1, t):
            longer: dict[tuple[int, ...], float] = {}
            for walk, chance in chances.items():
                here = walk[-1]
                w = weights[item, unit].double()
                stay = 1.0 if here == n - 1 else float(w[here] / (w[here] + w[here + 1]))
                longer[(*walk, here)] = chance * stay
                if here < n - 1:
                    longer[(*walk, here + 1)] = chance * (1 - stay)
            chances = longer
        wanted = torch.zeros(t, n, dtype=torch.float64)
        for walk, chance in chances.items():
            wanted[torch.arange(t), torch.tensor(walk)] += chance
        torch.testing.assert_close(alpha[item, :t, :n], wanted, rtol=1e-4, atol=1e-6)
        assert float(alpha[item, :, n:].sum()) == 0


@settings(deadline=None, max_examples=60)
@given(sizes=SIZES, seed=st.integers(0, 10**6))
def test_hard_attention_stays_or_steps(sizes: list[tuple[int, int]], seed: int) -> None:
    units, phonemes = ([size[side] for size in sizes] for side in (0, 1))
    path = hard_alignment(soft_map(units, phonemes, seed), torch.tensor(units), torch.tensor(phonemes))
    for item, (t, n) in enumerate(sizes):
        own = path[item, :t, :n]
        assert torch.equal(own.sum(1), torch.ones(t))
        assert set(own.unique().tolist()) <= {0.0, 1.0}
        steps = own.argmax(1).diff()
        assert bool((steps >= 0).all())
        if n <= t:
            assert bool((steps <= 1).all())
            assert (int(own[0].argmax()), int(own[-1].argmax())) == (0, n - 1)


@torch.no_grad()
@pytest.mark.parametrize("how", ["expected", "hard"])
def test_the_synchronizer_steps_at_evaluation_and_not_in_training(stirred, make_batch, how: str) -> None:
    b, soft, network = make_batch(), stirred(DubberNetwork(TINY)), stirred(DubberNetwork(stepping(how)))
    network.load_state_dict(soft.state_dict())
    seen, plain = network.plan(b.text, b.picture).synchronized, soft.plan(b.text, b.picture).synchronized
    for item in range(3):
        f, n = int(b.picture.frames[item]), int(b.text.lengths[item])
        own = seen.video_map.weights[item, :f, :n]
        torch.testing.assert_close(own.sum(-1), torch.ones(f))
        assert bool(((own * torch.arange(n)).sum(-1).diff() >= -1e-5).all())
        alone = network.plan(b.item(item).text, b.item(item).picture).synchronized
        torch.testing.assert_close(alone.hidden[0], seen.hidden[item, : int(b.lengths[item])], rtol=2e-4, atol=2e-4)
    assert not torch.allclose(seen.hidden, plain.hidden, atol=1e-3)
    torch.testing.assert_close(seen.video_map.logits, plain.video_map.logits)
    if how == "hard":
        assert torch.equal(seen.alignment.durations, plain.alignment.durations)
        again = monotonic_search(seen.video_map.weights, b.picture.frames, b.text.lengths)
        assert torch.equal(again.durations, plain.alignment.durations)

    for one in (soft, network):
        one.train()
    torch.manual_seed(0)
    first = soft.plan(b.text, b.picture).synchronized.hidden
    torch.manual_seed(0)
    assert torch.equal(network.plan(b.text, b.picture).synchronized.hidden, first)
    for one in (soft, network):
        one.eval()
