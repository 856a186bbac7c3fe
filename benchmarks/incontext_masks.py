"""How much of the old lips survives under each mask, and an adapter under isolated and under open attention.

    python benchmarks/incontext_masks.py --base BASE [--count 14] [--preset tiny] --out DIR [--look]
    python benchmarks/incontext_masks.py --base BASE --adapter A --pairs PAIRS --dubs 21 --out DIR

Embedded world. Masks: drawn people whom the base never met speak two languages; either half is re-spoken with its
translation as the data engine does it, under each definition of the mask, from the same noise. *Everything* remakes the
half's whole picture, which is the least that can survive (speech and silence stay where they were); *nothing* is the
base's resynthesis, the most. Old motion is the correlation of the mouth's opening, frame by frame, with the source's.
Green (JUST-DUB-IT, B.2): the same with the lips painted over; how green they still are, 100 % where nothing is remade
and 0 % as in the clean clip's resynthesis.

Attention: held-out talkers dubbed by one adapter as it was trained, and with attention between modalities open
(``masks.av: none``), as ``incontext_proof.py`` dubs and judges. DIR of that benchmark may be given: its dubs are found.
"""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from diflow_bench import introduce
from diflow_evaluation import shown
from dubflow.atomic import write_json, write_text
from dubflow.config import load_preset
from dubflow.dubbing.stitching import resampled
from dubflow.errors import BadInput
from dubflow.faces.landmarks import MediaPipeLandmarker
from dubflow.incontext.backbone.audio import encode_audio
from dubflow.incontext.backbone.memory import MemorySettings, arrange
from dubflow.incontext.backbone.named import open_backbone
from dubflow.incontext.backbone.parts import Backbone
from dubflow.incontext.backbone.video import decode_video, encode_video
from dubflow.incontext.inference.sampling import ClipLatents
from dubflow.incontext.pairs.engine_parts import HALVES, Half, Split, SwitchingClip
from dubflow.incontext.pairs.engine_passes import guided_texts, joined, passes_of
from dubflow.incontext.pairs.engine_settings import SynthesisSettings
from dubflow.incontext.pairs.fine_mask import MaskSettings, latent_lips, within
from dubflow.incontext.pairs.inpainting import Remade, inpaint_latents, sound_of
from dubflow.incontext.pairs.lip_mask import Mask, lip_mask
from dubflow.incontext.pairs.prompts.structure import Prompt
from dubflow.incontext.pairs.splitting import SilenceSplitter, SplitSettings
from dubflow.incontext.pretraining.arrays import FPS
from dubflow.judging.correlation import correlation
from dubflow.judging.phone_judge.recogniser import PhoneRecogniser
from dubflow.judging.recogniser import SAMPLE_RATE
from dubflow.progress import reporting
from dubflow.training.seeds import seed_of
from incontext_base import switches
from incontext_bench import (
    Frames,
    Material,
    Piece,
    Wanted,
    as_json,
    drawn,
    grid,
    mean_of,
    opening_of,
    percent,
    planned,
    sheet,
    synthesis,
)
from incontext_proof import FULL, as_report, compared, dubbed, figures, main_table, of_the_world, talks

MASKS = ("fine", "content", "naive")
EVERYTHING, NOTHING = "everything", "nothing"
WAYS = (*MASKS, EVERYTHING, NOTHING)
OPEN = "open attention"
_GREEN = (0, 200, 0)
_CARRIED = 0.1
"""Autoencoders that carry less of the green than this (it is 0.8 in the pixels) cannot be asked where it went."""


@dataclass
class Found:
    """What was measured under one way of masking: a number a half."""

    share: list[float] = field(default_factory=list)
    survives: list[float] = field(default_factory=list)
    green: list[float] = field(default_factory=list)
    unseen: int = 0


@dataclass(frozen=True, eq=False)
class Cut:
    """A clip ready to be re-spoken."""

    prompt: Prompt
    piece: Piece
    split: Split
    lips: tuple[Mask, Mask]


def cut(prompt: Prompt, piece: Piece, splitter: SilenceSplitter, settings: SynthesisSettings) -> Cut:
    """Where its halves are and where the lips are in them.

    Raises:
        BadInput: what splitting says, ``incontext.lips_unseen``, ``benchmark.no_face``.
    """
    split = splitter.split(prompt, SwitchingClip(piece.frames, piece.sound, SAMPLE_RATE))
    tracks = MediaPipeLandmarker().landmarks(piece.frames)
    if not tracks.tracks:
        raise BadInput("benchmark.no_face", "No face was found.", "Take another clip.")
    height, width = piece.frames.shape[1:3]
    first, second = (lip_mask(tracks.main, height, width, split.of(half), settings.lips).mask for half in HALVES)
    return Cut(prompt, piece, split, (first, second))


