"""Pairs a second of a LoRA's training on the small base, by pairs of a batch, before and after two changes.

    python benchmarks/incontext_lora_speed.py [--preset tiny] [--items 1 4 8] [--rounds 5] [--threads 1] \
        [--clock processor]

Random weights of the preset's section ``incontext.backbone`` and random latents of its size. *Before*: attention in the
precision of all else, AdamW weight by weight. *After*: as ``dubflow train lora`` runs, attention in float32 on a
processor (:func:`dubflow.training.attention.quick_attention`) and AdamW in one kernel. Precision is what the setting
``auto`` takes: bfloat16 where the processor has instructions for it. All variants take turns in one process,
so a busy machine slows all of them alike; a step is a batch, forward, backward, clipping, AdamW. Losses of variants
with equal batches are compared.
"""

from __future__ import annotations

import argparse
import statistics
from collections.abc import Callable
from contextlib import nullcontext

import torch

from diflow_bench import CLOCKS, introduce, timed, use_clock
from dubflow.config import load_preset
from dubflow.incontext.adapter.groups import parameter_groups, rates_of
from dubflow.incontext.adapter.lora import add_lora
from dubflow.incontext.backbone.settings import SECTION, BackboneSettings
from dubflow.incontext.training.examples import Example, batch_of
from dubflow.incontext.training.module import LoraModule
from dubflow.incontext.training.presets import LoraPreset, lora_preset
from dubflow.training.attention import quick_attention
from dubflow.training.devices import has_bf16
from incontext_training import example, module_loss, transformer_of

CPU = torch.device("cpu")


def stepper(base: BackboneSettings, preset: LoraPreset, batch: Example, *, after: bool) -> Callable[[], float]:
    """A step on ``batch``, which gives its loss."""
    transformer = transformer_of(base, CPU, torch.float32)
    add_lora(transformer, preset.lora)
    settings = preset.training
    module = LoraModule(transformer, settings)
    adam = torch.optim.AdamW(parameter_groups(transformer, rates_of(settings.rates)), fused=after or None)

    def step() -> float:
        with quick_attention(CPU) if after else nullcontext():
            with torch.autocast("cpu", torch.bfloat16, enabled=has_bf16(False)):
                loss = module_loss(module, batch)
            loss.backward()
        module.configure_gradient_clipping(adam)
        adam.step()
        adam.zero_grad()
        return float(loss.detach())

    return step


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--preset", default="tiny")
    parser.add_argument("--items", type=int, nargs="+", default=[1, 4, 8])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--clock", choices=sorted(CLOCKS), default="wall")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    use_clock(arguments.clock)
    introduce(CPU)
    preset, base = lora_preset(arguments.preset), load_preset(arguments.preset, SECTION, BackboneSettings)
    pair, data = example(base, preset), preset.data
    video, audio = (one.latents.shape[1] for one in (pair.tokens.video, pair.tokens.audio))
    blocks = "computed again" if preset.training.gradient_checkpointing else "kept"
    print(
        f"embedded world, random weights; {data.width} x {data.height} x {data.frames}: {video} video and {audio} "
        f"audio tokens a pair, references among them; rank {preset.lora.rank}, blocks {blocks}, "
        f"{'bfloat16' if has_bf16(False) else 'float32'}, {arguments.clock} seconds\n"
    )
    steps = {
        (items, after): stepper(base, preset, batch_of([pair] * items), after=after)
        for items in arguments.items
        for after in (False, True)
    }
    losses = {place: [step()] for place, step in steps.items()}  # the first one allocates
    seconds: dict[tuple[int, bool], list[float]] = {place: [] for place in steps}
    for _ in range(arguments.rounds):
        for place, step in steps.items():
            took, loss = timed(CPU, step)
            seconds[place].append(took)
            losses[place].append(loss)
    print("| pairs a batch | | s a step | least, most | steps/s | pairs/s | times before | loss off by |")
    print("|---|---|---|---|---|---|---|---|")
    for (items, after), took in seconds.items():
        middle, before = statistics.median(took), statistics.median(seconds[items, False])
        off = max(abs(a - b) for a, b in zip(losses[items, after], losses[items, False], strict=True))
        print(
            f"| {items} | {'after' if after else 'before'} | {middle:.3f} | {min(took):.3f}, {max(took):.3f} "
            f"| {1 / middle:.2f} | {items / middle:.2f} | {before / middle:.2f} | {off:.1e} |"
        )


if __name__ == "__main__":
    main()
