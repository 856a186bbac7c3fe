"""Padding is absent: every module gives an item the same answer alone and beside longer ones, and always the same."""

from __future__ import annotations

import pytest
import torch

from dubflow.diflow.flow.samplers import SamplerSettings, sample
from dubflow.diflow.nets.dubber import DubberNetwork, DubberTargets, dubbing_loss
from dubflow.diflow.nets.grid import inside_of
from dubflow.diflow.nets.settings import TINY, AlignmentSettings
from dubflow.diflow.nets.tts import TtsNetwork, tts_loss

CLOSE = {"rtol": 2e-4, "atol": 2e-4}


@pytest.fixture(scope="module")
def batch(make_batch):
    return make_batch()


@pytest.fixture(scope="module")
def tts(stirred):
    return stirred(TtsNetwork(TINY))


@pytest.fixture(scope="module")
def dubber(stirred):
    return stirred(DubberNetwork(TINY), seed=1)


def speak(network, b):
    return network(b.text, b.token_durations, b.reference, b.speaker, b.noisy, b.t)


def dub(network, b):
    return network(b.text, b.picture, b.speaker, b.noisy, b.t)


@torch.no_grad()
def test_stage_one_does_not_see_padding(tts, batch) -> None:
    together = speak(tts, batch)
    for item in range(3):
        one = batch.item(item)
        alone, n, tokens = speak(tts, one), int(one.text.lengths[0]), int(one.lengths[0])
        torch.testing.assert_close(alone.log_durations[0], together.log_durations[item, :n], **CLOSE)
        for name in ("features", "hidden", "logits"):
            whole = getattr(together.content, name)[item]
            torch.testing.assert_close(getattr(alone.content, name)[0], whole[..., :tokens, :], **CLOSE)
        torch.testing.assert_close(alone.flow_logits[0], together.flow_logits[item, :, :tokens], **CLOSE)


@torch.no_grad()
def test_stage_two_does_not_see_padding(dubber, batch) -> None:
    together = dub(dubber, batch)
    for item in range(3):
        one = batch.item(item)
        alone = dub(dubber, one)
        n, f, tokens = int(one.text.lengths[0]), int(one.picture.frames[0]), int(one.lengths[0])
        ours, theirs = alone.plan, together.plan
        torch.testing.assert_close(
            ours.synchronized.video_map.weights[0], theirs.synchronized.video_map.weights[item, :f, :n], **CLOSE
        )
        assert float(theirs.synchronized.video_map.weights[item, :, n:].abs().sum()) == 0
        assert torch.equal(ours.synchronized.alignment.durations[0], theirs.synchronized.alignment.durations[item, :n])
        torch.testing.assert_close(ours.synchronized.hidden[0], theirs.synchronized.hidden[item, :tokens], **CLOSE)
        torch.testing.assert_close(ours.prior[0], theirs.prior[item, :, :tokens], **CLOSE)
        torch.testing.assert_close(ours.content.logits[0], theirs.content.logits[item, :, :tokens], **CLOSE)
        torch.testing.assert_close(alone.ctc[0], together.ctc[item, :tokens], **CLOSE)
        torch.testing.assert_close(alone.flow_logits[0], together.flow_logits[item, :, :tokens], **CLOSE)


@torch.no_grad()
def test_what_lies_in_the_padding_is_never_read(dubber, batch) -> None:
    before = dub(dubber, batch)
    outside = ~inside_of(batch.picture.frames, batch.picture.lips.shape[1])
    lips, face = batch.picture.lips.clone(), batch.picture.face.clone()
    lips[outside], face[outside] = 1e4, -1e4
    after = dubber(
        batch.text, type(batch.picture)(lips, face, batch.picture.frames), batch.speaker, batch.noisy, batch.t
    )
    inside = inside_of(batch.lengths, batch.noisy.shape[-1])
    assert torch.equal(before.flow_logits.transpose(1, 2)[inside], after.flow_logits.transpose(1, 2)[inside])


