"""Grids, positions, temporal layers: laws that hold without any training."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional

from dubflow.diflow.flow.noise import generators
from dubflow.diflow.nets.durations import DurationPredictor, duration_loss, whole_durations
from dubflow.diflow.nets.fft import FftBlock
from dubflow.diflow.nets.grid import alignment_matrix, check_lengths, inside_of, masked_mean, owners, regulate
from dubflow.diflow.nets.positions import rotation, sinusoid, with_positions
from dubflow.diflow.nets.prompt import Condition, Reference, crop_reference
from dubflow.diflow.nets.settings import TINY, FftSettings
from dubflow.diflow.nets.temporal import ConvNextBlock, Upsample, WholeNorm, interpolate, tokens_of
from dubflow.errors import BadInput, WrongUse
from dubflow.speech.durations import expand

DURATIONS = st.lists(st.lists(st.integers(0, 5), min_size=1, max_size=6), min_size=1, max_size=4)


def padded(rows: list[list[int]]) -> torch.Tensor:
    return nn.utils.rnn.pad_sequence([torch.tensor(row) for row in rows], batch_first=True)


@settings(deadline=None, max_examples=60)
@given(rows=DURATIONS)
def test_the_regulator_repeats_each_phoneme_for_its_duration(rows: list[list[int]]) -> None:
    durations = padded(rows)
    longest = int(durations.sum(1).max()) + 2
    phonemes = torch.arange(1, durations.numel() + 1).view(*durations.shape, 1).float()
    stretched = regulate(phonemes, durations, longest)
    matrix = alignment_matrix(durations, longest)
    for item, row in enumerate(rows):
        wanted = phonemes[item, expand(row)]
        assert torch.equal(stretched[item, : sum(row)], wanted)
        assert float(stretched[item, sum(row) :].abs().sum()) == 0
        assert matrix[item].sum(0)[: len(row)].tolist() == row
        assert matrix[item, : sum(row)].sum(1).eq(1).all()
        assert not matrix[item, sum(row) :].any()
    assert torch.equal(matrix.float() @ phonemes, stretched)


def test_zero_durations_own_nothing() -> None:
    assert owners(torch.tensor([[0, 2, 0, 1]]), 3).tolist() == [[1, 1, 3]]


def test_lengths_that_do_not_belong_are_refused() -> None:
    for lengths in ([0, 3], [4, 3], [3]):
        with pytest.raises(WrongUse, match="bad_lengths"):
            check_lengths(torch.tensor(lengths), torch.zeros(2, 3, 5))
    check_lengths(torch.tensor([3, 1]), torch.zeros(2, 3, 5))


def test_the_masked_mean_does_not_see_padding() -> None:
    x = torch.tensor([[[1.0], [3.0], [1e9]]])
    assert masked_mean(x, inside_of(torch.tensor([2]), 3)).tolist() == [[2.0]]


def test_turned_vectors_know_their_distance_only() -> None:
    query, key = torch.randn(2, 1, 1, 1, 8, generator=generators([0])[0])
    positions = torch.tensor([[0, 5, 100, 105, 7]])
    turn = rotation(positions, 8)
    q, k = turn.turn(query.expand(1, 1, 5, 8)), turn.turn(key.expand(1, 1, 5, 8))
    products = (q @ k.transpose(-1, -2))[0, 0]
    assert float(products[0, 1]) == pytest.approx(float(products[2, 3]), abs=1e-4)
    assert float(products[0, 1]) != pytest.approx(float(products[0, 4]), abs=1e-2)
    torch.testing.assert_close(q.norm(dim=-1), query.norm(dim=-1).expand(1, 1, 5), rtol=1e-5, atol=1e-5)


def test_sinusoids_start_at_zero_and_one_and_refuse_what_is_too_long() -> None:
    assert sinusoid(torch.tensor(0.0), 6).tolist() == [0, 0, 0, 1, 1, 1]
    assert float(sinusoid(torch.tensor(2.0), 6)[0]) == pytest.approx(0.9092974)
    with pytest.raises(BadInput, match="too_long"):
        with_positions(torch.zeros(1, 6, 4), max_length=5)


def test_interpolation_keeps_time() -> None:
    """A ramp over the frames' middles must read the tokens' middles, except in the half frame at each end."""
    frames = torch.tensor([7, 5])
    middles = ((torch.arange(7) + 0.5) / 25).view(1, 7, 1).expand(2, -1, -1).contiguous()
    middles[1, 5:] = 1e9
    read = interpolate(middles, frames, int(tokens_of(frames).max()))
    for item, count in enumerate(frames.tolist()):
        wanted = ((torch.arange(int(tokens_of(frames)[item])) + 0.5) / 80).clamp(0.5 / 25, (count - 0.5) / 25)
        torch.testing.assert_close(read[item, : len(wanted), 0], wanted)


def test_interpolation_is_the_usual_one_where_the_grids_fit() -> None:
    sequence = torch.randn(1, 10, 3, generator=generators([1])[0])
    usual = functional.interpolate(sequence.transpose(1, 2), size=32, mode="linear").transpose(1, 2)
    torch.testing.assert_close(interpolate(sequence, torch.tensor([10]), 32), usual)


@pytest.mark.parametrize("frames", range(1, 51))
def test_tokens_of_every_clip_length(frames: int) -> None:
    assert int(tokens_of(torch.tensor([frames]))) == -(-16 * frames // 5)


def test_the_whole_norm_is_group_normalisation_with_one_group() -> None:
    x = 3 * torch.randn(2, 9, 6, generator=generators([2])[0]) + 1
    ours, usual = WholeNorm(6), nn.GroupNorm(1, 6)
    everything = torch.ones(2, 9, dtype=torch.bool)
    torch.testing.assert_close(ours(x, everything), usual(x.transpose(1, 2)).transpose(1, 2))


def test_the_upsampler_is_interpolation_convolution_normalisation_and_mish(stirred) -> None:
    """Against torch's own layers put one behind the other, on one clip without padding."""
    upsample = stirred(Upsample(8, TINY.temporal))
    clip = torch.randn(1, 10, 8, generator=generators([3])[0])
    x = functional.interpolate(clip.transpose(1, 2), size=32, mode="linear")
    for convolution, norm in zip(upsample.convolutions, upsample.norms, strict=True):
        x = functional.mish(functional.group_norm(convolution(x), 1, norm.weight, norm.bias))
    wanted = upsample.last(x).transpose(1, 2)
    torch.testing.assert_close(upsample(clip, torch.tensor([10])), wanted, rtol=1e-4, atol=1e-4)


