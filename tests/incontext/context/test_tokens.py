"""Tokens with roles: nothing falls out of step, roles are kept apart from noise, padding is padding."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from dubflow.errors import WrongUse
from dubflow.incontext.tokens import NEGATIVE_GAP_S, ContextTokens, Order, batched
from incontext.samples import AUDIO, VIDEO, tokens


@pytest.mark.parametrize("order", ["ref_first", "target_first"])
def test_a_reference_is_clean_stands_where_its_target_stands_and_comes_apart_again(order: Order) -> None:
    alone = tokens(references=False)
    both = tokens(order=order)
    for name, count in (("video", VIDEO), ("audio", AUDIO)):
        made, target = getattr(both, name), getattr(alone, name)
        assert made.latents.shape[1] == made.positions.shape[2] == made.valid.shape[1] == 2 * count
        assert torch.equal(made.latents[:, made.target], target.latents)
        assert torch.equal(made.positions[:, :, made.reference], made.positions[:, :, made.target])
        assert torch.equal(made.sigmas[:, made.reference], torch.zeros(2, count))
        assert torch.equal(made.sigmas[:, made.target], torch.tensor([[0.7], [0.4]]).expand(2, count))
        assert made.positions.dtype == torch.float32
    assert both.order == order
    assert torch.equal(both.targets().video.latents, alone.video.latents)
    assert both.references().video.clean.all()
    # The other order holds the same tokens in other places.
    other = tokens(order="target_first" if order == "ref_first" else "ref_first")
    assert torch.equal(both.references().audio.latents, other.references().audio.latents)


def test_a_held_target_is_clean_and_stays_a_target() -> None:
    held = torch.zeros(2, VIDEO, dtype=torch.bool)
    held[:, :4] = True
    made = tokens(held=held)
    levels = made.video.sigmas[:, made.video.target]
    assert torch.equal(levels == 0, held)
    assert made.video.target == slice(VIDEO, 2 * VIDEO)
    assert torch.equal(made.at(0.5).video.sigmas[:, made.video.target] == 0, held)


def test_negative_positions_end_a_token_before_the_target_begins() -> None:
    alone = tokens(references=False)
    made = alone.append_reference(alone.video.latents, alone.audio.latents, audio_positions="negative")
    reference, target = (made.audio.positions[:, :, span] for span in (made.audio.reference, made.audio.target))
    duration = target[..., 1].amax()
    assert torch.allclose(reference, target - duration - NEGATIVE_GAP_S)
    assert reference[..., 1].amax() == pytest.approx(-NEGATIVE_GAP_S)
    assert torch.equal(made.video.positions[:, :, made.video.reference], made.video.positions[:, :, made.video.target])


def test_a_second_reference_stands_beside_the_first_and_not_on_the_other_side() -> None:
    made = tokens(order="target_first")
    first, more = made.references().video.latents, torch.randn(made.targets().video.latents.shape)
    twice = made.append_reference(more, order="target_first")
    assert torch.equal(twice.references().video.latents, torch.cat([first, more], dim=1))
    assert torch.equal(twice.targets().video.latents, made.targets().video.latents)
    with pytest.raises(WrongUse, match=r"incontext\.token_order"):
        made.append_reference(more, order="ref_first")
    with pytest.raises(WrongUse, match=r"incontext\.token_shape"):
        made.append_reference(more[:, :3], order="target_first")


def test_tensors_that_do_not_belong_together_are_refused() -> None:
    made = tokens(references=False)
    video, audio = made.video, made.audio
    with pytest.raises(WrongUse, match=r"incontext\.token_shape"):
        ContextTokens.of_targets(video.latents, video.positions[:, :, 1:], audio.latents, audio.positions)
    with pytest.raises(WrongUse, match=r"incontext\.token_shape"):
        ContextTokens.of_targets(
            video.latents, video.positions, audio.latents, audio.positions, sigma=torch.tensor([0.1, 0.2, 0.3])
        )
    with pytest.raises(WrongUse, match=r"incontext\.token_shape"):
        made.with_targets(video.latents[:, 1:], audio.latents)
    with pytest.raises(WrongUse, match=r"incontext\.empty_batch"):
        batched([])


@settings(deadline=None, max_examples=20)
@given(
    order=st.sampled_from(["ref_first", "target_first"]),
    sizes=st.lists(st.tuples(st.integers(1, 3), st.integers(1, 7), st.booleans()), min_size=1, max_size=4),
)
def test_a_batch_holds_every_item_as_it_was(order: Order, sizes: list[tuple[int, int, bool]]) -> None:
    items = [
        tokens(batch=1, seed=number, order=order, shape=(frames, 2, 2), audio=audio, references=known)
        for number, (frames, audio, known) in enumerate(sizes)
    ]
    whole = batched(items)
    assert whole.batch == len(items)
    for row, item in enumerate(items):
        for name in ("video", "audio"):
            made, own = getattr(whole, name), getattr(item, name)
            valid = made.valid[row]
            assert int(valid.sum()) == own.latents.shape[1]
            assert torch.equal(made.latents[row, valid], own.latents[0])
            assert torch.equal(made.positions[row][:, valid], own.positions[0])
            assert torch.equal(made.sigmas[row, valid], own.sigmas[0])
            is_target = torch.zeros_like(valid)
            is_target[made.target] = True
            assert int((valid & is_target).sum()) == own.target.stop - own.target.start


def test_items_whose_references_stand_on_different_sides_are_no_batch() -> None:
    with pytest.raises(WrongUse, match=r"incontext\.token_order"):
        batched([tokens(order="ref_first"), tokens(order="target_first")])


def test_repeating_doubles_the_batch() -> None:
    made = tokens()
    twice = made.repeat(2)
    assert twice.batch == 4
    assert torch.equal(twice.video.level, torch.tensor([0.7, 0.4, 0.7, 0.4]))
    assert torch.equal(replace(twice.audio).latents[2:], made.audio.latents)
