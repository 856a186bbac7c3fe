"""The networks as wholes: how they are joined, what reaches what, their size, and that they learn."""

from __future__ import annotations

import math

import pytest
import torch
from pydantic import ValidationError
from torch.nn import functional

from dubflow.diflow.flow.noise import generators
from dubflow.diflow.nets.alignment_loss import contrastive_alignment
from dubflow.diflow.nets.ctc import ctc_loss
from dubflow.diflow.nets.distillation import distillation_loss
from dubflow.diflow.nets.dubber import DubberNetwork, DubberTargets, DubbingWeights, dubbing_loss
from dubflow.diflow.nets.grid import alignment_matrix, inside_of
from dubflow.diflow.nets.monotonic import log_weights, monotonic_search
from dubflow.diflow.nets.prompt import prior_condition
from dubflow.diflow.nets.report import PAPER_PARAMETERS, parameter_report
from dubflow.diflow.nets.settings import PAPER, PRESETS, TINY, NetSettings
from dubflow.diflow.nets.synchronizer import Synchronizer
from dubflow.diflow.nets.tts import TtsNetwork, TtsWeights, tts_loss

MINI = TINY.model_copy(
    update={
        "width": 32,
        "books": TINY.books.model_copy(update={"codes": 16}),
        "denoiser": TINY.denoiser.model_copy(update={"width": 48, "layers": 2, "heads": 2}),
        "fft": TINY.fft.model_copy(update={"filter": 64, "dropout": 0.0}),
        "text": TINY.text.model_copy(update={"duration_filter": 32, "duration_dropout": 0.0}),
        "alignment": TINY.alignment.model_copy(update={"filter": 64, "dropout": 0.0}),
    }
)


def tts_parts(network, b, settings):
    output = network(b.text, b.token_durations, b.reference, b.speaker, b.noisy, b.t)
    return tts_loss(output, b.token_durations, b.text, b.content, b.flow, b.noisy, settings=settings)


@torch.no_grad()
def known(teacher, b):
    said, lengths = teacher.eval().spoken(b.text)
    return DubberTargets(b.content, b.flow, b.frame_durations, b.token_durations, (said.features, lengths))


def dubbing_parts(network, targets, b, settings, weights=None):
    output = network(b.text, b.picture, b.speaker, b.noisy, b.t)
    return dubbing_loss(output, b.text, b.picture.frames, targets, b.noisy, settings=settings, weights=weights)


@torch.no_grad()
def test_the_dubber_joins_its_parts_as_the_paper_does(stirred, make_batch) -> None:
    """3.4: MAS on A_VT, h_sync and z~_p fused into content, z~_p in front of the denoiser, h~_p2c inside it."""
    network, b = stirred(DubberNetwork(TINY)), make_batch(frames=(12, 8))
    plan = network.plan(b.text, b.picture)
    seen = plan.synchronized
    found = monotonic_search(log_weights(seen.video_map.weights), b.picture.frames, b.text.lengths)
    assert torch.equal(seen.alignment.durations, found.durations)

    fused = network.adaptation.fusion(torch.cat([plan.prior[:, 0], seen.hidden], dim=-1))
    again = network.adaptation.content(fused * seen.inside.unsqueeze(-1), seen.inside)
    torch.testing.assert_close(again.logits, plan.content.logits)

    wide = network.fapro.projection(plan.prior) * seen.inside[:, None, :, None]
    context = network.denoiser.prepare(prior_condition(wide, seen.lengths), plan.content.hidden, b.lengths, b.speaker)
    output = network(b.text, b.picture, b.speaker, b.noisy, b.t)
    torch.testing.assert_close(output.flow_logits, network.denoiser(b.noisy, b.t, context))


@torch.no_grad()
def test_given_durations_replace_the_search(stirred, make_batch) -> None:
    network, b = stirred(Synchronizer(TINY)), make_batch(frames=(12, 8))
    text = torch.randn(*b.text.phonemes.shape, TINY.width, generator=generators([0])[0])
    found = network(b.picture.lips, b.picture.frames, text, b.text.lengths)
    forced = network(b.picture.lips, b.picture.frames, text, b.text.lengths, b.frame_durations)
    assert torch.equal(forced.alignment.durations, b.frame_durations)
    assert torch.equal(forced.video_map.weights, found.video_map.weights)
    assert not torch.equal(forced.hidden, found.hidden)
    same = network(b.picture.lips, b.picture.frames, text, b.text.lengths, found.alignment.durations)
    assert torch.equal(same.hidden, found.hidden)


