"""What a step sees of a pair."""

from __future__ import annotations

import pytest
import torch

from dubflow.errors import WrongUse
from dubflow.incontext.adapter.lora import LoraSettings, add_lora
from dubflow.incontext.backbone.text import TextFeatures, batched_text
from dubflow.incontext.backbone.tiny import tiny_backbone
from dubflow.incontext.backbone.video import video_tokens
from dubflow.incontext.forward import forward
from dubflow.incontext.training.data import PairData
from dubflow.incontext.training.examples import Example, batch_of, example_of, loss_of
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


def test_a_pair_has_the_same_noise_alone_and_in_a_batch(room: Room) -> None:
    changes = {"first_frame_p": 0.5, "levels": {"per_modality": True}}
    alone = [example(room, seed, f"pair/{seed}", **changes) for seed in range(3)]
    batch = batch_of(alone)
    assert (batch.ids, batch.unmasked) == (("pair/0", "pair/1", "pair/2"), 2)
    for place, one in enumerate(alone):
        for found, expected in ((batch.tokens.video, one.tokens.video), (batch.tokens.audio, one.tokens.audio)):
            assert (found.target, found.reference) == (expected.target, expected.reference)
            for name in ("latents", "positions", "clean", "valid", "level"):
                assert torch.equal(getattr(found, name)[place], getattr(expected, name)[0]), name
        for name in ("video_target", "audio_target", "weights"):
            assert torch.equal(getattr(batch, name)[place], getattr(one, name)[0]), name
    with pytest.raises(WrongUse, match=r"incontext\.empty_batch"):
        batch_of([])


def test_a_batchs_loss_is_the_mean_of_its_pairs(room: Room) -> None:
    settings = LoraTraining.model_validate(TRAIN)
    alone = [example(room, seed, f"pair/{seed}") for seed in range(3)]
    losses = [loss_of(BASE.transformer, one, settings) for one in alone]
    parts = loss_of(BASE.transformer, batch_of(alone), settings)
    for name, value in parts.values.items():
        mean = torch.stack([one.values[name] for one in losses]).mean()
        assert torch.allclose(value, mean, rtol=1e-5), name
    assert parts.counts["without_mask"] == 2


def test_text_is_padded_under_its_mask(room: Room) -> None:
    """A prompt's features change nothing by what stands behind them in a batch."""
    settings = LoraTraining.model_validate(TRAIN)
    one, two = example(room, 0), example(room, 1, "pair/1")
    short = TextFeatures(one.text.video[:, :5], one.text.audio[:, :5], one.text.mask[:, :5])
    joined = batched_text([short, two.text])
    assert joined.mask.sum(dim=1).tolist() == [5, int(two.text.mask.sum())]
    batch = batch_of([Example(**{**one.__dict__, "text": short}), two])
    whole = loss_of(BASE.transformer, batch, settings).total
    each = [loss_of(BASE.transformer, Example(**{**one.__dict__, "text": short}), settings).total]
    each.append(loss_of(BASE.transformer, two, settings).total)
    assert torch.allclose(whole, torch.stack(each).mean(), rtol=1e-5)


def test_batches_of_a_run_are_of_one_shape_and_of_the_plans_noise(room: Room) -> None:
    latents = LatentSet(room.latents)
    longer = latents.index.pairs["pair/2"].model_copy(update={"shape": (3, 2, 2)})
    latents.index.pairs["pair/2"] = longer  # told only: the plan looks at the index
    settings = LoraTraining.model_validate(TRAIN | {"batch_items": 2, "steps": 6})
    sampler = PairData(latents, BASE.geometry, settings).train_dataloader().sampler
    sizes = [len(places) for _, places in sampler]
    assert sorted(sizes[:3]) == [1, 1, 2], "three of one shape, one of another"
    loader = PairData(LatentSet(room.latents), BASE.geometry, settings).train_dataloader()
    assert [len(batch.ids) for batch in loader] == [2] * 6
    singles = PairData(LatentSet(room.latents), BASE.geometry, LoraTraining.model_validate(TRAIN))
    assert all(len(batch.ids) == 1 for batch in singles.train_dataloader())


def test_the_lora_that_training_begins_with_is_the_base(room: Room) -> None:
    fresh = tiny_backbone().transformer
    add_lora(fresh, LoraSettings(rank=4), seed=1)
    one, two = (forward(net, example(room).tokens, example(room).text) for net in (BASE.transformer, fresh))
    assert torch.equal(one.video, two.video)
    assert torch.equal(one.audio, two.audio)
