"""LoRA training steps a second on LTX-2, their memory, and the share of the device's peak that they reach.

    python benchmarks/incontext_training.py [--preset tiny] [--device cpu] [--threads 1] [--steps 5]
    python benchmarks/incontext_training.py --full --device cuda [--preset paper] [--steps 3]

Random weights and random latents of the preset's size; with and without computing blocks again. What is timed is what
trains: tokens with roles, Eq. 3's masks, the masked loss, backward, clipping, AdamW; reading data, logging and
checkpoints are left out. Every row runs in a process of its own. ``kept`` is what autograd holds between forward and
backward, measured, beside what ``dubflow plan`` counts for it; ``peak`` is the device's (of the process on a CPU).
Floating-point operations are those of the plan: a forward pass three times with blocks computed again, else twice. The
peak rate is the best that one matrix product reaches here, in the same precision.

``--full`` takes the published sizes (18.9 billion numbers in bfloat16) and needs a GPU of 80 GB.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import resource
import statistics
from typing import Any

import torch
from torch import nn
from torch.autograd.graph import saved_tensors_hooks
from torch.nn.functional import linear

from diflow_bench import gemm_peak, introduce, timed
from dubflow.config import load_preset
from dubflow.incontext.adapter.lora import add_lora
from dubflow.incontext.backbone.building import build_part
from dubflow.incontext.backbone.configs import part_configs
from dubflow.incontext.backbone.settings import SECTION, BackboneSettings, published
from dubflow.incontext.backbone.text import TextFeatures
from dubflow.incontext.planning.counting import count_activations, geometry_of_settings, text_widths
from dubflow.incontext.planning.plan import Way, need_of, plan_training
from dubflow.incontext.training.examples import Example, example_of
from dubflow.incontext.training.latents import PairLatents
from dubflow.incontext.training.module import LoraModule
from dubflow.incontext.training.presets import LoraPreset, lora_preset
from dubflow.training.steps import moved

GIB = 2**30


def transformer_of(base: BackboneSettings, device: torch.device, dtype: torch.dtype) -> Any:
    """A transformer of random weights, made where it lies: 38 GB do not fit everywhere twice."""
    made = build_part("transformer", part_configs(base)["transformer"], "meta")
    made = nn.Module.to_empty(nn.Module.to(made, dtype), device=device)
    torch.manual_seed(0)
    with torch.no_grad():
        for name, parameter in made.named_parameters():
            if "norm" in name and parameter.ndim == 1:
                parameter.fill_(1.0)
            else:
                parameter.normal_(std=0.02)
    return made


def example(base: BackboneSettings, preset: LoraPreset) -> Example:
    """A random pair of the preset's size, half of it face."""
    geometry, noise = geometry_of_settings(base), torch.Generator().manual_seed(1)
    shape = geometry.latent_shape(preset.data.frames, preset.data.height, preset.data.width)

    def drawn(*size: int) -> torch.Tensor:
        return torch.randn(*size, generator=noise)

    heard = geometry.audio_tokens(preset.data.frames / 25)
    video, audio = drawn(2, geometry.video_channels, *shape), drawn(2, heard, geometry.audio_channels)
    mask = torch.zeros(shape, dtype=torch.bool)
    mask[:, : shape[1] // 2] = True
    text = [drawn(1, base.text.tokens, width) for width in text_widths(base)]
    features = TextFeatures(text[0], text[1], torch.ones(1, base.text.tokens, dtype=torch.bool))
    pair = PairLatents("drawn", video[0], audio[0], video[1], audio[1], mask, features)
    return example_of(pair, geometry, preset.training, noise)


def measured(arguments: dict[str, Any], again: bool) -> dict[str, float]:
    """One row: seconds a step, bytes kept, peak bytes, loss."""
    device = torch.device(arguments["device"])
    if device.type == "cpu":
        torch.set_num_threads(arguments["threads"])
    base, preset = chosen(arguments)
    dtype = torch.bfloat16 if arguments["full"] or device.type == "cuda" else torch.float32
    transformer = transformer_of(base, device, dtype)
    add_lora(transformer, preset.lora)
    settings = preset.training.model_copy(update={"gradient_checkpointing": again})
    module = LoraModule(transformer, settings)
    adam = module.configure_optimizers()["optimizer"]
    batch = moved(example(base, preset), device)
    autocast = torch.autocast(device.type, torch.bfloat16, enabled=dtype == torch.bfloat16)
    apart = {parameter.untyped_storage().data_ptr() for parameter in transformer.parameters()}
    kept: dict[int, int] = {}

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in apart:
            kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    def step() -> float:
        with autocast:
            loss = module_loss(module, batch)
        loss.backward()
        module.configure_gradient_clipping(adam)
        adam.step()
        adam.zero_grad()
        return float(loss.detach())

    if not again:  # with blocks computed again autograd holds closures; what they keep is the plan's
        with autocast, saved_tensors_hooks(keep, lambda tensor: tensor):
            module_loss(module, batch)
    losses = [step()]  # the first one allocates
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    seconds = []
    for _ in range(arguments["steps"]):
        took, loss = timed(device, step)
        seconds.append(took)
        losses.append(loss)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    if device.type == "cuda":
        peak = torch.cuda.max_memory_allocated(device)
    return {
        "seconds": statistics.median(seconds),
        "kept": sum(kept.values()),
        "peak": peak,
        "first": losses[0],
        "last": losses[-1],
    }


def module_loss(module: LoraModule, batch: Example) -> torch.Tensor:
    """The loss as a step computes it, without Lightning around it."""
    from dubflow.incontext.training.examples import loss_of

    return loss_of(module.transformer, batch, module.settings).total


def chosen(arguments: dict[str, Any]) -> tuple[BackboneSettings, LoraPreset]:
    """Sizes and settings."""
    preset = lora_preset(arguments["preset"])
    if arguments["full"]:
        return published("2.0"), preset
    return load_preset(arguments["preset"], SECTION, BackboneSettings), preset


def in_a_process(arguments: dict[str, Any], again: bool) -> dict[str, float]:
    """A row from a process of its own, so that one row's memory is not another's."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(measured, (arguments, again))


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--preset", default=None)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--steps", type=int, default=5)
    parser.add_argument("--full", action="store_true")
    parser.add_argument("--json", action="store_true", help="One JSON object a row as well.")
    arguments = vars(parser.parse_args())
    arguments["preset"] = arguments["preset"] or ("paper" if arguments["full"] else "tiny")
    device = torch.device(arguments["device"])
    if device.type == "cpu":
        torch.set_num_threads(arguments["threads"])
    introduce(device)
    base, preset = chosen(arguments)
    dtype = torch.bfloat16 if arguments["full"] or device.type == "cuda" else torch.float32
    peak = gemm_peak(device, dtype, linear)
    world = "random weights of the published size" if arguments["full"] else "embedded world, random weights"
    print(
        f"{world}; {preset.data.width} x {preset.data.height} x {preset.data.frames}, rank {preset.lora.rank}, "
        f"{str(dtype).removeprefix('torch.')}; one matrix product reaches {peak / 1e12:.3f} TFLOP/s\n"
    )
    print(
        "| blocks | s a step | steps/s | TFLOP a step | share of peak | kept, measured | kept, planned | peak memory |"
    )
    print("|---|---|---|---|---|---|---|---|")
    for again in (True,) if arguments["full"] else (False, True):
        settings = preset.training.model_copy(update={"gradient_checkpointing": again})
        plan = plan_training(base, preset.lora, preset.data, settings, device_bytes=80 * 10**9)
        row = in_a_process(arguments, again)
        need = need_of(Way("", checkpointed=again), plan.weights, plan.activations, plan.device_bytes, 1)
        counted = count_activations(base, preset.lora, preset.data, settings, dtype=dtype)
        # Autograd's hooks see what kept blocks hold; of blocks computed again the plan has the inputs alone.
        planned = counted.outside + plan.weights.blocks * (counted.inputs if again else counted.block)
        rate = plan.flops / row["seconds"]
        kept = f"{row['kept'] / GIB:.3f} GiB" if row["kept"] else "-"
        print(
            f"| {'computed again' if again else 'kept'} | {row['seconds']:.3f} | {1 / row['seconds']:.2f} "
            f"| {plan.flops / 1e12:.3f} | {rate / peak:.0%} | {kept} | {planned / GIB:.3f} GiB "
            f"| {row['peak'] / GIB:.2f} GiB |",
            flush=True,
        )
        if arguments["json"]:
            print(json.dumps(row | {"again": again, "planned_total": need.total}))


if __name__ == "__main__":
    main()
