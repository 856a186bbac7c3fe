"""The rows of the paper's Table 3: what is left out is neither read, nor built, nor computed."""

from __future__ import annotations

import dataclasses

import pytest
import torch

from dubflow.diflow.nets.dubber import DubberNetwork, DubberTargets, DubbingWeights, Picture, dubbing_loss
from dubflow.diflow.nets.settings import TINY
from dubflow.diflow.nets.tts import TtsNetwork
from dubflow.errors import WrongUse

NO_FACE = TINY.model_copy(update={"face_prior": False})
NOT_FUSED = TINY.model_copy(update={"fuse_prior": False})


def dub(network, b, face=None):
    picture = b.picture if face is None else Picture(b.picture.lips, face, b.picture.frames)
    return network(b.text, picture, b.speaker, b.noisy, b.t)


def targets_of(b, teacher=None):
    return DubberTargets(b.content, b.flow, b.frame_durations, b.token_durations, teacher)


def parts(output, b, targets, settings, **weights):
    return dubbing_loss(
        output, b.text, b.picture.frames, targets, b.noisy, settings=settings, weights=DubbingWeights(**weights)
    )


@torch.no_grad()
def test_without_the_mapper_nothing_of_the_face_reaches_the_output(stirred, make_batch) -> None:
    b = make_batch()
    moved = 3 * b.picture.face + 1
    with_face, without = stirred(DubberNetwork(TINY)), stirred(DubberNetwork(NO_FACE))
    assert not torch.equal(dub(with_face, b, moved).flow_logits, dub(with_face, b).flow_logits)
    there, here = dub(without, b, moved), dub(without, b)
    assert torch.equal(there.flow_logits, here.flow_logits)
    assert torch.equal(there.plan.content.logits, here.plan.content.logits)
    assert here.plan.prior is None
    assert not [name for name in without.state_dict() if "fapro" in name]
    assert without.adaptation.fusion.in_features == TINY.width
    assert without.context(here.plan, b.speaker).condition.shape[1] == 0


@torch.no_grad()
def test_a_prior_that_is_not_fused_reaches_the_flow_and_not_the_content(stirred, make_batch) -> None:
    b, network = make_batch(), stirred(DubberNetwork(NOT_FUSED))
    there, here = dub(network, b, 3 * b.picture.face + 1), dub(network, b)
    assert torch.equal(there.plan.content.logits, here.plan.content.logits)
    assert not torch.equal(there.flow_logits, here.flow_logits)


@torch.no_grad()
def test_without_the_mapper_padding_is_still_absent(stirred, make_batch) -> None:
    b, network = make_batch(), stirred(DubberNetwork(NO_FACE))
    together = dub(network, b)
    for item in range(3):
        alone, tokens = dub(network, b.item(item)), int(b.lengths[item])
        torch.testing.assert_close(alone.flow_logits[0], together.flow_logits[item, :, :tokens], rtol=2e-4, atol=2e-4)


@pytest.mark.parametrize("settings", [NO_FACE, NOT_FUSED], ids=["no mapper", "not fused"])
def test_every_weight_that_is_built_is_trained(make_batch, settings) -> None:
    b, network = make_batch(), DubberNetwork(settings)
    network.adopt(TtsNetwork(settings))
    parts(dub(network, b), b, targets_of(b), settings, distill=0).total.backward()
    for name, parameter in network.named_parameters():
        assert (parameter.grad is None) == (not parameter.requires_grad), name


def test_without_stage_one_nothing_is_frozen(make_batch) -> None:
    b, network = make_batch(), DubberNetwork(TINY)
    network.start_alone()
    parts(dub(network, b), b, targets_of(b), TINY, distill=0).total.backward()
    assert [name for name, p in network.named_parameters() if p.grad is None] == []
    network.adopt(TtsNetwork(TINY))
    assert {name.split(".")[2] for name, p in network.named_parameters() if not p.requires_grad} == {
        "projection",
        "head",
    }


@torch.no_grad()
def test_a_part_of_weight_zero_is_not_computed(stirred, make_batch) -> None:
    b, network = make_batch(), stirred(DubberNetwork(TINY))
    output, said = dub(network, b), stirred(TtsNetwork(TINY)).spoken(b.text)
    full = parts(output, b, targets_of(b, (said[0].features, said[1])), TINY)
    for names in (("video_text", "speech_text"), ("video_text",), ("speech_text",), ("ctc",), ("content", "flow")):
        some = parts(output, b, targets_of(b, (said[0].features, said[1])), TINY, **dict.fromkeys(names, 0.0))
        assert set(some.values) == set(full.values) - set(names)
        lost = sum(full.weights[name] * full.values[name] for name in names)
        torch.testing.assert_close(some.total, full.total - lost)
    empty = torch.empty(0)
    bare = dataclasses.replace(targets_of(b), frame_durations=empty, token_durations=empty, content=empty)
    flow_only = dict.fromkeys(set(full.values) - {"flow"}, 0.0)
    torch.testing.assert_close(parts(output, b, bare, TINY, **flow_only).total, full.values["flow"])


@torch.no_grad()
def test_a_part_with_a_weight_needs_what_it_compares(stirred, make_batch) -> None:
    settings = TINY.model_copy(update={"ctc_head": False})
    b, network = make_batch(), stirred(DubberNetwork(settings))
    output = dub(network, b)
    assert not [name for name in network.state_dict() if name.startswith("ctc")]
    with pytest.raises(WrongUse, match=r"'ctc'.*bad_weights"):
        parts(output, b, targets_of(b), settings, distill=0)
    with pytest.raises(WrongUse, match=r"'distill'.*bad_weights"):
        parts(output, b, targets_of(b), settings, ctc=0)
    assert set(parts(output, b, targets_of(b), settings, ctc=0, distill=0).values) == {
        "content",
        "flow",
        "video_text",
        "speech_text",
    }
