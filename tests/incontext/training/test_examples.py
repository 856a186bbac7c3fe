"""What a step sees of a pair."""

from __future__ import annotations

import torch

from dubflow.incontext.backbone.tiny import tiny_backbone
from dubflow.incontext.backbone.video import video_tokens
from dubflow.incontext.training.examples import Example, example_of, loss_of
from dubflow.incontext.training.latents import LatentSet
from dubflow.incontext.training.settings import LoraTraining
from incontext.training.room import TRAIN, Room

BASE = tiny_backbone()


def example(room: Room, seed: int = 0, name: str = "pair/0", **changes: object) -> Example:
    settings = LoraTraining.model_validate(TRAIN | changes)
    source = torch.Generator().manual_seed(seed)
    return example_of(LatentSet(room.latents)[name], BASE.geometry, settings, source)


def test_targets_are_between_data_and_noise_and_the_reference_is_clean(room: Room) -> None:
    pair = LatentSet(room.latents)["pair/0"]
    found = example(room)
    video = found.tokens.video
    data, sigma = video_tokens(pair.target_video)[None], float(video.level)
    noised = video.latents[:, video.target]
    assert 0 < sigma < 1
    # x = data + sigma v, so the velocity leads back to the data.
    assert torch.allclose(noised - sigma * found.video_target, data, atol=1e-5)
    assert torch.equal(video.latents[:, video.reference], video_tokens(pair.context_video)[None])
    assert video.clean[:, video.reference].all()
    assert not video.clean[:, video.target].any()
    assert torch.equal(video.positions[:, :, video.reference], video.positions[:, :, video.target])
    assert float(found.tokens.audio.level) == sigma, "one level for both"
    assert found.weights.tolist() == [[1, *[0.1] * 3] * 2] or torch.allclose(
        found.weights, torch.tensor([[1, 0.1, 0.1, 0.1] * 2])
    )


def test_the_same_seed_gives_the_same_step_and_another_another(room: Room) -> None:
    one, same, other = example(room, 1), example(room, 1), example(room, 2)
    assert torch.equal(one.video_target, same.video_target)
    assert torch.equal(one.tokens.audio.latents, same.tokens.audio.latents)
    assert not torch.equal(one.video_target, other.video_target)


def test_a_given_first_frame_is_a_clean_target_without_loss(room: Room) -> None:
    pair = LatentSet(room.latents)["pair/0"]
    found, plain = example(room, first_frame_p=1.0), example(room)
    video = found.tokens.video
    first = slice(video.target.start, video.target.start + 4)
    assert torch.allclose(video.latents[:, first], video_tokens(pair.target_video)[None, :4])
    assert video.clean[:, first].all()
    assert not found.weights[:, :4].any()
    assert torch.equal(found.weights[:, 4:], plain.weights[:, 4:])
    assert video.target == plain.tokens.video.target, "a target is one by its role"
    assert torch.equal(found.video_target, plain.video_target), "the share of given frames changes no noise"


def test_pairs_without_a_mask_are_counted_and_weigh_evenly(room: Room) -> None:
    found = example(room, name="pair/1")
    assert found.unmasked == 1
    assert torch.equal(found.weights, torch.ones(1, 8))
    parts = loss_of(BASE.transformer, found, LoraTraining.model_validate(TRAIN))
    assert parts.counts["without_mask"] == 1
    assert float(parts.total.detach()) > 0


def test_a_share_of_steps_has_its_first_frame_given(room: Room) -> None:
    given = sum(bool(example(room, seed, first_frame_p=0.1).tokens.video.clean[:, 8:].any()) for seed in range(120))
    assert 3 <= given <= 24  # binomial(120, .1), one in ten thousand beyond
