"""Real-time factor of dubbing over the number of function evaluations, ours against the equations written plainly.

    python benchmarks/diflow_rtf.py [--preset paper] [--device cpu] [--threads 2] [--nfe 1 2 4 8 16 32 64 128]
        [--repeats 3] [--frames 75] [--batch 8] [--batch-nfe 16] [--plain-up-to 128] [--clock wall|processor]
        [--codec DIR] [--no-video]

Both have the same random weights and seeds and run in turn; figures are medians over the repeats (of one run beyond
4 evaluations). Beyond --plain-up-to, plain is extrapolated: each of its steps costs the same. On a machine that others
use, `--threads 1 --clock processor` tells what the work itself takes.
Plain is ``plain_diflow``: everything again at each step, all logits, padding computed. Seconds are those of a clip:

- plan: phoneme encoder, FaPro, Synchronizer with its search, CCTA;
- denoiser: all that depends on the step (for ours also preparing the condition);
- codec: tokens to waveform; WORLD on one core, a codec fitted here to a minute of drawn talkers, or that of --codec;
- RTF: the three over the clip's length, as the paper's Table 4 counts (it leaves the video's encoders out);
- RTF with video: landmarks, crops and features of a drawn clip too (MediaPipe and the embedded extractors).

"rounded" is our denoiser with its matrix products in bfloat16. "same codes" compares with our own at full precision:
plain may differ where a uniform number falls within rounding of a boundary.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from diflow_bench import CLOCKS, Clock, drawn_clips, gemm_peak, introduce, stir, timed, use_clock
from dubflow.config import load_preset
from dubflow.corpora.settings import PrepareSettings
from dubflow.corpora.transform import build_tools
from dubflow.diflow.flow.samplers import SamplerSettings, sample
from dubflow.diflow.nets import fast
from dubflow.diflow.nets.dubber import DubberNetwork
from dubflow.diflow.nets.fast import Precision
from dubflow.diflow.nets.settings import PRESETS
from dubflow.faces.crops import crop_face, crop_lips
from dubflow.media.clip import Clip
from dubflow.media.decode import read_clip
from dubflow.progress import Silent
from dubflow.speech.codecs import Codec, Tokens
from dubflow.speech.codecs.stored import load_codec
from dubflow.speech.codecs.world.fitting import WorldSettings, fit_world
from dubflow.speech.durations import FRAME_RATE, frames_to_tokens
from dubflow.talkers.render import render_corpus
from dubflow.talkers.settings import TalkerSettings
from plain_diflow import PlainDubber

MIXED = (38, 50, 61, 75, 75, 88, 104, 130)
REPEATED_UP_TO = 4


HEAD = (
    "| NFE | | plan s | denoiser s | codec s | RTF | RTF with video | times plain | denoiser alone | same codes |\n"
    "|---|---|---|---|---|---|---|---|---|---|"
)


@dataclass(frozen=True)
class Run:
    """One sample: seconds of its two parts, and its codes ``[B, Q, L]``."""

    plan: float
    denoiser: float
    codes: Tensor


@dataclass
class Bench:
    """A network and a batch of clips of ``frames`` frames."""

    network: DubberNetwork
    frames: Sequence[int]
    device: torch.device

    def __post_init__(self) -> None:
        self.clips = drawn_clips(self.frames, self.network.settings, self.device)
        self.lengths = [frames_to_tokens(count) for count in self.frames]

    def _sampled(self, denoiser: object, steps: int) -> Tensor:
        settings, books = SamplerSettings(steps=steps), self.network.settings.books
        seeds = range(len(self.frames))
        return sample(denoiser, self.lengths, seeds, settings, books=books.flow, device=self.device)

    def ours(self, steps: int, precision: Precision = "weights") -> Run:
        """Plan once, bind, sample."""
        text, picture, speaker = self.clips
        planned, plan = timed(self.device, lambda: self.network.plan(text, picture))

        def flow() -> Tensor:
            bound = self.network.denoiser.bound(self.network.context(plan, speaker), precision)
            return self._sampled(bound, steps)

        return Run(planned, *timed(self.device, flow))

    def plain(self, steps: int) -> Run:
        """Everything at each step."""
        plan, clips = Clock(self.device), PlainDubber(self.network, *self.clips)

        def denoiser(tokens: Tensor, t: Tensor) -> Tensor:
            return clips.denoise(tokens, t, *plan(clips.condition))

        whole, codes = timed(self.device, lambda: self._sampled(denoiser, steps))
        return Run(plan.seconds, whole - plan.seconds, codes)


def median(runs: Sequence[Run]) -> tuple[float, float]:
    """Median seconds of plan and denoiser."""
    return statistics.median(run.plan for run in runs), statistics.median(run.denoiser for run in runs)


def same(first: Tensor, second: Tensor) -> float:
    """Share of equal codes."""
    return float((first == second).double().mean())


class Table:
    """Rows of one bench, printed as they come.

    Args:
        codec, video: seconds of the other parts for all clips of the bench.
        plain_up_to: most evaluations at which plain is run.
    """

    def __init__(self, bench: Bench, codec: float, video: float, plain_up_to: int) -> None:
        self.bench, self.codec, self.video, self.plain_up_to = bench, codec, video, plain_up_to
        self.length = sum(bench.frames) / FRAME_RATE
        self.plain: tuple[int, float, float] | None = None
        print(HEAD, flush=True)

    def measure(self, steps: int, repeats: int) -> None:
        """Run all in turn and print their rows."""
        plain, ours, rounded = [], [], []
        for _ in range(repeats if steps <= REPEATED_UP_TO else 1):
            if steps <= self.plain_up_to:
                plain.append(self.bench.plain(steps))
            ours.append(self.bench.ours(steps))
            rounded.append(self.bench.ours(steps, "bfloat16"))
        note, codes = "", "–"
        if plain:
            self.plain = (steps, *median(plain))
            codes = f"{same(plain[0].codes, ours[0].codes):.4f}"
        else:
            note = ", extrapolated"
        assert self.plain is not None
        known, *seconds = self.plain
        base = [part * steps / known for part in seconds]
        self._row(steps, f"plain{note}", base, base, codes)
        self._row(steps, "ours", median(ours), base, "1.0000")
        self._row(steps, "ours, rounded", median(rounded), base, f"{same(rounded[0].codes, ours[0].codes):.4f}")

    def _row(self, steps: int, name: str, own: Sequence[float], base: Sequence[float], codes: str) -> None:
        (plan, denoiser), whole = own, sum(own) + self.codec
        end = f"{(whole + self.video) / self.length:.2f}" if self.video else "–"
        print(
            f"| {steps} | {name} | {plan:.3f} | {denoiser:.3f} | {self.codec:.3f} | {whole / self.length:.3f} | {end} "
            f"| {(sum(base) + self.codec) / whole:.2f} | {base[1] / denoiser:.2f} | {codes} |",
            flush=True,
        )


def work_of(bench: Bench, steps: int) -> float:
    """Floating-point operations of our denoiser's lines and attention in one sample."""
    done, honest_line = [0.0], fast.line
    honest_attend = fast.functional.scaled_dot_product_attention

    def line(x: Tensor, weight: Tensor, bias: Tensor, **options: bool) -> Tensor:
        done[0] += 2 * x.shape[0] * weight.numel()
        return honest_line(x, weight, bias, **options)

    def attend(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        done[0] += 4 * query.numel() * key.shape[-2]
        return honest_attend(query, key, value)

    text, picture, speaker = bench.clips
    context = bench.network.context(bench.network.plan(text, picture), speaker)
    fast.line, fast.functional.scaled_dot_product_attention = line, attend
    try:
        bench._sampled(bench.network.denoiser.bound(context), steps)
    finally:
        fast.line, fast.functional.scaled_dot_product_attention = honest_line, honest_attend
    return done[0]


def drawn_talkers(folder: Path) -> list[Clip]:
    """A minute of drawn people who speak."""
    settings = TalkerSettings(mix={"plain": 1.0})
    render_corpus(folder, identities=4, clips=5, languages=("en",), seed=0, settings=settings, progress=Silent())
    return [read_clip(path, sample_rate=16_000) for path in sorted(folder.rglob("*.mp4"))]


def world_codec(clips: Sequence[Clip]) -> Codec:
    """A WORLD codec, small and quickly fitted; how fast it decodes does not depend on that."""
    speech = [(str(number % 4), clip.waveform) for number, clip in enumerate(clips) if clip.waveform is not None]
    return fit_world(speech, seed=0, settings=WorldSettings(classes=8, rank=4, iterations=2), progress=Silent())


def decode_seconds(codec: Codec, speaker: np.ndarray, lengths: Sequence[int], device: torch.device) -> float:
    """Median wall seconds to decode random tokens of all clips of a batch, one after the other."""
    rng = np.random.default_rng(0)
    batch = [
        Tokens(
            **{book: rng.integers(0, 1024, (count, length)) for book, count in Tokens.BOOKS.items()}, speaker=speaker
        )
        for length in lengths
    ]
    return statistics.median(timed(device, lambda: [codec.decode(one) for one in batch])[0] for _ in range(3))


def video_seconds(clips: Sequence[Clip]) -> float:
    """Median wall seconds a second of clip for landmarks, crops and features, as ``dubflow prepare`` does them."""
    settings = load_preset("tiny", "prepare", PrepareSettings)
    tools = build_tools(settings, None)

    def features(clip: Clip) -> None:
        main = tools.landmarker.landmarks(clip.frames).main
        tools.lip.extract(crop_lips(clip.frames, main, settings.lip_size))
        tools.face.extract(crop_face(clip.frames, main, settings.face_size))

    cpu = torch.device("cpu")
    rates = [timed(cpu, lambda clip=clip: features(clip))[0] * FRAME_RATE / len(clip.frames) for clip in clips[:4]]
    return statistics.median(rates)


@torch.no_grad()
def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--preset", choices=sorted(PRESETS), default="paper")
    parser.add_argument("--device", type=torch.device, default=torch.device("cpu"))
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--nfe", type=int, nargs="+", default=[1, 2, 4, 8, 16, 32, 64, 128])
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--frames", type=int, default=75)
    parser.add_argument("--batch", type=int, default=len(MIXED), help="Clips of mixed lengths.")
    parser.add_argument("--batch-nfe", type=int, default=16)
    parser.add_argument("--plain-up-to", type=int, default=128)
    parser.add_argument("--clock", choices=CLOCKS, default="wall")
    parser.add_argument("--codec", type=Path, help="A codec folder, in place of one fitted here.")
    parser.add_argument("--no-video", action="store_true")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    use_clock(options.clock)
    device = options.device
    introduce(device)
    network = DubberNetwork(PRESETS[options.preset]).eval()
    stir(network)
    network = network.to(device)

    clips = []
    if not (options.codec and options.no_video):
        with tempfile.TemporaryDirectory() as name:
            clips = drawn_talkers(Path(name))
    codec = load_codec(options.codec) if options.codec else world_codec(clips)
    hum = np.sin(np.arange(16_000) * 0.07).astype(np.float32)
    speaker = codec.encode(0.3 * hum).speaker
    video = 0.0 if options.no_video else video_seconds(clips)

    one = Bench(network, (options.frames,), device)
    tokens, seen = torch.randint(0, 1025, (1, 4, one.lengths[0]), device=device), PlainDubber(network, *one.clips)
    t = torch.tensor([0.4], device=device)
    text, picture, voice = one.clips
    steps = network.denoiser.bound(network.context(network.plan(text, picture), voice)).begin(t)
    everywhere = torch.ones_like(tokens, dtype=torch.bool)
    wanted = seen(tokens, t).flatten(0, 2)
    apart = float((steps(0, tokens, everywhere) - wanted).abs().max() / wanted.std())
    print(f"One step, all logits, ours and plain: {apart:.1e} of their deviation apart at most.\n")

    one.ours(1), one.plain(1), one.ours(1, "bfloat16")  # first calls build kernels
    decoding = decode_seconds(codec, speaker, one.lengths, device)
    table = Table(one, decoding, video * options.frames / FRAME_RATE, options.plain_up_to)
    for count in options.nfe:
        table.measure(count, options.repeats)

    if options.batch:
        mixed = Bench(network, MIXED[: options.batch], device)
        total = sum(mixed.frames) / FRAME_RATE
        print(f"\nA batch of {len(mixed.frames)} clips of {mixed.frames} frames, {total:.1f} s; seconds of all:\n")
        decoding = decode_seconds(codec, speaker, mixed.lengths, device)
        Table(mixed, decoding, video * total, options.batch_nfe).measure(options.batch_nfe, 1)

    if not options.batch:
        return
    peak = gemm_peak(device, torch.float32, fast.line)
    seconds = statistics.median(one.ours(8).denoiser for _ in range(3))
    work = work_of(one, 8)
    print(
        f"\nNFE 8, our denoiser: {work / 1e9:.0f} GFLOP in {seconds:.2f} s, {work / seconds / 1e9:.0f} GFLOP/s, "
        f"{100 * work / seconds / peak:.0f} % of the {peak / 1e9:.0f} that one matrix product reaches here at best."
    )


if __name__ == "__main__":
    main()
