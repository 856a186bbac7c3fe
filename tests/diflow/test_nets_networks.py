"""The networks as wholes: their equations, what reaches what, their size, and that they learn."""

from __future__ import annotations

import math

import pytest
import torch
from pydantic import ValidationError

from dubflow.diflow.flow.noise import generators
from dubflow.diflow.nets.denoiser import FlowDenoiser
from dubflow.diflow.nets.dit import DitBlock
from dubflow.diflow.nets.dubber import DubberNetwork, DubberTargets, DubbingWeights, dubbing_loss
from dubflow.diflow.nets.positions import rotation
from dubflow.diflow.nets.prompt import Condition, prior_condition
from dubflow.diflow.nets.report import PAPER_PARAMETERS, parameter_report
from dubflow.diflow.nets.settings import PAPER, PRESETS, TINY, NetSettings
from dubflow.diflow.nets.tts import TtsNetwork, TtsWeights, tts_loss
from dubflow.errors import WrongUse

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


def context_inputs(b, settings, seed=0):
    noise = generators([seed])[0]
    width, longest = settings.denoiser.width, b.noisy.shape[-1]
    content = torch.randn(len(b.lengths), settings.books.content, longest, width, generator=noise)
    prior = torch.randn(len(b.lengths), settings.books.prosody, longest, width, generator=noise)
    return content, prior


@torch.no_grad()
def test_the_joined_input_is_the_papers_concatenation(stirred, make_batch) -> None:
    """Sums of parts and looked-up tables must equal W perm([e_cond; e_t]) + b with the streams laid side by side."""
    network, b = stirred(FlowDenoiser(TINY)), make_batch(frames=(9, 9))
    content, _ = context_inputs(b, TINY)
    condition = network.embedders(b.reference)
    context = network.prepare(condition, content, b.lengths, b.speaker)

    prosody, acoustic = network.embedders.prosody(b.noisy[:, :1]), network.embedders.acoustic(b.noisy[:, 1:])
    target = torch.cat([prosody, content, acoustic], dim=1)  # [B, S, L, D]
    e = torch.cat([condition.dense(2, 3), target], dim=2).permute(0, 2, 1, 3).flatten(2)
    literal = network.join(e)

    heads = []
    hook = network.blocks[0].register_forward_pre_hook(lambda _, inputs: heads.append(inputs[0]))
    network(b.noisy, b.t, context)
    hook.remove()
    torch.testing.assert_close(heads[0], literal, rtol=1e-4, atol=1e-4)


@torch.no_grad()
def test_the_posterior_is_over_codes_and_listens_to_every_input(stirred, make_batch) -> None:
    network, b = stirred(FlowDenoiser(TINY)), make_batch(frames=(9, 6))
    content, prior = context_inputs(b, TINY)
    plain = network(b.noisy, b.t, network.prepare(network.embedders(b.reference), content, b.lengths, b.speaker))
    assert plain.shape == (2, 4, b.noisy.shape[-1], 1024)
    variants = {
        "reference": network.prepare(prior_condition(prior, b.lengths), content, b.lengths, b.speaker),
        "content": network.prepare(network.embedders(b.reference), -content, b.lengths, b.speaker),
        "speaker": network.prepare(network.embedders(b.reference), content, b.lengths, -b.speaker),
    }
    for name, context in variants.items():
        assert float((network(b.noisy, b.t, context) - plain).abs().max()) > 1e-2, name
    context = network.prepare(network.embedders(b.reference), content, b.lengths, b.speaker)
    assert float((network(b.noisy, 1 - b.t, context) - plain).abs().max()) > 1e-3
    assert float((network(b.flow, b.t, context) - plain).abs().max()) > 1e-2


@torch.no_grad()
def test_rotary_positions_follow_the_setting(stirred, make_batch) -> None:
    b = make_batch(frames=(10, 5))
    content, prior = context_inputs(b, TINY)
    for placing, starts in (("concatenated", b.lengths.tolist()), ("aligned", [0, 0])):
        settings = TINY.model_copy(update={"denoiser": TINY.denoiser.model_copy(update={"positions": placing})})
        context = FlowDenoiser(settings).prepare(prior_condition(prior, b.lengths), content, b.lengths, b.speaker)
        longest = prior.shape[2]
        wanted = rotation(torch.stack([torch.arange(longest) + start for start in starts]), 40)
        torch.testing.assert_close(context.rotation.cos[:, :, longest:], wanted.cos)
        torch.testing.assert_close(context.rotation.sin[:, :, longest:], wanted.sin)


def test_a_transformer_block_starts_as_the_identity() -> None:
    x = torch.randn(2, 5, TINY.denoiser.width)
    turn = rotation(torch.arange(5).expand(2, -1), TINY.denoiser.width // TINY.denoiser.heads)
    assert torch.equal(DitBlock(TINY.denoiser)(x, torch.randn(2, TINY.denoiser.width), None, turn), x)


def test_streams_and_lengths_that_do_not_fit_are_refused(make_batch) -> None:
    network, b = FlowDenoiser(TINY), make_batch(frames=(5,))
    content, prior = context_inputs(b, TINY)
    with pytest.raises(WrongUse, match="bad_shapes"):
        network.prepare(Condition(prior, prior, b.lengths), content, b.lengths, b.speaker)
    with pytest.raises(WrongUse, match="bad_shapes"):
        network.prepare(prior_condition(prior, b.lengths), content[:, :1], b.lengths, b.speaker)
    with pytest.raises(WrongUse, match="bad_lengths"):
        network.prepare(prior_condition(prior, b.lengths), content, b.lengths + 1, b.speaker)


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
    assert list(DubbingWeights().model_dump().values()) == [1.0, 0.1, 0.1, 1.0, 0.001, 0.001]


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
    near = torch.nn.functional.cosine_similarity(rough.plan.prior.float().flatten(), exact.plan.prior.flatten(), dim=0)
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