@torch.no_grad()
def test_each_part_of_equation_seven_compares_what_it_should(stirred, make_batch) -> None:
    teacher, network, b = TtsNetwork(TINY), stirred(DubberNetwork(TINY)), make_batch(frames=(12, 8))
    targets, output = known(teacher, b), network(b.text, b.picture, b.speaker, b.noisy, b.t)
    seen, losses = output.plan.synchronized, dubbing_parts(network, targets, b, TINY)
    frames_inside = inside_of(b.picture.frames, 12)
    video, speech = alignment_matrix(b.frame_durations, 12), alignment_matrix(b.token_durations, int(b.lengths.max()))
    wanted = {
        "content": functional.cross_entropy(
            output.plan.content.logits.flatten(0, -2), b.content.flatten(), ignore_index=1024
        ),
        "flow": functional.cross_entropy(output.flow_logits.flatten(0, -2), b.flow.flatten(), ignore_index=1024),
        "ctc": ctc_loss(network.ctc(seen.hidden), b.lengths, b.text).value,
        "distill": distillation_loss(
            output.plan.content.features,
            seen.inside,
            targets.teacher[0],
            inside_of(targets.teacher[1], targets.teacher[0].shape[1]),
        ),
        "video_text": contrastive_alignment(seen.video_map.weights, video, frames_inside, b.text.inside, 0.1).value,
        "speech_text": contrastive_alignment(seen.speech_map.weights, speech, seen.inside, b.text.inside, 0.1).value,
    }
    for name, value in wanted.items():
        torch.testing.assert_close(losses.values[name], value, rtol=1e-4, atol=1e-4)
    weights = {"content": 1, "ctc": 0.1, "distill": 0.1, "flow": 1, "video_text": 0.001, "speech_text": 0.001}
    torch.testing.assert_close(losses.total, sum(weights[name] * value for name, value in wanted.items()))
    assert losses.counts == {
        "phonemes_without_frame": 0,
        "phonemes_without_token": 0,
        "items_too_short_for_ctc": 0,
        "items_with_more_phonemes_than_frames": 0,
    }


def test_the_dubber_starts_from_the_teacher_and_keeps_two_parts_frozen(make_batch) -> None:
    teacher, dubber, b = TtsNetwork(TINY), DubberNetwork(TINY), make_batch()
    dubber.adopt(teacher)
    for name, value in teacher.content.state_dict().items():
        assert torch.equal(dubber.adaptation.content.state_dict()[name], value)
    for name, value in (teacher.denoiser.state_dict() | teacher.encoder.state_dict()).items():
        own = dubber.denoiser.state_dict() | dubber.encoder.state_dict()
        assert torch.equal(own[name], value)

    dubbing_parts(dubber, known(teacher, b), b, TINY).total.backward()
    frozen = {name for name, p in dubber.named_parameters() if not p.requires_grad}
    parts = {name.split(".")[2] for name in frozen}
    assert parts == {"projection", "head"}
    assert all(name.startswith("adaptation.content.") for name in frozen)
    for name, parameter in dubber.named_parameters():
        assert (parameter.grad is None) == (name in frozen), name
    assert all(p.grad is None for p in teacher.parameters())


def test_every_weight_of_stage_one_is_reached(make_batch) -> None:
    network = TtsNetwork(TINY)
    tts_parts(network, make_batch(), TINY).total.backward()
    assert [name for name, p in network.named_parameters() if p.grad is None] == []


def test_the_mapper_is_trained_through_fusion_and_flow_alone(stirred, make_batch) -> None:
    """Eq. 7 has no loss of FaPro's own: with content and flow switched off nothing but Eq. 5 reaches it."""
    teacher, dubber, b = TtsNetwork(MINI), stirred(DubberNetwork(MINI)), make_batch(settings=MINI)
    only_alignment = DubbingWeights(content=0, ctc=0.1, distill=0, flow=0)
    dubbing_parts(dubber, known(teacher, b), b, MINI, only_alignment).total.backward()
    assert all(p.grad is None for p in dubber.fapro.parameters())
    dubbing_parts(dubber, known(teacher, b), b, MINI, DubbingWeights(ctc=0, distill=0)).total.backward()
    assert all(p.grad is not None for p in dubber.fapro.parameters())


def test_the_weights_of_both_losses_are_the_papers() -> None:
    assert TtsWeights().model_dump() == {"duration": 0.5, "content": 1.0, "flow": 1.0}
    assert list(DubbingWeights().model_dump().values()) == [1.0, 0.1, 0.1, 1.0, 0.001, 0.001, 0.0]


@torch.no_grad()
def test_the_teacher_speaks_at_its_own_pace(stirred, make_batch) -> None:
    teacher, b = stirred(TtsNetwork(TINY)), make_batch()
    said, lengths = teacher.spoken(b.text)
    assert said.features.shape == (3, int(lengths.max()), TINY.width)
    assert float(said.features[1, int(lengths[1]) :].abs().sum()) == 0
    assert said.tokens.max() < 1024


