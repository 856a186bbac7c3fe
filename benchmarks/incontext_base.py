"""What a base from nothing says, shows and switches, against what its own autoencoders and vocoder can carry.

    python benchmarks/incontext_base.py BASE [--count 24] [--switches 42] [--preset tiny] [--out DIR] [--look DIR]

BASE is ``RUN/model`` of ``dubflow train base``. Embedded world; every sentence is a GRID command that the base never
read in any language. Beside each clip that it makes from a prompt stands the true clip of the same sentence, drawn and
voiced by a person it never met (in a voice variant that it knows), through its own autoencoders and vocoder. Clips are
cut to the length that it was trained on. GRID's recogniser hears English, the phone recogniser all languages; nobody's
voice is one that this recogniser was trained on. Differences and intervals are by clip, bootstrap, 95 %.

Mouth and voice: share of clips whose mouth is within one frame of the voice; a clip without face or motion counts as a
miss. Switches: the silence between the languages, by level, against the times in the prompt; the language of a half is
right where its sound is nearer to its own text than to the translation.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from diflow_bench import introduce
from diflow_evaluation import shown
from dubflow.atomic import write_json, write_text
from dubflow.config import load_preset
from dubflow.corpora.manifest import ClipRow
from dubflow.dubbing.stitching import resampled
from dubflow.errors import BadInput
from dubflow.incontext.backbone.memory import MemorySettings, arrange
from dubflow.incontext.backbone.named import open_backbone
from dubflow.incontext.backbone.parts import Backbone
from dubflow.incontext.pairs.engine_parts import SwitchingClip
from dubflow.incontext.pairs.prompts.structure import Prompt
from dubflow.incontext.pairs.splitting import SilenceSplitter, SplitSettings
from dubflow.incontext.pairs.switching import BaseClips, save_clip
from dubflow.incontext.pretraining.arrays import FPS, most_frames
from dubflow.judging.phone_judge.recogniser import PhoneRecogniser
from dubflow.judging.recogniser import SAMPLE_RATE
from dubflow.talkers.performance import plan_of
from dubflow.talkers.scripts import GridCommand
from dubflow.training.seeds import seed_of
from incontext_bench import (
    Ears,
    Follows,
    Material,
    Piece,
    Wanted,
    as_json,
    drawn,
    fitted,
    follows,
    gap_of,
    grid,
    mean_of,
    one_sentence,
    percent,
    piece_of,
    planned,
    rate_of,
    resynthesised,
    sheet,
    speaker_of,
    synthesis,
)

GOALS = {"en": 0.05}
OTHER_GOAL = 0.10
FOLLOWING_GOAL = 0.90
LANDS_S = 0.3
SYSTEMS = BASE, BEST, TRUE = ("base", "true clips, resynthesised", "true clips")
_SPEAKS = 0.5
"""With more errors than this a resynthesis is no measure of anything: near it every difference is small."""


@dataclass(frozen=True, eq=False)
class Case:
    """A prompt, what the base made of it, the true clip through its autoencoders, and the true clip."""

    prompt: Prompt
    made: Piece
    best: Piece
    true: Piece

    def of(self, system: str) -> Piece:
        """The clip of one of :data:`SYSTEMS`."""
        return {BASE: self.made, BEST: self.best, TRUE: self.true}[system]


def cases_of(
    net: Backbone, maker: BaseClips, prompts: Sequence[tuple[Prompt, Piece]], keep: Path
) -> tuple[list[Case], dict[str, float]]:
    """Clips of all prompts, kept in a folder; and the seconds that a clip took to make."""
    seeds = [seed_of("benchmark", place) for place in range(len(prompts))]
    began = time.process_time(), time.perf_counter()
    made = maker.make([prompt for prompt, _ in prompts], seeds)
    spent = (time.process_time() - began[0], time.perf_counter() - began[1])
    for place, clip in enumerate(made):
        save_clip(keep, f"{place:03d}", clip)
    cases = [
        Case(prompt, piece_of_made(clip), resynthesised(net, true), true)
        for (prompt, true), clip in zip(prompts, made, strict=True)
    ]
    return cases, {name: one / len(made) for name, one in zip(("processor", "clock"), spent, strict=True)}


def piece_of_made(clip: SwitchingClip) -> Piece:
    """As judges take it."""
    return Piece(clip.frames, fitted(resampled(clip.waveform, clip.sample_rate, SAMPLE_RATE), len(clip.frames)))


def sentences(rows: Sequence[ClipRow], root: Path, frames: int) -> list[tuple[Prompt, Piece]]:
    """Prompts of one sentence with their true clips."""
    found = []
    for row in rows:
        true = piece_of(root / row.path, frames)
        found.append((one_sentence(plan_of(row), frames), true))
    return found


def switches(rows: Sequence[ClipRow], root: Path) -> tuple[list[tuple[Prompt, Piece]], int]:
    """Prompts of two languages with the times of their true clips; and how many no prompt can tell."""
    found, refused = [], 0
    for row in rows:
        path = root / row.path
        plan = plan_of(row)
        true = piece_of(path)
        frames = most_frames(len(true.frames), None)
        segments = [
            {
                "language": one.language,
                "text": one.text,
                "start": round(one.start, 1),
                "end": round(one.end, 1),
                "translation": GridCommand.from_code(turn.script.code).script(str(other.language)).text,
            }
            for one, other, turn in zip(row.segments, reversed(row.segments), plan.turns, strict=True)
        ]
        try:
            prompt = Prompt.model_validate({"speaker": speaker_of(plan), "segments": segments, "frames": frames})
        except ValueError:
            refused += 1
            continue
        found.append((prompt, Piece(true.frames[:frames], fitted(true.sound, frames))))
    return found, refused


def spoken(ears: Ears, cases: Sequence[Case], languages: Sequence[str]) -> tuple[list[list[str]], dict[str, Any]]:
    """A row a language: what the base says, what its resynthesis carries, and the difference."""
    rows, told = [], {}
    for language in languages:
        own = [case for case in cases if case.prompt.segments[0].language == language]
        texts = [case.prompt.segments[0].text for case in own]
        sounds = [[case.of(system).sound for case in own] for system in SYSTEMS]
        measures = {"phone": [ears.phones(some, texts, [language] * len(own)) for some in sounds]}
        if language == "en":
            measures = {"word": [ears.words(some, texts) for some in sounds]} | measures
        for name, (errors, least, true) in measures.items():
            # Words are asked of English, phones of the others; phones of English are there to be read beside them.
            asked = name == "word" or language != "en"
            goal = GOALS.get(language, OTHER_GOAL)
            gap, rates = gap_of(errors, least), [rate_of(one) for one in (errors, least, true)]
            met = "resynthesis cannot be understood"
            if rates[1].value < _SPEAKS:
                met = "yes" if gap.value <= goal else "no"
            asking = [f"at most {100 * goal:.0f}", met] if asked else ["–", "–"]
            rows.append([f"{language}, {name} error", *map(percent, rates), percent(gap), *asking, str(len(own))])
            told[f"{language}/{name}"] = dict(zip(SYSTEMS, map(as_json, rates), strict=True)) | {
                "gap": as_json(gap),
                "goal": goal if asked else None,
                "clips": len(own),
            }
    return rows, told


def following(cases: Sequence[Case]) -> tuple[list[list[str]], dict[str, Any]]:
    """Whether mouths follow voices, of the base's clips and of true ones through its autoencoders."""
    rows, told = [], {}
    for name in SYSTEMS:
        found = [follows(case.of(name)) for case in cases]
        share = mean_of(one.within for one in found)
        misses = Counter(one.reason for one in found if one.reason)
        met = "–" if share is None or name != BASE else ("yes" if share.value >= FOLLOWING_GOAL else "no")
        why = ", ".join(f"{count} {reason}" for reason, count in misses.items()) or "none"
        goal = f"{100 * FOLLOWING_GOAL:.0f} %" if name == BASE else "–"
        rows.append([name, percent(share), goal, met, _median(found), why])
        told[name] = {"within": as_json(share), "unjudged": dict(misses), "clips": len(found)}
    return rows, told


