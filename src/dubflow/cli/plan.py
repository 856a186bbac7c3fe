"""``dubflow plan``: what a training of a LoRA needs, before it is run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from dubflow.cli.output import Json, emit, print_table
from dubflow.errors import WrongUse

if TYPE_CHECKING:
    from rich.console import Console

    from dubflow.incontext.planning.plan import Plan


def plan(
    preset: Annotated[str, typer.Option(help="A shipped preset or a YAML file.")] = "paper",
    device: Annotated[str, typer.Option(help="Memory of a device, such as 80GB or 24GiB.")] = "80GB",
    devices: Annotated[int | None, typer.Option(min=1, help="Devices; by default the preset's.")] = None,
    base: Annotated[
        str | None, typer.Option(help="LTX-2: a folder, a checkpoint file, or tiny; by default the preset's sizes.")
    ] = None,
    version: Annotated[str | None, typer.Option(help="Of the base: 2.0, 2.3 or 2.5; by default the preset's.")] = None,
    strategy: Annotated[str | None, typer.Option(help="Only ways of this strategy: ddp or fsdp.")] = None,
    pairs: Annotated[int, typer.Option(min=1, help="Pairs, for the size of the cache.")] = 1000,
    as_json: Json = False,
) -> None:
    """Memory that a LoRA's training needs on each device, in every way to run it; counted, not measured.

    Nothing is loaded and nothing is run: weights are counted on shapes alone.
    """
    from dataclasses import replace

    from dubflow.cli.training import changed
    from dubflow.config import load_preset
    from dubflow.incontext.adapter.lora import LoraSettings
    from dubflow.incontext.backbone.settings import SECTION, BackboneSettings
    from dubflow.incontext.planning.bases import sizes_of_base
    from dubflow.incontext.planning.plan import bytes_of, plan_training
    from dubflow.incontext.training.settings import DataSettings, LoraTraining

    sizes = changed(load_preset(preset, SECTION, BackboneSettings), {"version": version})
    if base is not None:
        sizes = sizes_of_base(base, sizes.version if version else None)
    training = changed(load_preset(preset, LoraTraining.section, LoraTraining), {"strategy": strategy})
    made = plan_training(
        sizes,
        load_preset(preset, LoraSettings.section, LoraSettings),
        load_preset(preset, DataSettings.section, DataSettings),
        training,
        device_bytes=bytes_of(device),
        devices=devices,
        pairs=pairs,
    )
    if strategy is not None:
        wanted = strategy == "fsdp"
        if wanted and made.devices == 1:
            raise WrongUse("cli.one_device", "One device has nothing to share shards with.", "Give --devices.")
        made = replace(made, needs=tuple(need for need in made.needs if need.way.sharded == wanted))
    emit(made.as_dict(), as_json, lambda console: _print(console, made))


def _print(console: Console, made: Plan) -> None:
    unit, name = (2**30, "GiB") if made.needs[0].total - made.needs[0].reserve >= 2**30 else (2**20, "MiB")
    weights = made.weights
    console.print(
        f"Base: LTX-2 {made.version}, {weights.base:,} numbers in {weights.blocks} blocks. "
        f"LoRA: {weights.lora:,} numbers in {weights.lora_tensors:,} tensors.\n"
        f"A step: {made.pairs_a_step} x a pair of {made.tokens:,} video tokens, "
        f"{_tera(made.flops)} TFLOP each; {made.steps:,} steps.",
        highlight=False,
    )
    columns = ("way", "base", "LoRA", "gradients", "AdamW", "kept", "backward", "reserve", "all", "fits", "run here")
    rows = []
    for need in made.needs:
        parts = (need.base, need.lora, need.gradients, need.optimiser, need.activations, need.backward, need.reserve)
        sizes = [f"{part / unit:.1f}" for part in (*parts, need.total)]
        rows.append((need.way.name, *sizes, "yes" if need.fits else "no", "yes" if need.way.trained else "plan only"))
    title = f"{name} on each of {made.devices} device(s) of {made.device_bytes / 2**30:.1f} GiB"
    print_table(console, title, columns, rows)
    console.print(
        f"Main memory: {made.loaded_bytes / unit:.1f} {name} for each process of a node, which loads the whole base "
        f"before it moves or shards it.\n"
        f"Cache: {made.pair_bytes / 1e6:.1f} MB a pair, {made.prompt_bytes / 1e6:.1f} MB a prompt, "
        f"{made.cache_bytes / 1e9:.1f} GB for {made.pairs:,} pairs.",
        highlight=False,
    )
    best = made.best
    told = f"Fits: {best.way.name}." if best else "No way that is run here fits; take larger devices, or more of them."
    console.print(told, highlight=False)


def _tera(count: int) -> str:
    return f"{count / 1e12:,.0f}" if count >= 1e13 else f"{count / 1e12:.2g}"