def remade(net: Backbone, frames: Frames, one: Cut, half: Half, way: str, settings: MaskSettings) -> Tensor:
    """Latents that are made anew, ``[F', H', W']``."""
    shape = net.geometry.latent_shape(*frames.shape[:3])
    if way == NOTHING:
        return torch.zeros(shape, dtype=torch.bool, device=net.device)
    if way == EVERYTHING:
        lips = torch.ones(shape, dtype=torch.bool, device=net.device)
    else:
        lips = latent_lips(net, frames, one.lips[half], settings.model_copy(update={"definition": way}))
    return within(lips, one.split.of(half), net.geometry, settings.beyond)


def respoken(
    net: Backbone, frames: Frames, one: Cut, half: Half, settings: SynthesisSettings, ways: Sequence[str], seed: int
) -> tuple[dict[str, Frames], dict[str, Tensor]]:
    """The picture of the clip under each way, and its mask; all from the same noise."""
    masks = {way: remade(net, frames, one, half, way, settings.mask) for way in ways}
    tokens = net.geometry.audio_tokens(Fraction(len(frames), FPS))
    sound = resampled(one.piece.sound, SAMPLE_RATE, net.geometry.sample_rate)
    known = ClipLatents(encode_video(net, frames)[None], encode_audio(net, sound, tokens)[None])
    said = next(found for found in passes_of(one.prompt, settings, seed) if found.half == half)
    (text,) = guided_texts(net, [said], settings)
    made: dict[str, Frames] = {}
    asked = [way for way in ways if way != NOTHING]
    for start in range(0, len(asked), settings.batch):
        some = asked[start : start + settings.batch]
        heard = sound_of(net, one.split.of(half), tokens, FPS)
        found = inpaint_latents(
            net,
            ClipLatents(known.video.expand(len(some), -1, -1, -1, -1), known.audio.expand(len(some), -1, -1)),
            Remade(torch.stack([masks[way] for way in some]), heard.expand(len(some), -1)),
            joined([text] * len(some)),
            settings.sampling,
            [said.seed] * len(some),
            hold=settings.hold,
        )
        made |= {way: decode_video(net, found.video[place]) for place, way in enumerate(some)}
    if NOTHING in ways:
        made[NOTHING] = decode_video(net, known.video[0])
    return made, masks


def greenness(frames: Frames, lips: Mask) -> float:
    """How much greener than red and blue the pixels of ``lips`` are, 0 to 1."""
    red, green, blue = (frames[..., channel].astype(np.float64)[lips].mean() for channel in range(3))
    return float(green - (red + blue) / 2) / 255


def measure(
    net: Backbone, one: Cut, settings: SynthesisSettings, seed: int, found: Mapping[str, Found]
) -> list[tuple[str, Piece]]:
    """Both halves under every way; what was seen, for a sheet."""
    rows = [("source", one.piece)]
    for half in HALVES:
        span, lips = one.split.of(half), one.lips[half]
        inside = slice(span.start, span.stop)
        true = opening_of(one.piece.frames[inside])
        made, masks = respoken(net, one.piece.frames, one, half, settings, WAYS, seed)
        painted = np.where(lips[..., None], np.uint8(_GREEN), one.piece.frames)
        green, _ = respoken(net, painted, one, half, settings, WAYS, seed)
        most, least = greenness(green[NOTHING], lips), greenness(made[NOTHING], lips)
        for way in WAYS:
            held = found[way]
            held.share.append(float(masks[way][_latents(net, inside)].float().mean()))
            if most - least > _CARRIED:
                held.green.append((greenness(green[way], lips) - least) / (most - least))
            opened = opening_of(made[way][inside])
            alike = None if opened is None or true is None else _alike(true, opened)
            if alike is None:
                held.unseen += 1
            else:
                held.survives.append(alike)
            rows += [
                (f"half {half + 1}, {way}", Piece(made[way], one.piece.sound)),
                (f"half {half + 1}, {way}, painted", Piece(green[way], one.piece.sound)),
            ]
    return rows