def test_global_response_normalisation_follows_its_equation(stirred) -> None:
    block = stirred(ConvNextBlock(8, TINY.temporal))
    x = torch.randn(1, 12, 8, generator=generators([4])[0])
    hidden = functional.gelu(block.widen(block.norm(block.depthwise(x.transpose(1, 2)).transpose(1, 2))))[0]
    strength = hidden.pow(2).sum(0).sqrt()
    hidden = block.gain * hidden * (strength / strength.mean()) + block.shift + hidden
    wanted = x[0] + block.narrow(hidden)
    torch.testing.assert_close(block(x, torch.ones(1, 12, dtype=torch.bool))[0], wanted, rtol=1e-4, atol=1e-4)


@torch.no_grad()
def test_wide_second_kernels_do_not_see_padding_either(stirred) -> None:
    block = stirred(FftBlock(8, FftSettings(heads=2, filter=16, kernels=(5, 3))))
    x = torch.randn(1, 9, 8, generator=generators([6])[0])
    inside = inside_of(torch.tensor([6]), 9)
    together, alone = block(x * inside.unsqueeze(-1), inside), block(x[:, :6], inside[:, :6])
    torch.testing.assert_close(together[:, :6], alone, rtol=1e-4, atol=1e-4)
    assert float(together[:, 6:].abs().sum()) == 0


def test_the_duration_loss_is_the_squared_error_of_logarithms() -> None:
    durations = torch.tensor([[3, 0, 7], [1, 0, 0]])
    inside = torch.tensor([[True, True, True], [True, False, False]])
    guess = torch.log1p(durations.float())
    guess[0, 0] += 2.0
    guess[1, 2] = 1e6  # padding
    assert float(duration_loss(guess, durations, inside)) == pytest.approx(4.0 / 4)


