"""Training steps a second of both stages, and the share of the device's peak that they reach.

    python benchmarks/diflow_training_speed.py [--preset tiny paper] [--stage tts dubber] [--device cpu] [--threads 2]
        [--items 16] [--frames 75] [--steps 8] [--precision fp32|bf16] [--clock wall|processor]

What is measured is what trains: the modules of ``dubflow.diflow.training`` with their losses (Eq. 9, Eq. 7), backward,
clipping and AdamW, on random clips of equal length; reading data, logging and checkpoints are left out. In stage 2 what
the teacher says of a clip is remembered from its first time on, as in training. Floating-point operations are counted
by PyTorch over one step forwards and backwards (matrix products, convolutions and attention); the peak is the best that
one matrix product reaches here, in the same precision. Figures are medians over the steps.
"""

from __future__ import annotations

import argparse
import statistics
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from diflow_bench import CLOCKS, drawn_clips, gemm_peak, introduce, timed, use_clock
from dubflow.diflow.flow.noise import generators
from dubflow.diflow.nets.dubber import DubberNetwork
from dubflow.diflow.nets.settings import PRESETS, NetSettings
from dubflow.diflow.nets.tts import TtsNetwork
from dubflow.diflow.training.batches import DubbingBatch, SpeechBatch
from dubflow.diflow.training.modules import DubberModule, StageModule, TtsModule
from dubflow.diflow.training.settings import DubberTraining, TtsTraining
from dubflow.speech.durations import frames_to_tokens


def batches(frames: Sequence[int], settings: NetSettings, device: torch.device) -> DubbingBatch:
    """Random clips of ``frames`` frames whose phonemes last two frames each, the last one perhaps three."""
    text, picture, speaker = drawn_clips(frames, settings, device)
    noise, books, longest = torch.Generator().manual_seed(1), settings.books, frames_to_tokens(max(frames))
    lengths = torch.tensor([frames_to_tokens(count) for count in frames])
    inside = (torch.arange(longest) < lengths.unsqueeze(-1)).unsqueeze(1)

    def codes(count: int) -> Tensor:
        drawn = torch.randint(0, books.codes, (len(frames), count, longest), generator=noise)
        return torch.where(inside, drawn, books.vocabulary.pad).to(device)

    def durations(totals: Sequence[int]) -> Tensor:
        whole = torch.zeros_like(text.phonemes)
        for item, (total, count) in enumerate(zip(totals, text.lengths.tolist(), strict=True)):
            edges = torch.linspace(0, total, count + 1).round().long()
            whole[item, :count] = edges.diff()
        return whole

    speech = SpeechBatch(
        number=0,
        clips=tuple(f"drawn {item}" for item in range(len(frames))),
        places=tuple(range(len(frames))),
        text=text,
        token_durations=durations(lengths.tolist()),
        lengths=lengths.to(device),
        content=codes(books.content),
        flow=codes(books.flow),
        speaker=speaker,
    )
    return DubbingBatch(speech, picture, durations(frames))


def stage_module(stage: str, settings: NetSettings, device: torch.device) -> StageModule:
    """The module that trains a stage, and its optimiser's settings."""
    torch.manual_seed(0)
    teacher = TtsNetwork(settings)
    if stage == "tts":
        return TtsModule(teacher, TtsTraining()).to(device).train()
    network = DubberNetwork(settings)
    network.adopt(teacher)
    return DubberModule(network, DubberTraining(), teacher.to(device)).to(device).train()


def stepping(module: StageModule, batch: Any, device: torch.device, half: bool) -> Callable[[], None]:
    """One step of training, as Lightning takes it."""
    adam = module.configure_optimizers()["optimizer"]
    places = module.speech(batch).places

    def step() -> None:
        with torch.autocast(device.type, torch.bfloat16, enabled=half):
            loss = module.loss(batch, generators(places)).total
        adam.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(module.network.parameters(), module.settings.clip_norm)
        adam.step()

    return step


def operations(module: StageModule, batch: Any) -> int:
    """Floating-point operations of one loss and its gradients; attention is counted as the products it is."""
    with FlopCounterMode(display=False) as counter, sdpa_kernel(SDPBackend.MATH):
        module.loss(batch, generators(module.speech(batch).places)).total.backward()
    return int(counter.get_total_flops())


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--preset", nargs="+", choices=sorted(PRESETS), default=["tiny", "paper"])
    parser.add_argument("--stage", nargs="+", choices=("tts", "dubber"), default=["tts", "dubber"])
    parser.add_argument("--device", type=torch.device, default=torch.device("cpu"))
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--items", type=int, nargs="+", default=[16], help="Clips of a batch; one for each preset.")
    parser.add_argument("--frames", type=int, default=75)
    parser.add_argument("--steps", type=int, default=8)
    parser.add_argument("--clock", choices=CLOCKS, default="wall")
    parser.add_argument("--precision", choices=("fp32", "bf16"), help="By default bf16 on a GPU, fp32 elsewhere.")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    use_clock(options.clock)
    device = options.device
    half = (options.precision or ("bf16" if device.type == "cuda" else "fp32")) == "bf16"
    introduce(device)
    peak = gemm_peak(device, torch.bfloat16 if half else torch.float32, functional.linear)
    print(f"Peak of one matrix product, {'bf16' if half else 'fp32'}: {peak / 1e9:.0f} GFLOP/s\n")
    print("| preset | stage | clips a batch | steps/s | clips/s | GFLOP a step | GFLOP/s | share of the peak |")
    print("|---|---|---|---|---|---|---|---|", flush=True)
    items = options.items * len(options.preset) if len(options.items) == 1 else options.items
    for preset, count in zip(options.preset, items, strict=True):
        for stage in options.stage:
            settings = PRESETS[preset]
            both = batches([options.frames] * count, settings, device)
            module = stage_module(stage, settings, device)
            batch = both.speech if stage == "tts" else both
            step = stepping(module, batch, device, half)
            for _ in range(2):  # the first steps build kernels, the optimiser's state and the teacher's memory
                step()
            seconds = statistics.median(timed(device, step)[0] for _ in range(options.steps))
            work = operations(module, batch)
            print(
                f"| {preset} | {stage} | {count} | {1 / seconds:.3g} | {count / seconds:.3g} | {work / 1e9:.1f} "
                f"| {work / seconds / 1e9:.0f} | {100 * work / seconds / peak:.0f} % |",
                flush=True,
            )


if __name__ == "__main__":
    main()
