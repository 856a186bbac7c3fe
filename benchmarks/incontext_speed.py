"""Steps a second of the in-context model's sampling, and what each saving brings, measured in turns in one run.

    python benchmarks/incontext_speed.py [--version 2.0] [--layers 4] [--heads 8] [--head-dim 32] [--width 256]
        [--height 160] [--frames 41] [--steps 4] [--rounds 5] [--device cpu] [--dtype fp32|bf16] [--compile]
        [--threads 2] [--clock wall|processor]

A transformer of LTX-2's structure with random weights; time does not hang on their values. The plain loop is what
public code does: diffusers' own attention under additive masks that are written out for every head, two passes for
guidance, rotary embeddings, projected text and the time embedding of every token anew at each step. Then one saving
after the other, each on top of those before; below them, where references look at references only, their keys and
values kept over the steps against computing them each time. ``off by`` is the greatest difference of the latents from
those of the first row of the same block, whose own values reach some units.
"""

from __future__ import annotations

import argparse
import statistics
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from fractions import Fraction
from typing import Any

import torch
from diffusers.models.transformers.transformer_ltx2 import LTX2AudioVideoAttnProcessor, LTX2PerturbedAttnProcessor
from torch import Tensor

from diflow_bench import CLOCKS, introduce, stir, timed, use_clock
from dubflow.incontext.backbone.building import build_backbone
from dubflow.incontext.backbone.parts import Backbone
from dubflow.incontext.backbone.settings import BackboneSettings
from dubflow.incontext.backbone.text import TextFeatures
from dubflow.incontext.backbone.tiny import tiny_settings
from dubflow.incontext.forward import Velocities, inputs
from dubflow.incontext.inference import sampling
from dubflow.incontext.inference.sampling import ClipLatents, GuidedText, dub_latents
from dubflow.incontext.inference.settings import InferenceSettings
from dubflow.incontext.masks import MaskScheme
from dubflow.incontext.tokens import ContextTokens

TEXT_TOKENS = 128
_MODULES = ("attn1", "audio_attn1", "attn2", "audio_attn2", "audio_to_video_attn", "video_to_audio_attn")


def base(args: argparse.Namespace) -> Backbone:
    """A backbone of tiny parts whose transformer has the sizes asked for."""
    settings = tiny_settings(args.version).model_dump()
    settings["transformer"] |= {
        "layers": args.layers, "heads": args.heads, "head_dim": args.head_dim, "audio_head_dim": args.head_dim // 2,
    }  # fmt: skip
    dtype = {"fp32": torch.float32, "bf16": torch.bfloat16}[args.dtype]
    built = build_backbone(BackboneSettings.model_validate(settings), dtype=dtype, with_text=False)
    stir(built.transformer)
    built.transformer.to(args.device)
    return built


