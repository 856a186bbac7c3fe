"""A step: its seeds, its losses in float32, its teacher."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from diflow.training.room import NETS, Room, drawn
from dubflow.diflow.flow.loss import code_cross_entropy
from dubflow.diflow.flow.noise import generators
from dubflow.diflow.nets.distillation import distillation_loss
from dubflow.diflow.nets.dubber import DubberNetwork
from dubflow.diflow.nets.grid import inside_of
from dubflow.diflow.nets.settings import NetSettings
from dubflow.diflow.nets.tts import TtsNetwork
from dubflow.diflow.training.batches import DubbingBatch, dubbing_batch
from dubflow.diflow.training.modules import DubberModule, Teacher, TtsModule
from dubflow.diflow.training.settings import DubberTraining, TtsTraining

NET = NetSettings.model_validate(NETS | {"speaker": 7, "lip_features": 12, "face_features": 10})
VOCABULARY = NET.books.vocabulary


def batch(number: int = 3, places: tuple[int, ...] = (0, 1, 2)) -> DubbingBatch:
    rows = [(place, f"c/{place}", drawn(18 + 3 * place, 5 + place, 7, place)) for place in places]
    return dubbing_batch(rows, vocabulary=VOCABULARY, number=number)


def tts() -> TtsModule:
    torch.manual_seed(1)
    return TtsModule(TtsNetwork(NET), TtsTraining()).train()


def dubber() -> DubberModule:
    torch.manual_seed(1)
    teacher, network = TtsNetwork(NET), DubberNetwork(NET)
    network.adopt(teacher)
    return DubberModule(network, DubberTraining(), teacher).train()


def stepped(module: TtsModule | DubberModule, given: DubbingBatch) -> float:
    return float(module.training_step(given if isinstance(module, DubberModule) else given.speech, 0).detach())


@pytest.mark.parametrize("make", [tts, dubber])
def test_a_step_hangs_on_its_number_and_not_on_what_was_drawn_before(make: Any) -> None:
    module = make()
    first = stepped(module, batch())
    torch.rand(17)
    assert stepped(module, batch()) == first
    assert stepped(module, batch(number=4)) != first


def test_noise_belongs_to_the_clip_and_not_to_its_neighbours() -> None:
    module = tts().eval()
    settings = module.settings.model_copy(update={"scope": "masked"})
    masks = []

    def watch(network: TtsNetwork, given: tuple[Any, ...], answer: Any) -> None:
        masks.append(given[4])

    module.settings = settings
    module.network.register_forward_hook(watch)
    stepped(module, batch(places=(0, 1, 2)))
    stepped(module, batch(places=(2,)))
    alone = masks[1][0]
    assert torch.equal(masks[0][2, :, : alone.shape[1]], alone)


@pytest.mark.parametrize("make", [tts, dubber])
def test_losses_are_in_float32_under_autocast_and_near_those_of_float32(make: Any) -> None:
    module = make().eval()
    given = batch()
    chosen = given if isinstance(module, DubberModule) else given.speech
    plain = module.loss(chosen, generators([1, 2, 3]))
    with torch.autocast("cpu", torch.bfloat16):
        short = module.loss(chosen, generators([1, 2, 3]))
    for name, value in short.values.items():
        assert value.dtype == torch.float32, name
        assert float(value.detach()) == pytest.approx(float(plain.values[name].detach()), rel=0.03, abs=0.02), name
    short.total.backward()
    assert all(p.grad.dtype == torch.float32 for p in module.network.parameters() if p.grad is not None)


def test_cross_entropy_of_bfloat16_logits_sums_in_float32() -> None:
    logits = torch.zeros(1, 1, 3000, VOCABULARY.codes, dtype=torch.bfloat16)
    target = torch.zeros(1, 1, 3000, dtype=torch.int64)
    with torch.autocast("cpu", torch.bfloat16):
        loss = code_cross_entropy(logits, target, vocabulary=VOCABULARY)
    assert float(loss) == pytest.approx(float(torch.log(torch.tensor(1024.0))), rel=1e-6)


def test_the_teachers_mean_is_all_that_the_distillation_needs() -> None:
    torch.manual_seed(2)
    network = TtsNetwork(NET)
    text = batch().speech.text
    means = Teacher(network).means(text)
    with torch.no_grad():
        content, lengths = network.eval().spoken(text)
    student = torch.randn(3, 40, NET.width)
    inside = inside_of(torch.tensor([40, 22, 9]), 40)
    over_all = distillation_loss(student, inside, content.features, inside_of(lengths, content.features.shape[1]))
    by_means = distillation_loss(student, inside, means.unsqueeze(1), torch.ones(3, 1, dtype=torch.bool))
    assert float(by_means) == pytest.approx(float(over_all), abs=1e-6)


def test_a_teacher_answers_alike_whatever_the_batch_and_mode_of_others() -> None:
    text = batch().speech.text
    alone = batch(places=(2,)).speech.text
    torch.manual_seed(2)
    teacher = Teacher(TtsNetwork(NET).train())
    with torch.autocast("cpu", torch.bfloat16):
        first: Tensor = teacher.means(text)
    assert torch.equal(Teacher(teacher.network).means(alone)[0], first[2])
    assert torch.equal(teacher.means(text), first)


def test_no_gradient_reaches_the_teacher_and_no_checkpoint_holds_it() -> None:
    module = dubber()
    given = batch()
    module.training_step(given, 0).backward()
    teacher = module._teacher[0].network
    assert all(parameter.grad is None for parameter in teacher.parameters())
    assert not teacher.training
    assert not {id(p) for p in teacher.parameters()} & {id(p) for p in module.parameters()}
    assert module.state_dict().keys() == {f"network.{name}" for name in module.network.state_dict()}
    frozen = {id(p) for p in module.network.parameters() if not p.requires_grad}
    assert frozen
    groups = module.configure_optimizers()["optimizer"].param_groups
    assert not frozen & {id(p) for group in groups for p in group["params"]}


def test_a_part_without_weight_is_neither_computed_nor_asked_of_a_teacher(room: Room) -> None:
    network = DubberNetwork(NET)
    network.start_alone()
    settings = DubberTraining.model_validate({"weights": {"distill": 0.0, "ctc": 0.0}})
    module = DubberModule(network, settings, None).train()
    module.training_step(batch(), 0).backward()
    assert module.parts is not None
    assert set(module.parts.values) == {"content", "flow", "video_text", "speech_text"}