@torch.no_grad()
def test_eval_is_deterministic_and_training_is_not(tts, dubber, batch) -> None:
    assert torch.equal(speak(tts, batch).content.logits, speak(tts, batch).content.logits)
    assert torch.equal(dub(dubber, batch).flow_logits, dub(dubber, batch).flow_logits)
    dubber.train()
    try:
        assert not torch.equal(dub(dubber, batch).flow_logits, dub(dubber, batch).flow_logits)
    finally:
        dubber.eval()


@torch.no_grad()
@pytest.mark.parametrize("method", ["exact", "euler"])
def test_sampled_tokens_do_not_depend_on_the_batch(tts, batch, method: str) -> None:
    """The nets and the sampler together; rounding could move a draw only across an edge of width 1e-6."""
    sampler = SamplerSettings(method=method, steps=5)

    def tokens(b, seeds):
        content = tts.stretch(tts.encoder(b.text), b.token_durations, int(b.lengths.max()))
        context = tts.context(content, b.lengths, b.reference, b.speaker)
        return sample(tts.denoiser.bound(context), b.lengths.tolist(), seeds, sampler, books=TINY.books.flow)

    together = tokens(batch, [7, 8, 9])
    for item in range(3):
        assert torch.equal(tokens(batch.item(item), [7 + item])[0], together[item, :, : int(batch.lengths[item])])


@torch.no_grad()
def test_losses_of_a_batch_are_those_of_its_items(tts, dubber, batch) -> None:
    """Eq. 9 and Eq. 7 part by part: weighted by what each part averages over, items add up to the batch."""
    said = tts.spoken(batch.text)

    def stage_one(b):
        return tts_loss(speak(tts, b), b.token_durations, b.text, b.content, b.flow, b.noisy, settings=TINY).values

    def stage_two(b, teacher):
        targets = DubberTargets(b.content, b.flow, b.frame_durations, b.token_durations, teacher)
        return dubbing_loss(dub(dubber, b), b.text, b.picture.frames, targets, b.noisy, settings=TINY).values

    teacher = (said[0].features, said[1])
    whole = {**stage_one(batch), **{f"dub_{k}": v for k, v in stage_two(batch, teacher).items()}}
    items = []
    for item in range(3):
        b, own = batch.item(item), (teacher[0][item : item + 1], teacher[1][item : item + 1])
        items.append({**stage_one(b), **{f"dub_{k}": v for k, v in stage_two(b, own).items()}})
    tokens, phones = batch.lengths.double(), batch.text.lengths.double()
    share = {"duration": phones / phones.sum()} | dict.fromkeys(
        ("content", "flow", "dub_content", "dub_flow"), tokens / tokens.sum()
    )
    for name, value in whole.items():
        mixed = sum(
            float(part[name]) * float(w)
            for part, w in zip(items, share.get(name, torch.full((3,), 1 / 3)), strict=True)
        )
        assert float(value) == pytest.approx(mixed, rel=1e-3), name


@torch.no_grad()
@pytest.mark.parametrize("head", ["mean", "focused"])
def test_a_crowded_item_is_relaxed_and_counted(stirred, make_batch, head: str) -> None:
    settings = TINY.model_copy(update={"alignment": TINY.alignment.model_copy(update={"head": head})})
    network = stirred(DubberNetwork(settings))
    b = make_batch(frames=(12, 9))
    short = type(b.picture)(b.picture.lips[:, :9], b.picture.face[:, :9], torch.tensor([2, 9]))
    plan = network.plan(b.text, short)
    assert plan.synchronized.alignment.relaxed.tolist() == [True, False]
    assert plan.synchronized.alignment.durations.sum(1).tolist() == [2, 9]
    assert plan.synchronized.lengths.tolist() == [7, 29]
    assert AlignmentSettings().crowded == "relax"