def _latents(net: Backbone, inside: slice) -> slice:
    """Latent frames of a half."""
    size = net.geometry.temporal
    return slice(-(-inside.start // size), -(-(inside.stop - 1) // size) + 1)


def _alike(first: Any, second: Any) -> float | None:
    both = np.isfinite(first) & np.isfinite(second)
    return correlation(first[both], second[both]) if both.sum() >= len(first) / 2 else None


def masks_table(found: Mapping[str, Found]) -> str:
    """A row a way."""
    rows = []
    for way, one in found.items():
        survives, green, share = (mean_of(values) for values in (one.survives, one.green, one.share))
        rows.append(
            [
                way,
                percent(share),
                shown(survives),
                percent(green),
                str(len(one.share)),
                str(len(one.green)),
                str(one.unseen),
            ]
        )
    return grid(
        ["remade", "of the half's latents", "old motion, r", "green left", "halves", "green asked of", "no face seen"],
        rows,
    )


def masks(args: argparse.Namespace) -> tuple[str, dict[str, Any]]:
    """The first part."""
    net = arrange(open_backbone(args.base), MemorySettings())
    material = Material.of(args.base)
    known = material.settings
    settings = synthesis(args.preset, known, {"steps": args.steps, "augment": False})
    splitter = SilenceSplitter(load_preset(args.preset, SplitSettings.section, SplitSettings))

    def held(variant: str) -> bool:
        return variant in known.held_out_voices

    each = -(-args.count // len(known.languages))
    wanted = Wanted("language_switch", each, known.languages, held, material.commands, known.size, unheard=False)
    rows = drawn(args.out / "switches", planned(wanted, PhoneRecogniser.open(), seed=70_001)[: args.count], "switches")
    prompts, refused = switches(rows, args.out / "switches")
    left = Counter({"no prompt can tell its times": refused} if refused else {})
    found = {way: Found() for way in WAYS}
    with reporting("re-speak", len(prompts), "clips") as progress:
        for place, (prompt, piece) in enumerate(prompts):
            try:
                one = cut(prompt, piece, splitter, settings)
                seen = measure(net, one, settings, seed_of("masks", place), found)
            except BadInput as error:
                left[error.code] += 1
            else:
                if args.look:
                    sheet(args.out / "look" / f"masks-{place:02d}.png", seen, shots=12)
            progress.advance()
    out = ", ".join(f"{count} {reason}" for reason, count in left.items()) or "none"
    text = f"{len(prompts)} clips, {settings.steps} steps, threshold {settings.mask.threshold:g}; left out: {out}"
    report = {
        way: {
            "share": as_json(mean_of(one.share)),
            "old_motion": as_json(mean_of(one.survives)),
            "green": as_json(mean_of(one.green)),
            "unseen": one.unseen,
        }
        for way, one in found.items()
    }
    return f"{text}\n\n{masks_table(found)}", {"masks": report, "left_out": dict(left)}


def attention(args: argparse.Namespace) -> tuple[str, dict[str, Any]]:
    """The second part."""
    benchmark, found = talks(args.out, args.base, args.pairs, args.dubs, args.hard)
    systems = [
        dubbed(FULL, benchmark, args.out, args.base, args.adapter, args.dub_preset),
        dubbed(OPEN, benchmark, args.out, args.base, args.adapter, args.dub_preset, changes={"masks": {"av": "none"}}),
    ]
    lines = figures(of_the_world(found, systems, args.out), [])
    text = f"{main_table(lines, systems)}\n\n{compared(lines, systems[0], systems[1:])}"
    return text, {"attention": as_report(lines, systems)}


def main() -> None:
    """Measure, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--base", type=Path, required=True)
    parser.add_argument("--count", type=int, default=14, help="Clips to re-speak, two halves each; 0: none.")
    parser.add_argument("--preset", default="tiny", help="Whose steps, masks and cuts.")
    parser.add_argument("--steps", type=int, default=None)
    parser.add_argument("--adapter", type=Path, default=None)
    parser.add_argument("--pairs", type=Path, default=None)
    parser.add_argument("--dubs", type=int, default=42, help="Plain clips to dub, as --count of the proof.")
    parser.add_argument("--hard", type=int, default=8, help="As the proof's.")
    parser.add_argument("--dub-preset", default=None)
    parser.add_argument("--threads", type=int, default=None)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--look", action="store_true")
    args = parser.parse_args()
    if args.threads:
        torch.set_num_threads(args.threads)
    introduce(torch.device("cuda" if torch.cuda.is_available() else "cpu"))
    parts, report = ["embedded world"], {"world": "embedded"}
    if args.count:
        text, measured = masks(args)
        parts.append(text)
        report |= measured
    if args.adapter is not None:
        text, measured = attention(args)
        parts.append(text)
        report |= measured
    text = "\n\n".join(parts)
    print(text)
    write_text(args.out / "masks.md", text + "\n")
    write_json(args.out / "masks.json", report)


if __name__ == "__main__":
    main()
