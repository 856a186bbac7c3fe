"""A plan's numbers are those of a run."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from torch import nn
from torch.autograd.graph import saved_tensors_hooks
from typer.testing import CliRunner

from dubflow.cli.main import app
from dubflow.errors import BadInput, WrongUse
from dubflow.incontext.adapter.lora import LoraSettings, add_lora, lora_parameters
from dubflow.incontext.backbone.folders import save_backbone
from dubflow.incontext.backbone.settings import Version, published
from dubflow.incontext.backbone.text import encode_text
from dubflow.incontext.backbone.tiny import tiny_backbone, tiny_settings
from dubflow.incontext.planning.bases import sizes_of_base
from dubflow.incontext.planning.counting import Activations, Weights, count_activations, count_weights, text_widths
from dubflow.incontext.planning.plan import GIB, Way, bytes_of, need_of, plan_training, ways
from dubflow.incontext.training.examples import example_of, loss_of
from dubflow.incontext.training.latents import PairLatents
from dubflow.incontext.training.module import LoraModule
from dubflow.incontext.training.settings import DataSettings, LoraTraining
from incontext.samples import backbone

LORA = LoraSettings(rank=4)
DATA = DataSettings(width=96, height=64, frames=17)
TRAINING = LoraTraining(gradient_checkpointing=False, precision="fp32")


Counted = tuple[Weights, Activations]


@pytest.fixture(scope="module")
def counted() -> Counted:
    settings = tiny_settings("2.0")
    return count_weights(settings, LORA), count_activations(settings, LORA, DATA, TRAINING)


def step(base, training: LoraTraining):  # type: ignore[no-untyped-def]
    """A module and the example of a pair of the largest size."""
    add_lora(base.transformer, LORA)
    module = LoraModule(base.transformer, training)
    shape = base.geometry.latent_shape(DATA.frames, DATA.height, DATA.width)
    video, audio = torch.randn(2, 8, *shape), torch.randn(2, 17, 8)
    pair = PairLatents("p", video[0], audio[0], video[1], audio[1], None, encode_text(base, ["say"]))
    return module, example_of(pair, base.geometry, training, torch.Generator().manual_seed(0))


def test_weights_gradients_and_the_optimiser_are_exact(counted: Counted) -> None:
    base = tiny_backbone()
    numbers = sum(parameter.numel() for parameter in base.transformer.parameters())
    module, example = step(base, TRAINING)
    weights, kept = counted
    assert weights.base == numbers
    trained = [parameter for _, parameter in lora_parameters(base.transformer)]
    assert (weights.lora, weights.lora_tensors) == (sum(p.numel() for p in trained), len(trained))
    assert weights.base == weights.blocks * weights.block + weights.outside

    adam = module.configure_optimizers()["optimizer"]
    loss_of(base.transformer, example, TRAINING).total.backward()
    adam.step()
    held = [parameter.grad for _, parameter in lora_parameters(base.transformer)]
    assert all(gradient is not None for gradient in held)
    need = need_of(Way("any"), weights, kept, GIB, 1)
    assert need.gradients == sum(g.numel() * g.element_size() for g in held if g is not None)
    moments = [value for state in adam.state.values() for name, value in state.items() if name != "step"]
    assert need.optimiser == sum(value.numel() * value.element_size() for value in moments)
    assert need.lora == sum(p.numel() * p.element_size() for p in trained)
    assert not [p for name, p in base.transformer.named_parameters() if p.grad is not None and "lora" not in name]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("version", "dtype"), [("2.0", torch.float32), ("2.3", torch.float32), ("2.0", torch.bfloat16)]
)
def test_what_autograd_keeps_is_what_was_counted(version: Version, dtype: torch.dtype) -> None:
    """In bfloat16 the base is stored so, the LoRA in float32, and both compute under autocast, as in a training."""
    base = tiny_backbone(version)
    nn.Module.to(base.transformer, dtype)
    module, example = step(base, TRAINING)
    apart = {parameter.untyped_storage().data_ptr() for parameter in base.transformer.parameters()}
    apart |= {value.untyped_storage().data_ptr() for value in (example.video_target, example.audio_target)}
    kept: dict[int, torch.UntypedStorage] = {}

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in apart:
            kept[storage.data_ptr()] = storage
        return tensor

    from dubflow.incontext.forward import forward

    mixed = torch.autocast("cpu", torch.bfloat16, enabled=dtype == torch.bfloat16)
    with mixed, saved_tensors_hooks(keep, lambda tensor: tensor):
        forward(module.transformer, example.tokens, example.text, TRAINING.scheme)
    measured = sum(storage.nbytes() for storage in kept.values())
    counted = count_activations(tiny_settings(version), LORA, DATA, TRAINING, dtype=dtype)
    assert counted.outside + 2 * counted.block == pytest.approx(measured, rel=0.02)


def test_a_batch_keeps_as_much_as_its_pairs(counted: Counted) -> None:
    weights, one = counted
    more = count_activations(tiny_settings("2.0"), LORA, DATA, TRAINING.model_copy(update={"batch_items": 4}))
    kept, kept_of_one = (count.outside + weights.blocks * count.block for count in (more, one))
    assert kept_of_one < kept <= 4 * kept_of_one
    assert kept == pytest.approx(4 * kept_of_one, rel=0.05)
    assert more.flops_block == pytest.approx(4 * one.flops_block, rel=0.02)
    plan = plan_training(
        tiny_settings("2.0"), LORA, DATA, TRAINING.model_copy(update={"batch_items": 4, "accumulate": 2}),
        device_bytes=GIB, devices=3,
    )  # fmt: skip
    assert (plan.pairs_a_step, plan.activations) == (24, more)


def test_shards_share_and_computing_again_saves(counted: Counted) -> None:
    weights, kept = counted
    needs = {way.name: need_of(way, weights, kept, GIB, 8) for way in ways(8)}
    whole, again, shards = (next(n for name, n in needs.items() if text in name) for text in ("kept", "again", "shard"))
    assert again.activations < whole.activations
    assert shards.optimiser == -(-again.optimiser // 8)
    assert shards.activations == again.activations
    fp8 = next(need for name, need in needs.items() if "fp8" in name)
    assert again.base - fp8.base == weights.castable


def test_a_plan_says_what_fits_first(counted: Counted) -> None:
    large = plan_training(tiny_settings("2.0"), LORA, DATA, TRAINING, device_bytes=80 * GIB)
    assert large.best is not None
    assert large.best.way.name == "bf16, blocks kept"
    assert (large.weights, large.activations) == counted
    assert not any(need_of(way, *counted, GIB, 1).fits for way in ways(1)), "the reserve alone is more"
    assert large.cache_bytes == 1000 * (large.pair_bytes + large.prompt_bytes)
    assert large.pair_bytes == 2 * 4 * (3 * 2 * 3 * 8 + 17 * 8) + 18


@pytest.mark.parametrize(("text", "size"), [("80GB", 80 * 10**9), ("24 GiB", 24 * GIB), ("1.5tb", 1.5e12), ("7", 7)])
def test_sizes_are_read(text: str, size: float) -> None:
    assert bytes_of(text) == size


@pytest.mark.parametrize("text", ["", "GB", "-3GB", "0", "8 bananas", "nan"])
def test_other_sizes_are_refused(text: str) -> None:
    with pytest.raises(WrongUse) as refused:
        bytes_of(text)
    assert refused.value.code == "incontext.bad_size"


def test_the_verb_answers_a_machine() -> None:
    told = CliRunner().invoke(app, ["plan", "--preset", "tiny", "--device", "8GB", "--json"])
    assert told.exit_code == 0
    plan = json.loads(told.stdout)
    assert plan["best"] == "bf16, blocks kept"
    assert plan["weights"]["base"] > 0


def test_shards_need_several_devices() -> None:
    told = CliRunner().invoke(app, ["plan", "--base", "tiny", "--preset", "tiny", "--strategy", "fsdp"])
    assert isinstance(told.exception, WrongUse)
    assert told.exception.code == "cli.one_device"


@pytest.mark.parametrize("version", ["2.0", "2.3"])
def test_a_plan_counts_the_base_that_is_named(version: Version, tmp_path: Path) -> None:
    assert sizes_of_base("tiny", version) == tiny_settings(version)
    save_backbone(backbone(version), tmp_path / "base")
    found = sizes_of_base(str(tmp_path / "base"))
    assert count_weights(found, LORA) == count_weights(tiny_settings(version), LORA)
    assert found.transformer.heads == tiny_settings(version).transformer.heads
    assert text_widths(found) == text_widths(tiny_settings(version))
    with pytest.raises(BadInput, match=r"incontext\.version_mismatch"):
        sizes_of_base(str(tmp_path / "base"), "2.5")


@pytest.mark.slow
def test_the_published_size_has_the_published_counts() -> None:
    weights = count_weights(published("2.0"), LoraSettings())
    assert weights.base == 18_876_174_592
    assert weights.lora == 1_233_125_376
    assert weights.lora_tensors == 2_688
    assert weights.blocks == 48
    kept = count_activations(published("2.0"), LoraSettings(), DataSettings(), LoraTraining())
    again = need_of(Way("again"), weights, kept, bytes_of("80GB"), 1)
    assert again.fits
    assert not need_of(Way("kept", checkpointed=False), weights, kept, bytes_of("141GB"), 1).fits