def _median(found: Sequence[Follows]) -> str:
    offsets = [abs(one.offset) for one in found if one.offset is not None]
    return f"{np.median(offsets):.0f}" if offsets else "–"


@dataclass(frozen=True)
class Switched:
    """How a clip switched; None where nothing can be said.

    Attributes:
        edges: seconds of the silence's start and end from the prompt's. middle: of its middle.
        right: whether the halves are in their own languages.
    """

    reason: str = ""
    edges: tuple[float, float] | None = None
    middle: float | None = None
    right: tuple[bool, bool] = (False, False)


def switched(ears: Ears, splitter: SilenceSplitter, prompt: Prompt, piece: Piece) -> Switched:
    """The silence in a clip against its prompt's, and the languages on either side of it."""
    clip = SwitchingClip(piece.frames, piece.sound, SAMPLE_RATE)
    try:
        figures = splitter.split(prompt, clip).figures
    except BadInput as error:
        return Switched(error.code)
    assert prompt.silence is not None
    start, end = figures["silence_start_s"], figures["silence_end_s"]
    cut = round((start + end) / 2 * SAMPLE_RATE)
    right = []
    for place, half in enumerate((piece.sound[:cut], piece.sound[cut:])):
        own, other = prompt.segments[place], prompt.segments[1 - place]
        assert own.translation is not None
        both = ears.phones([half, half], [own.text, own.translation], [own.language, other.language])
        said, translated = (errors / count for errors, count in both)
        right.append(bool(said < translated))
    edges = (start - prompt.silence[0], end - prompt.silence[1])
    return Switched("", edges, sum(edges) / 2, (right[0], right[1]))