@settings(deadline=None, max_examples=100)
@given(rows=st.lists(st.lists(st.floats(0.01, 30), min_size=1, max_size=8), min_size=1, max_size=3), total=st.data())
def test_whole_durations_never_drift(rows: list[list[float]], total) -> None:
    expected = nn.utils.rnn.pad_sequence([torch.tensor(row) for row in rows], batch_first=True)
    inside = inside_of(torch.tensor([len(row) for row in rows]), expected.shape[1])
    free = whole_durations(torch.log1p(expected), inside)
    for item, row in enumerate(rows):
        ends = torch.tensor(row, dtype=torch.float64).cumsum(0)
        ends[-1] = ends[-1].clamp(min=1)  # nobody says nothing
        assert (free[item, : len(row)].cumsum(0) - ends).abs().le(0.5001).all()
        assert int(free[item, len(row) :].sum()) == 0
    totals = [total.draw(st.integers(1, 100)) for _ in rows]
    assert whole_durations(torch.log1p(expected), inside, totals).sum(1).tolist() == totals


def test_durations_that_say_nothing_are_refused() -> None:
    inside = torch.ones(1, 2, dtype=torch.bool)
    assert whole_durations(torch.tensor([[-5.0, -5.0]]), inside).sum() == 1
    with pytest.raises(BadInput, match="no_duration"):
        whole_durations(torch.tensor([[-5.0, -5.0]]), inside, [10])
    with pytest.raises(BadInput, match="no_duration"):
        whole_durations(torch.tensor([[float("nan"), 1.0]]), inside)


def test_the_duration_predictor_sees_its_kernel_and_no_more(stirred) -> None:
    predictor = stirred(DurationPredictor(TINY))
    text = torch.randn(1, 12, TINY.width, generator=generators([5])[0])
    inside = torch.ones(1, 12, dtype=torch.bool)
    changed = text.clone()
    changed[0, 11] += 1
    difference = (predictor(changed, inside) - predictor(text, inside))[0].detach()
    assert float(difference[:9].abs().max()) == 0  # two kernels of 3 reach two positions
    assert float(difference[9:].abs().min()) > 0


def test_a_crop_is_a_stretch_of_its_own_utterance_whoever_is_beside_it() -> None:
    lengths = torch.tensor([20, 10, 1])
    ramp = torch.arange(20).view(1, 1, 20).expand(3, 1, 20).masked_fill(~inside_of(lengths, 20).unsqueeze(1), 1024)
    whole = Reference(ramp, ramp.expand(-1, 3, -1), lengths)
    crop = crop_reference(whole, generators([1, 2, 3]), pad=1024)
    assert crop.lengths.tolist() == [6, 3, 1]
    for item, count in enumerate(crop.lengths.tolist()):
        stretch = crop.prosody[item, 0, :count]
        assert torch.equal(stretch, stretch[0] + torch.arange(count))
        assert int(stretch[-1]) < lengths[item]
        assert torch.equal(crop.acoustic[item, 2, :count], stretch)
        assert bool((crop.prosody[item, 0, count:] == 1024).all())
    alone = crop_reference(Reference(ramp[1:2, :, :10], ramp[1:2, :, :10], lengths[1:2]), generators([2]), pad=1024)
    assert torch.equal(alone.prosody[0], crop.prosody[1, :, :3])
    starts = {int(crop_reference(whole, generators([s, 2, 3]), pad=1024).prosody[0, 0, 0]) for s in range(200)}
    assert starts == set(range(15)), "every start is possible, none reaches past the end"
    with pytest.raises(WrongUse, match="bad_share"):
        crop_reference(whole, generators([1, 2, 3]), pad=1024, share=0.0)
    with pytest.raises(WrongUse, match="bad_lengths"):
        crop_reference(whole, generators([1]), pad=1024)


def test_the_dense_condition_has_zeros_where_the_equation_has() -> None:
    prosody, acoustic = torch.ones(1, 1, 4, 8), 2 * torch.ones(1, 3, 4, 8)
    first = Condition(prosody, acoustic, torch.tensor([4])).dense(2, 3)
    assert first[0, :, 0, 0].tolist() == [1, 0, 0, 2, 2, 2]
    second = Condition(prosody, None, torch.tensor([4])).dense(2, 3)
    assert second[0, :, 0, 0].tolist() == [1, 0, 0, 0, 0, 0]
