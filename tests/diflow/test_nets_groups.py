"""Learning rates by name: every trained parameter in exactly one group, frozen ones in none."""

from __future__ import annotations

import pytest
import torch
from pydantic import ValidationError

from dubflow.diflow.nets.dubber import DubberNetwork
from dubflow.diflow.nets.groups import LEARNING_RATES, LearningRates, group_lines, group_report, parameter_groups
from dubflow.diflow.nets.settings import TINY
from dubflow.diflow.nets.tts import TtsNetwork
from dubflow.errors import WrongUse


@pytest.fixture(scope="module")
def network():
    with torch.device("meta"):
        return DubberNetwork(TINY)


def names_of(network, group):
    known = {id(p): name for name, p in network.named_parameters()}
    return {known[id(p)] for p in group["params"]}


def test_the_papers_rates_are_one_rate_and_the_safe_ones_slow_the_denoiser(network) -> None:
    (only,) = parameter_groups(network, LEARNING_RATES["paper"])
    assert (only["lr"], only["name"]) == (1e-3, "rest")
    slow, rest = parameter_groups(network, LEARNING_RATES["safe"])
    assert (slow["lr"], rest["lr"]) == (1e-4, 1e-3)
    assert names_of(network, slow) == {name for name, _ in network.named_parameters() if name.startswith("denoiser.")}
    trained = {name for name, p in network.named_parameters() if p.requires_grad}
    assert names_of(network, only) == trained == names_of(network, slow) | names_of(network, rest)
    assert not names_of(network, slow) & names_of(network, rest)


def test_the_first_pattern_that_fits_decides_and_must_fit_whole_names(network) -> None:
    rates = LearningRates(default=1.0, rates=(("denoiser.final*", 2.0), ("denoiser.*", 3.0), ("*norm*", 4.0)))
    by_name = {name: group["lr"] for group in parameter_groups(network, rates) for name in names_of(network, group)}
    assert by_name["denoiser.final_line.weight"] == 2.0
    assert by_name["denoiser.blocks.0.attention.output.weight"] == 3.0
    assert by_name["fapro.norm.weight"] == 4.0
    assert by_name["encoder.symbols.weight"] == 1.0
    with pytest.raises(WrongUse, match=r"'blocks'.*idle_pattern"):
        parameter_groups(network, LearningRates(rates=(("blocks", 1e-4),)))
    with pytest.raises(WrongUse, match=r"'denoiser.time\*'.*idle_pattern"):
        parameter_groups(network, LearningRates(rates=(("denoiser.*", 1e-4), ("denoiser.time*", 1e-5))))
    with pytest.raises(ValidationError):
        LearningRates(rates=(("*", 0.0),))
    assert len(parameter_groups(network, LearningRates(rates=(("adaptation.content.head.*", 1e-4),)))) == 1


def test_an_optimizer_steps_each_group_at_its_rate() -> None:
    network = TtsNetwork(TINY)
    groups = parameter_groups(network, LearningRates(default=0.5, rates=(("denoiser.*", 0.25),)))
    before = {name: p.detach().clone() for name, p in network.named_parameters()}
    optimizer = torch.optim.SGD(groups)
    for p in network.parameters():
        p.grad = torch.ones_like(p)
    optimizer.step()
    for name, p in network.named_parameters():
        rate = 0.25 if name.startswith("denoiser.") else 0.5
        torch.testing.assert_close(p.detach(), before[name] - rate)


def test_the_report_places_every_parameter_and_names_the_frozen_parts(network) -> None:
    lines = group_lines(network, LEARNING_RATES["safe"])
    assert sum(line.parameters for line in lines) == sum(p.numel() for p in network.parameters())
    frozen = sum(p.numel() for p in network.parameters() if not p.requires_grad)
    assert [(x.part, x.parameters, x.rate) for x in lines if x.group == "frozen"] == [("adaptation.content", frozen, 0)]
    assert {x.group for x in lines if x.part.startswith("denoiser.")} == {"denoiser.*"}
    text = group_report(network, LEARNING_RATES["safe"])
    assert any("adaptation.content" in row and "frozen" in row for row in text)
    assert len(text) == len(lines) + 3
