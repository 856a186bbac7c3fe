"""Number of function evaluations against speed and quality of a trained dubber, as the paper's Table 4 has it.

    python benchmarks/diflow_nfe.py MODEL PREPARED [--nfe 1 2 4 8 16 32 64 128] [--clips 72] [--seeds 1]
        [--device cpu] [--threads 2] [--precision fp32|bf16] [--workers N]

MODEL is a stored model of stage 2, PREPARED a prepared set whose held-out clips (splits val and test) are GRID
commands. The clips are those of ``diflow_evaluation``: unknown speakers and sentences, the voice from another clip of
the speaker. RTF is wall time over the length of the sound, from texts and video features to the waveform: for one clip
at a time (the median over clips) and for all of them in batches. The video's encoders are left out, as in the paper.
With several seeds every clip is said several times and all are judged.
"""

from __future__ import annotations

import argparse
import statistics
from pathlib import Path

import numpy as np
import torch

from diflow_bench import introduce, timed
from diflow_evaluation import (
    COLUMNS,
    System,
    figure,
    headline,
    held_out,
    judge,
    originals,
    resynthesised,
    shown,
    silent_clips,
    word_errors,
)
from dubflow.diflow.flow.samplers import SamplerSettings
from dubflow.diflow.inference.clips import dub_clips
from dubflow.diflow.inference.items import SilentClip
from dubflow.diflow.inference.settings import InferenceSettings
from dubflow.diflow.inference.sound import waveform_of
from dubflow.diflow.nets.dubber import DubberNetwork
from dubflow.diflow.stored import load_model
from dubflow.speech.codecs import Codec
from dubflow.speech.durations import FRAME_RATE

FIGURES = {
    "edges within a frame of the true sound's": "edges within a frame",
    "own voice nearest (codec's vectors)": "own voice (codec)",
    "own voice nearest (frame books)": "own voice (books)",
    "F0 correlation": "F0 correlation",
    "MCD, dB": "MCD, dB",
}


def dubbed(
    network: DubberNetwork, codec: Codec, clips: list[SilentClip], settings: InferenceSettings
) -> list[np.ndarray]:
    """Waveforms of all clips."""
    answers = dub_clips(network, clips, settings)
    return [waveform_of(codec, answer.tokens, clip.frames) for clip, answer in zip(clips, answers, strict=True)]


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path)
    parser.add_argument("prepared", type=Path)
    parser.add_argument("--nfe", type=int, nargs="+", default=[1, 2, 4, 8, 16, 32, 64, 128])
    parser.add_argument("--clips", type=int, default=72)
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--timed", type=int, default=12, help="Clips that are timed one at a time.")
    parser.add_argument("--device", type=torch.device, default=torch.device("cpu"))
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--precision", choices=("fp32", "bf16"), default="fp32")
    parser.add_argument("--workers", type=int)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    device = options.device
    introduce(device)
    stored = load_model(options.model)
    network, codec = stored.dubber.to(device), stored.codec()
    held = held_out(options.prepared, most=options.clips)
    clips = silent_clips(held)
    total = sum(clip.frames for clip in clips) / FRAME_RATE

    systems, speeds = [originals(held), resynthesised(held, stored.codec_folder)], ["– | –", "– | –"]
    for nfe in options.nfe:
        runs, alone, together = [], [], []
        for seed in range(options.seeds):
            sampler = SamplerSettings(steps=nfe)
            settings = InferenceSettings(sampler=sampler, seed=seed, precision=options.precision)
            dubbed(network, codec, clips[:1], settings)  # the first call of a length builds kernels
            for clip in clips[: options.timed]:
                seconds, _ = timed(device, lambda clip=clip, s=settings: dubbed(network, codec, [clip], s))
                alone.append(seconds * FRAME_RATE / clip.frames)
            seconds, sounds = timed(device, lambda s=settings: dubbed(network, codec, clips, s))
            together.append(seconds / total)
            runs.append(sounds)
        for seed, sounds in enumerate(runs):
            systems.append(System(f"{nfe}, seed {seed}", sounds))
        speeds.append(f"{statistics.median(alone):.3f} | {statistics.median(together):.3f}")

    judge(held, systems, stored.codec_folder, workers=options.workers)
    print(headline(held, max(options.nfe)).replace(f"NFE {max(options.nfe)}, ", ""), end="\n\n")
    chosen = [column for column in COLUMNS if column.name in FIGURES]
    print("| NFE | RTF, one clip | RTF, batches | WER | " + " | ".join(FIGURES[c.name] for c in chosen) + " |")
    print("|---" * (4 + len(chosen)) + "|")
    rows = systems[:2]
    for number, nfe in enumerate(options.nfe):
        of_seeds = systems[2 + number * options.seeds : 2 + (number + 1) * options.seeds]
        rows.append(System(str(nfe), [], judged=[one for system in of_seeds for one in system.judged]))
    for system, speed in zip(rows, speeds, strict=True):
        cells = [shown(word_errors(system), 1, percent=True)]
        cells += [
            shown(figure(system, column), column.digits, percent=column.percent, clips=len(system.judged))
            for column in chosen
        ]
        print(f"| {system.name} | {speed} | " + " | ".join(cells) + " |", flush=True)


if __name__ == "__main__":
    main()