def switching(ears: Ears, splitter: SilenceSplitter, cases: Sequence[Case]) -> tuple[list[list[str]], dict[str, Any]]:
    """Where languages switch, in the base's clips and in true ones through its autoencoders."""
    rows, told = [], {}
    for name in SYSTEMS:
        found = [switched(ears, splitter, case.prompt, case.of(name)) for case in cases]
        cut = [one for one in found if one.edges is not None]
        lands = mean_of(float(one.middle is not None and abs(one.middle) <= LANDS_S) for one in found)
        halves = mean_of(float(np.mean(one.right)) for one in found)
        both = mean_of(float(all(one.right)) for one in found)
        edges = [mean_of(abs(one.edges[side]) for one in cut if one.edges) for side in (0, 1)]
        refused = Counter(one.reason for one in found if one.reason)
        why = ", ".join(f"{count} {reason}" for reason, count in refused.items()) or "none"
        rows.append([name, percent(lands), percent(halves), percent(both), *map(shown, edges), why])
        told[name] = {
            "lands": as_json(lands),
            "halves_in_language": as_json(halves),
            "both_in_language": as_json(both),
            "silence_start_error_s": as_json(edges[0]),
            "silence_end_error_s": as_json(edges[1]),
            "not_cut": dict(refused),
            "clips": len(found),
        }
    return rows, told