def learn(network, parts, steps: int) -> tuple[dict[str, float], dict[str, float]]:
    """Loss parts before and after ``steps`` of AdamW on one batch."""
    optimiser = torch.optim.AdamW([p for p in network.parameters() if p.requires_grad], lr=3e-3)
    first: dict[str, float] = {}
    for _ in range(steps):
        loss = parts()
        optimiser.zero_grad()
        loss.total.backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimiser.step()
        first = first or {name: float(value.detach()) for name, value in loss.values.items()}
    return first, {name: float(value.detach()) for name, value in parts().values.items()}


@pytest.mark.slow
def test_both_stages_learn_one_batch_by_heart(make_batch) -> None:
    """Not a claim of quality: every loss of Eq. 9 and Eq. 7 can be driven down by its own gradient."""
    torch.manual_seed(0)
    b, teacher, dubber = make_batch(frames=(9, 6), settings=MINI), TtsNetwork(MINI), DubberNetwork(MINI)
    first, last = learn(teacher, lambda: tts_parts(teacher, b, MINI), 60)
    assert first["content"] == pytest.approx(math.log(16), rel=0.3)
    assert first["flow"] == pytest.approx(math.log(16), rel=0.3)
    for name in ("duration", "content", "flow"):
        assert last[name] < 0.4 * first[name], (name, first, last)

    dubber.adopt(teacher)
    weights = DubbingWeights(video_text=0.01, speech_text=0.01)
    targets = known(teacher, b)
    first, last = learn(dubber, lambda: dubbing_parts(dubber, targets, b, MINI, weights), 60)
    for name in ("content", "ctc", "distill", "video_text", "speech_text"):
        assert last[name] < 0.6 * first[name], (name, first, last)
    assert last["flow"] < first["flow"]


@torch.no_grad()
def test_half_precision_runs_and_stays_near(stirred, make_batch) -> None:
    network, b = stirred(DubberNetwork(TINY)), make_batch()
    exact = network(b.text, b.picture, b.speaker, b.noisy, b.t)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        rough = network(b.text, b.picture, b.speaker, b.noisy, b.t)
    near = functional.cosine_similarity(rough.plan.prior.float().flatten(), exact.plan.prior.flatten(), dim=0)
    assert float(near) > 0.99
    assert bool(rough.flow_logits.isfinite().all())

    half = network.to(torch.bfloat16)
    picture = type(b.picture)(b.picture.lips.bfloat16(), b.picture.face.bfloat16(), b.picture.frames)
    whole = half(b.text, picture, b.speaker.bfloat16(), b.noisy, b.t)
    assert whole.flow_logits.dtype == torch.bfloat16
    assert bool(whole.flow_logits.isfinite().all())


def test_paper_is_built_without_memory_and_counted_part_by_part() -> None:
    report = parameter_report(PAPER)
    sizes = {(part.stage, part.part): part.parameters for part in report.parts}
    d, a = 768, 256
    block = 4 * d * d + 4 * d + 8 * d * d + 5 * d + 6 * d * (d + 1)  # attention, MLP, AdaLN with their biases
    assert sizes["dubber", "denoiser.blocks"] == 8 * block
    assert sizes["dubber", "denoiser.join"] == 6 * d * d + d
    assert sizes["dubber", "denoiser.final_line"] == d * 4 * d + 4 * d
    convnext = 7 * a + a + 2 * a + (a * 1024 + 1024) + 2 * 1024 + (1024 * a + a)
    assert sizes["dubber", "synchronizer.refinement"] == 8 * convnext
    fft = 4 * (a * a + a) + (9 * a * 1024 + 1024) + (1024 * a + a) + 4 * a
    assert sizes["tts", "content.refiner"] == 2 * fft

    assert report.total("dubber") == sum(size for (stage, _), size in sizes.items() if stage == "dubber")
    assert report.in_training == report.total("tts") + report.total("dubber")
    frozen = {part.part: part.parameters - part.trained for part in report.parts if part.parameters != part.trained}
    assert set(frozen) == {"adaptation.content"}
    assert frozen["adaptation.content"] == (a * d + d) + 2 * (a * a + a + a * 1024 + 1024)
    assert 0.5 * PAPER_PARAMETERS < report.total("dubber") < PAPER_PARAMETERS < report.in_training
    assert f"{PAPER_PARAMETERS / 1e6:.3f} M" in report.lines()[-1]


def test_presets_are_strict() -> None:
    assert set(PRESETS) == {"paper", "tiny"}
    assert NetSettings() == PAPER
    for bad in (
        {"width": 250},  # not a multiple of the heads
        {"fft": {"kernels": (8, 1)}},
        {"denoiser": {"width": 100}},
        {"temporal": {"kernel": 6}},
        {"hidden": 256},
    ):
        with pytest.raises(ValidationError):
            NetSettings.model_validate(bad)
    assert NetSettings.model_validate(PAPER.model_dump()) == PAPER