@contextmanager
def public_attention(transformer: Any, video: slice, audio: slice) -> Iterator[None]:
    """diffusers' own processors, and masks that block hooks hand to them, minus infinity outside Eq. 3."""
    kind = LTX2PerturbedAttnProcessor if transformer.config.perturbed_attn else LTX2AudioVideoAttnProcessor
    before = [
        (module, module.processor)
        for block in transformer.transformer_blocks
        for module in (getattr(block, name) for name in _MODULES)
    ]
    for module, _ in before:
        module.set_processor(kind())
    known: dict[tuple[int, ...], Tensor] = {}

    def masked(_: Any, given: tuple[Any, ...], named: dict[str, Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
        hidden, sound = named["hidden_states"], named["audio_hidden_states"]
        shape = (hidden.shape[0], hidden.shape[1], sound.shape[1])
        if shape not in known:
            mask = hidden.new_full(shape, float("-inf"))
            mask[:, video, audio] = 0
            known[shape] = mask
        mask = known[shape]
        crossing = {"a2v_cross_attention_mask": mask, "v2a_cross_attention_mask": mask.transpose(1, 2).contiguous()}
        return given, named | crossing

    def plain_forward(net: Any, tokens: ContextTokens, text: TextFeatures, masks: MaskScheme) -> Velocities:
        picture, sound = net(**inputs(net, tokens, text), return_dict=False)
        return Velocities(picture[:, tokens.video.target], sound[:, tokens.audio.target])

    ours = sampling.forward
    hooks = [block.register_forward_pre_hook(masked, with_kwargs=True) for block in transformer.transformer_blocks]
    sampling.forward = plain_forward
    try:
        yield
    finally:
        sampling.forward = ours
        for hook in hooks:
            hook.remove()
        for module, processor in before:
            module.set_processor(processor)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--version", choices=("2.0", "2.3", "2.5"), default="2.0")
    for name, default in (("layers", 4), ("heads", 8), ("head-dim", 32), ("width", 256), ("height", 160),
                          ("frames", 41), ("steps", 4), ("rounds", 5), ("threads", 2)):  # fmt: skip
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--dtype", choices=("fp32", "bf16"), default="fp32")
    parser.add_argument("--compile", action="store_true")
    parser.add_argument("--clock", choices=tuple(CLOCKS), default="wall")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    use_clock(args.clock)
    device = torch.device(args.device)
    introduce(device)

    net = base(args)
    geometry = net.geometry
    shape = geometry.latent_shape(args.frames, args.height, args.width)
    sound = geometry.audio_tokens(Fraction(args.frames, 25))
    noise = torch.Generator().manual_seed(0)

    def drawn(*sizes: int) -> Tensor:
        return torch.randn(*sizes, generator=noise).to(device)

    source = ClipLatents(drawn(1, geometry.video_channels, *shape), drawn(1, sound, geometry.audio_channels))
    texts = [
        TextFeatures(
            drawn(1, TEXT_TOKENS, net.video_text_width),
            drawn(1, TEXT_TOKENS, net.audio_text_width),
            torch.ones(1, TEXT_TOKENS, dtype=torch.bool, device=device),
        )
        for _ in range(2)
    ]
    said = GuidedText(*texts)
    video = shape[0] * shape[1] * shape[2]
    parameters = sum(one.numel() for one in net.transformer.parameters())
    print(
        f"LTX-2 {args.version} structure, {args.layers} blocks of {args.heads} x {args.head_dim}, "
        f"{parameters / 1e6:.1f} M parameters, {args.dtype}; {2 * video} video and {2 * sound} audio tokens, guidance\n"
    )

    def sample(**changes: Any) -> Callable[[], ClipLatents]:
        plain = {"steps": args.steps, "reuse": False, "batch_guidance": False, "masks": {"compute": "masked"}}
        settings = InferenceSettings.model_validate(plain | changes)
        return lambda: dub_latents(net, source, said, settings, (1,))

    def public() -> ClipLatents:
        with public_attention(net.transformer, slice(0, video), slice(0, sound)):
            return sample()()

    sliced: dict[str, Any] = {"masks": {"compute": "sliced"}}
    batched = sliced | {"batch_guidance": True}
    alone = batched | {"masks": MaskScheme(self_attention="reference_isolated").model_dump()}
    rows = [
        ("plain loop (diffusers' attention, masks per head)", public),
        ("masks broadcast over heads", sample()),
        ("only the allowed block is computed", sample(**sliced)),
        ("guidance in one pass", sample(**batched)),
        ("constants once, two time embeddings", sample(**batched, reuse=True)),
    ]
    kept = [
        ("references among themselves, each step", sample(**alone, reuse=True)),
        ("their keys and values kept (exact)" if args.version == "2.0" else "kept (approximate on this base)",
         sample(**alone, reuse=True, reference_cache="exact" if args.version == "2.0" else "approximate")),
    ]  # fmt: skip
    table(rows, device, args)
    table(kept, device, args)
    if args.compile:
        # Last, and by itself: the blocks stay compiled.
        plain = sample(**batched, reuse=True)
        wanted = plain()
        seconds = [timed(device, plain)[0] for _ in range(args.rounds)]
        compiled = sample(**batched, reuse=True, compile=True)
        first, answer = timed(device, compiled)
        again = [timed(device, compiled)[0] for _ in range(args.rounds)]
        off = (answer.video - wanted.video).abs().max().item()
        before, after = statistics.median(seconds), statistics.median(again)
        print(
            f"torch.compile: {before / args.steps:.4f} s a step before, {after / args.steps:.4f} after "
            f"({before / after:.2f} times), {first - after:.1f} s to compile, off by {off:.1e}"
        )


def table(rows: list[tuple[str, Callable[[], ClipLatents]]], device: torch.device, args: argparse.Namespace) -> None:
    """Time the rows in turns, so that what else the machine does meets all of them, and print them."""
    answers = [work() for _, work in rows]
    seconds: list[list[float]] = [[] for _ in rows]
    for _ in range(args.rounds):
        for taken, (_, work) in zip(seconds, rows, strict=True):
            taken.append(timed(device, work)[0])
    medians = [statistics.median(one) for one in seconds]
    print("| what | s a step | steps/s | times the first | off by |\n|---|---|---|---|---|")
    for (name, _), median, answer in zip(rows, medians, answers, strict=True):
        off = max(
            float((answer.video - answers[0].video).abs().max()), float((answer.audio - answers[0].audio).abs().max())
        )
        step = median / args.steps
        print(f"| {name} | {step:.4f} | {1 / step:.2f} | {medians[0] / median:.2f} | {off:.1e} |")
    print(flush=True)


if __name__ == "__main__":
    main()