def main() -> None:
    """Make clips, judge them, print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("base", type=Path)
    parser.add_argument("--count", type=int, default=24, help="Sentences a language.")
    parser.add_argument("--switches", type=int, default=42, help="Clips of two languages.")
    parser.add_argument("--preset", default="tiny", help="Whose steps, guidance and cuts.")
    for name, kind in (("--steps", int), ("--guidance", float), ("--batch", int)):
        parser.add_argument(name, type=kind, default=None)
    parser.add_argument("--frames", type=int, default=None, help="Of a sentence; by default what it was trained on.")
    parser.add_argument("--threads", type=int, default=None)
    parser.add_argument("--out", type=Path, default=None, help="Keeps true clips, the base's clips and the tables.")
    parser.add_argument("--look", type=Path, default=None, help="Sheets of frames and spectrograms.")
    args = parser.parse_args()
    if args.out is None:
        with tempfile.TemporaryDirectory() as folder:
            run(args, Path(folder))
    else:
        run(args, args.out)


def run(args: argparse.Namespace, out: Path) -> None:
    """The benchmark in a folder."""
    if args.threads:
        torch.set_num_threads(args.threads)
    gpu = torch.cuda.is_available()
    device = torch.device("cuda" if gpu else "cpu")
    introduce(device)
    net = arrange(open_backbone(args.base, str(device)), MemorySettings())
    material = Material.of(args.base)
    known = material.settings
    ears = Ears(PhoneRecogniser.open())
    settings = synthesis(args.preset, known, {"steps": args.steps, "guidance": args.guidance, "batch": args.batch})
    frames = args.frames or known.frames
    maker = BaseClips(net, settings)

    def wanted(kind: str, count: int, languages: tuple[str, ...]) -> Wanted:
        def heard(variant: str) -> bool:
            return variant not in known.held_out_voices

        return Wanted(kind, count, languages, heard, material.commands, known.size)  # type: ignore[arg-type]

    singles = drawn(out / "sentences", planned(wanted("plain", args.count, known.languages), ears.recogniser), "base")
    told = sentences(singles, out / "sentences", frames)
    cases, spent = cases_of(net, maker, told, out / "made" / "sentences")
    rows, words = spoken(ears, cases, known.languages)
    mouths, mouth = following(cases)
    print(
        f"embedded world; {len(cases)} held-out sentences of {frames} frames ({known.size} x {known.size}), "
        f"{settings.steps} steps, guidance {settings.guidance:g}\n"
    )
    tables = [grid(["", *SYSTEMS, "difference of the first two", "goal", "met", "clips"], rows)]
    tables.append(grid(["mouth follows voice", "within a frame", "goal", "met", "median, frames", "unjudged"], mouths))
    report: dict[str, Any] = {"world": "embedded", "words": words, "mouth": mouth}
    pairs: list[Case] = []
    if args.switches:
        # An equal share of each first language; the other is drawn.
        each = max(1, args.switches // len(known.languages))
        clips = drawn(
            out / "switches", planned(wanted("language_switch", each, known.languages), ears.recogniser), "switches"
        )
        prompts, refused = switches(clips, out / "switches")
        pairs, _ = cases_of(net, maker, prompts, out / "made" / "switches")
        splitter = SilenceSplitter(load_preset(args.preset, SplitSettings.section, SplitSettings))
        lines, switch = switching(ears, splitter, pairs)
        head = ["language switches", f"silence within {LANDS_S} s", "halves in their language", "both halves"]
        tables.append(grid([*head, "silence starts off by, s", "ends off by, s", "not cut"], lines))
        report |= {"switches": switch, "switches_without_prompt": refused}
    seconds = f"{spent['processor']:.2f} s of processor time, {spent['clock']:.2f} s by the clock"
    tables.append(f"Making a clip of {frames / FPS:.2f} s, {settings.batch} together: {seconds}.")
    report["seconds_a_clip"] = spent
    print("\n\n".join(tables))
    write_text(out / "base.md", "\n\n".join(tables) + "\n")
    write_json(out / "base.json", report)
    if args.look is not None:
        look(args.look, cases, pairs)


def look(folder: Path, cases: Sequence[Case], pairs: Sequence[Case]) -> None:
    """Sheets: of each language one sentence, and four switches; the base's clip above the true ones."""
    first = {case.prompt.segments[0].language: case for case in reversed(cases)}
    for name, some in (("sentences", list(first.values())), ("switches", list(pairs[:4]))):
        rows = []
        for case in some:
            said = " | ".join(f"{one.language}: {one.text}" for one in case.prompt.segments)
            rows += [(f"base, {said}", case.made), ("true clip, resynthesised", case.best), ("true clip", case.true)]
        if rows:
            sheet(folder / f"{name}.png", rows)


if __name__ == "__main__":
    main()
