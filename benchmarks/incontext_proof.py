"""Dubs of people whom neither base nor LoRA met, into another language: with the LoRA, without it, and without lip
augmentation.

    python benchmarks/incontext_proof.py --base BASE --pairs PAIRS --adapter A [--without-augmentation A2]
        [--count 42] [--hard 8] [--preset P] --out DIR [--look]

Embedded world. Looks come from a world of their own, voices from espeak variants that the base never heard, sentences
are GRID commands that neither the base nor the pairs say in any language; half of all targets are English. Every system
dubs by ``dub_all`` as ``dubflow dub`` does, under the adapter's own settings, and is judged by ``judging`` as every
evaluation is: one score card a system in ``DIR/cards``. What the score card cannot know comes from the world itself:
PSNR outside of all pixels that any mouth could change, and whether doors, dogs and claps stay at their time: the dub is
most like the event within 0.1 s of its time, of all places within 0.5 s (by chance in one of five).

Two columns say what could be had, both through the base's own autoencoders and vocoder: *possible*, the true dub (the
same person says the translation; the head moves with other words, so its picture is no measure of what is unchanged),
and *source as it was*, which says nothing new.
``--count`` plain clips, ``--hard`` of each of profile, occluded and no_face. Intervals are bootstrap over clips, 95 %;
differences are taken clip by clip. DIR gets ``proof.md``, ``proof.json``, all clips, and with ``--look`` six sheets.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from diflow_bench import introduce
from diflow_evaluation import shown
from dubflow.atomic import write_json, write_text
from dubflow.corpora.manifest import ClipRow
from dubflow.dubbing.incontext_engine import IncontextEngine
from dubflow.dubbing.request import DubOptions
from dubflow.errors import BadInput
from dubflow.incontext.backbone.memory import MemorySettings, arrange
from dubflow.incontext.backbone.named import open_backbone
from dubflow.incontext.pairs.manifest import PairManifest, read_pairs
from dubflow.incontext.pretraining.arrays import FPS
from dubflow.judging.bootstrap import Interval, bootstrap, ratio
from dubflow.judging.card.clip_items import translation_item
from dubflow.judging.card.items import Benchmark, BenchmarkItem
from dubflow.judging.card.rows import ClipScore, ScoreCard
from dubflow.judging.judges import JudgeSettings
from dubflow.judging.phone_judge.recogniser import PhoneRecogniser
from dubflow.judging.recogniser import SAMPLE_RATE
from dubflow.media.encode import write_clip
from dubflow.platform.evaluation import evaluate_clips
from dubflow.platform.evaluation_dubs import BenchmarkDubs, dub_benchmark
from dubflow.progress import reporting
from dubflow.talkers.performance import plan_of
from dubflow.talkers.scenes import ClipPlan, Turn
from dubflow.talkers.scripts import GridCommand
from dubflow.talkers.settings import Kind
from incontext_bench import (
    Material,
    Piece,
    Wanted,
    as_json,
    drawn,
    fitted,
    grid,
    percent,
    piece_of,
    planned,
    resynthesised,
    sheet,
)
from incontext_world import found_event, psnr_outside, reach_of_mouth

HARD: tuple[Kind, ...] = ("profile", "occluded", "no_face")
FULL, BARE, FLAT = "full", "without LoRA", "without lip augmentation"
POSSIBLE, AS_IT_WAS = "possible", "source as it was"
JUDGED = (
    "wer",
    "per",
    "duration_error",
    "mouth_offset",
    "lmd",
    "csim_embedded",
    "secs",
    "own_voice",
    "psnr_outside_face",
    "success_rate",
)
KEPT_S = 0.1
_CRF = 10


@dataclass(frozen=True, eq=False)
class Talk:
    """A clip to dub, and the same person saying the translation."""

    item: BenchmarkItem
    row: ClipRow
    plan: ClipPlan
    truth: Path


@dataclass(frozen=True, eq=False)
class Dubs:
    """What a system made of the talks."""

    name: str
    clips: Path
    card: ScoreCard
    seconds: float | None = None

    def rows(self) -> dict[str, ClipScore]:
        """Of the score card, by item."""
        return {row.clip: row for row in self.card.rows}

    def clip(self, item: str) -> Path | None:
        """The dub of an item, where there is one."""
        path = self.clips / f"{item}.mp4"
        return path if path.is_file() and self.rows()[item].status == "ok" else None


def said_in(pairs: PairManifest) -> set[str]:
    """Codes of all commands that prompts of pairs say."""
    codes = set()
    for row in pairs:
        for prompt, language in ((row.prompt, row.target_language), (row.context_prompt, row.context_language)):
            for text in (prompt or "").split('"')[1::2]:
                try:
                    codes.add(GridCommand.from_text(text, language or "").code)
                except BadInput:
                    continue  # letters of lip augmentation, or no command
    return codes


def talks(out: Path, base: Path, pairs: Path | None, count: int, hard: int) -> tuple[Benchmark, list[Talk]]:
    """The clips, the true dubs and the benchmark that asks for them; ``count`` plain ones, ``hard`` of each hard kind.

    Raises:
        BadInput: ``benchmark.too_few``.
    """
    material, recogniser = Material.of(base), PhoneRecogniser.open()
    known, languages = material.settings, material.settings.languages
    commands = material.commands | (said_in(read_pairs(pairs)) if pairs is not None else set())

    def held(variant: str) -> bool:
        return variant in known.held_out_voices

    plans: list[ClipPlan] = []
    for place, (kind, many) in enumerate((("plain", count), *((kind, hard) for kind in HARD))):
        share = 1.0 if kind == "plain" else 0.0
        each = -(-many // len(languages))
        wanted = Wanted(kind, each, languages, held, frozenset(commands), known.size, event_share=share)
        if many:
            some = planned(wanted, recogniser, seed=61_013 + place)[:many]
            # People of several worlds in one corpus: each gets a name of its own.
            plans += [_renamed(plan, f"k{place}") for plan in some]
    rows = drawn(out / "talkers", plans, "held-out talkers")
    dubs = {row.id: _dubbed_plan(plan_of(row), languages, place) for place, row in enumerate(rows)}
    true = {row.id: row for row in drawn(out / "truth", list(dubs.values()), "true dubs")}
    found = []
    for row in rows:
        plan, dub = plan_of(row), dubs[row.id]
        script, voice = dub.turns[0].script, plan.people[0].voice
        facts = {"voice": {"variant": voice.variant, "pitch": voice.pitch}}
        item = translation_item(row, script.language, script.text, prefix="talkers/", facts=facts)
        found.append(Talk(item, row, plan, out / "truth" / true[dub.id].path))
    benchmark = Benchmark(name="held-out talkers", world="embedded", items=tuple(one.item for one in found))
    return benchmark, sorted(found, key=lambda one: one.item.id)


def _renamed(plan: ClipPlan, prefix: str) -> ClipPlan:
    who = plan.people[0].speaker
    people = tuple(one.model_copy(update={"speaker": f"{prefix}{one.speaker}"}) for one in plan.people)
    return plan.model_copy(update={"id": plan.id.replace(f"{who}/", f"{prefix}{who}/", 1), "people": people})


def _dubbed_plan(plan: ClipPlan, languages: Sequence[str], place: int) -> ClipPlan:
    """The same clip in another language: every second one in English, where it is not English already."""
    script = plan.turns[0].script
    others = [one for one in languages if one != script.language]
    language = "en" if "en" in others and place % 2 == 0 else others[place // 2 % len(others)]
    said = GridCommand.from_code(script.code).script(language)
    return plan.model_copy(update={"id": f"{plan.id}_in_{language}", "turns": (Turn(person=0, script=said),)})


def dubbed(
    name: str,
    benchmark: Benchmark,
    out: Path,
    base: Path,
    adapter: Path | None,
    preset: str | None,
    *,
    changes: Mapping[str, Any] | None = None,
) -> Dubs:
    """A system's dubs of all items, by the real engine, judged."""
    engine = IncontextEngine.open(
        base, adapter=adapter, preset=preset, changes=dict(changes or {}), allow=changes is not None
    )
    clips = out / "dubs" / name.replace(" ", "-")
    # What shows no face is dubbed all the same: that is what is asked of this engine.
    options = DubOptions(no_face="speak")
    with reporting(f"dub {name}", len(benchmark.items), "clips") as progress:
        made = dub_benchmark(engine, benchmark, out, clips, options, progress)
    del engine
    return judged(name, benchmark, out, clips, made)


def judged(name: str, benchmark: Benchmark, out: Path, clips: Path, made: BenchmarkDubs | None = None) -> Dubs:
    """A folder of clips before all judges."""
    for item, reason in sorted((made.failures if made is not None else {}).items()):
        print(f"{name}: {item} failed: {reason}")
    answer = evaluate_clips(
        clips,
        benchmark,
        out,
        out / "cards" / clips.name,
        JudgeSettings(only=JUDGED),
        system=name,
        cache=out / "cache",
        workers=1,
    )
    costs = made.costs if made is not None else {}
    return Dubs(name, clips, answer.card, costs.get("device_s_per_minute"))


def carried(name: str, found: Sequence[Talk], benchmark: Benchmark, out: Path, base: Path) -> Dubs:
    """The true dubs, or the sources, through the base's autoencoders and vocoder; as long as what was to be dubbed."""
    net = arrange(open_backbone(base), MemorySettings())
    clips = out / "dubs" / name.replace(" ", "-")
    for talk in found:
        path = clips / f"{talk.item.id}.mp4"
        if path.is_file():
            continue
        path.parent.mkdir(parents=True, exist_ok=True)
        true = source = source_of(talk, out)
        if name == POSSIBLE:
            frames = len(source.frames)
            dub = piece_of(talk.truth, frames)
            whole = np.concatenate([dub.frames, np.repeat(dub.frames[-1:], frames - len(dub.frames), axis=0)])
            true = Piece(whole, fitted(dub.sound, frames))
        made = resynthesised(net, true)
        write_clip(path, made.frames, FPS, made.sound, SAMPLE_RATE, _CRF)
    return judged(name, benchmark, out, clips)


def source_of(talk: Talk, out: Path) -> Piece:
    """The clip that was to be dubbed."""
    return piece_of(out / "talkers" / talk.row.path)


def of_the_world(found: Sequence[Talk], systems: Sequence[Dubs], out: Path) -> dict[str, dict[str, dict[str, float]]]:
    """By system and item, what the world tells: ``psnr`` outside of the mouth's reach, ``event`` kept at its time."""
    told: dict[str, dict[str, dict[str, float]]] = {one.name: {} for one in systems}
    with reporting("look", len(found), "clips") as progress:
        for talk in found:
            source = source_of(talk, out)
            reach = reach_of_mouth(talk.plan, len(source.frames))
            kinds = [event.kind for event in talk.plan.events]
            # Two of a kind would be taken for each other.
            heard = [number for number, kind in enumerate(kinds) if kinds.count(kind) == 1]
            there = [number for number in heard if abs(found_event(source.sound, talk.plan, number)) <= KEPT_S]
            for one in systems:
                path = one.clip(talk.item.id)
                if path is None:
                    told[one.name][talk.item.id] = {"event": 0.0} if there else {}
                    continue
                dub = piece_of(path)
                values = {"psnr": psnr_outside(source.frames, dub.frames, reach)}
                if there:
                    kept = [abs(found_event(dub.sound, talk.plan, number)) <= KEPT_S for number in there]
                    values["event"] = float(np.mean(kept))
                told[one.name][talk.item.id] = values
            progress.advance()
    return told


Values = dict[str, tuple[float, float]]
"""By item: errors and units, or a value and 1."""


@dataclass(frozen=True)
class Figure:
    """A line of the tables.

    Attributes:
        values: of a system. better: which way is better. goal: in words, and whether a figure meets it.
    """

    name: str
    values: Callable[[Dubs], Values]
    better: str = ""
    digits: int = 1
    percent: bool = False
    goal: str = ""
    met: Callable[[float], bool] | None = None
    table3: bool = False


def of_card(metric: str, worst: float | None = None, change: Callable[[float], float] = float) -> Any:
    """Values of a metric; a clip that has none by its own doing counts ``worst``, or not at all without one."""

    def values(dubs: Dubs) -> Values:
        found: Values = {}
        for row in dubs.card.rows:
            if metric in row.weights:
                found[row.clip] = row.weights[metric]
            elif row.values.get(metric) is not None:
                found[row.clip] = (change(float(row.values[metric] or 0.0)), 1.0)
            elif worst is not None and (row.status != "ok" or row.blamed(metric) == "clip"):
                found[row.clip] = (worst, 1.0)
        return found

    return values


def success(difficulty: str | None) -> Any:
    """1 a clip that was delivered."""

    def values(dubs: Dubs) -> Values:
        return {
            row.clip: (float(row.status == "ok"), 1.0)
            for row in dubs.card.rows
            if difficulty is None or row.tags.difficulty == difficulty
        }

    return values


def figures(told: Mapping[str, Mapping[str, Mapping[str, float]]], kinds: Sequence[str]) -> list[Figure]:
    """All lines."""

    def world(name: str) -> Any:
        def values(dubs: Dubs) -> Values:
            return {item: (one[name], 1.0) for item, one in told[dubs.name].items() if name in one}

        return values

    def within(frames: float) -> float:
        return float(abs(frames) <= 1)

    return [
        Figure("word error, into English", of_card("wer"), "lower", 1, True, "at most 30 %", _at_most(0.3), True),
        Figure("phone error, all languages", of_card("per"), "lower", 1, True, table3=True),
        Figure("duration error, s", of_card("duration_error", change=abs), "lower", 3, False, "0", _at_most(5e-4)),
        Figure("success", success(None), "higher", 1, True, "100 %", _at_least(1.0)),
        *(Figure(f"success, {kind}", success(kind), "higher", 1, True, "100 %", _at_least(1.0)) for kind in kinds),
        Figure("mouth within a frame of the voice", of_card("mouth_offset", 0.0, within), "higher", 1, True),
        Figure("PSNR outside of the mouth's reach, dB", world("psnr"), "higher", goal=f"that of the {AS_IT_WAS}"),
        Figure("PSNR outside of the face (landmarks), dB", of_card("psnr_outside_face"), "higher"),
        Figure("sound events at their time", world("event"), "higher", 1, True),
        Figure("LMD to the source", of_card("lmd"), "", 4, table3=True),
        Figure("identity (embedded)", of_card("csim_embedded"), "higher", 3, table3=True),
        Figure("voice similarity (GE2E)", of_card("secs"), "higher", 3, table3=True),
        Figure("own voice nearest", of_card("own_voice", worst=0.0), "higher", 1, True),
    ]


def _at_most(bound: float) -> Callable[[float], bool]:
    return lambda value: value <= bound


def _at_least(bound: float) -> Callable[[float], bool]:
    return lambda value: value >= bound


def interval_of(values: Values) -> Interval | None:
    """A system's figure."""
    return bootstrap(np.array(list(values.values())), ratio) if values else None


def difference(one: Values, other: Values) -> Interval | None:
    """The first minus the second, on the clips of both."""
    both = sorted(one.keys() & other.keys())
    if not both:
        return None

    def gap(rows: NDArray[np.float64]) -> float:
        return ratio(rows[:, :2]) - ratio(rows[:, 2:])

    return bootstrap(np.array([[*one[clip], *other[clip]] for clip in both]), gap)


def cell(figure: Figure, interval: Interval | None) -> str:
    """As printed, with the number of clips."""
    if interval is None:
        return "–"
    text = percent(interval, figure.digits) if figure.percent else shown(interval, figure.digits)
    return f"{text}, n = {interval.clips}"


def direction(figure: Figure, interval: Interval | None) -> str:
    """Whether the first system is better, where the interval leaves no doubt."""
    if interval is None or not figure.better or interval.low <= 0 <= interval.high:
        return "undecided" if figure.better and interval is not None else "–"
    return "better" if (interval.value < 0) == (figure.better == "lower") else "worse"


def main_table(lines: Sequence[Figure], systems: Sequence[Dubs]) -> str:
    """Figures down, systems across, goals beside."""
    rows = []
    for one in lines:
        found = {system.name: interval_of(one.values(system)) for system in systems}
        full = found[systems[0].name]
        met = "–" if one.met is None or full is None else ("yes" if one.met(full.value) else "no")
        rows.append([one.name, *(cell(one, found[system.name]) for system in systems), one.goal or "–", met])
    return grid(["", *(system.name for system in systems), f"goal for {systems[0].name}", "met"], rows)


def compared(lines: Sequence[Figure], first: Dubs, others: Sequence[Dubs]) -> str:
    """Table 3: ``first`` minus each of the others, clip by clip, and which way that is."""
    rows = []
    for one in lines:
        row = [one.name]
        for other in others:
            gap = difference(one.values(first), one.values(other))
            row += [cell(one, gap), direction(one, gap)]
        rows.append(row)
    head = [part for other in others for part in (f"{first.name} minus {other.name}", "")]
    return grid(["Table 3", *head], rows)


def as_report(lines: Sequence[Figure], systems: Sequence[Dubs]) -> dict[str, Any]:
    """All figures for machines."""
    return {
        "systems": {
            system.name: {one.name: as_json(interval_of(one.values(system))) for one in lines} for system in systems
        },
        "differences": {
            system.name: {one.name: as_json(difference(one.values(systems[0]), one.values(system))) for one in lines}
            for system in systems[1:]
        },
    }


def look(out: Path, found: Sequence[Talk], systems: Sequence[Dubs]) -> None:
    """Six sheets: three plain clips and one of each hard kind; source, dubs, and what is possible."""
    chosen = [one for one in found if one.plan.kind == "plain"][:3]
    for kind in HARD:
        chosen += [one for one in found if one.plan.kind == kind][:1]
    for number, talk in enumerate(chosen):
        script = talk.plan.turns[0].script
        rows = [(f"source, {script.language}: {script.text}", source_of(talk, out))]
        for system in systems:
            path = system.clip(talk.item.id)
            if path is not None:
                rows.append((f"{system.name}, {talk.item.language}: {talk.item.transcript}", piece_of(path)))
        sheet(out / "look" / f"{number}-{talk.plan.kind}.png", rows, shots=10)


def main() -> None:
    """Draw, dub, judge, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--base", type=Path, required=True)
    parser.add_argument("--pairs", type=Path, required=True, help="What the LoRA was trained on: sentences to avoid.")
    parser.add_argument("--adapter", type=Path, required=True)
    parser.add_argument("--without-augmentation", type=Path, default=None, help="An adapter of pairs with plain lips.")
    parser.add_argument("--count", type=int, default=42)
    parser.add_argument("--hard", type=int, default=8)
    parser.add_argument("--preset", default=None, help="Of dubbing; by default what the adapter records.")
    parser.add_argument("--bare-preset", default=None, help="Of the base without LoRA; by default --preset, or tiny.")
    parser.add_argument("--threads", type=int, default=None)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--look", action="store_true")
    args = parser.parse_args()
    if args.threads:
        torch.set_num_threads(args.threads)
    introduce(torch.device("cuda" if torch.cuda.is_available() else "cpu"))
    benchmark, found = talks(args.out, args.base, args.pairs, args.count, args.hard)
    systems = [dubbed(FULL, benchmark, args.out, args.base, args.adapter, args.preset)]
    systems.append(dubbed(BARE, benchmark, args.out, args.base, None, args.bare_preset or args.preset or "tiny"))
    if args.without_augmentation is not None:
        systems.append(dubbed(FLAT, benchmark, args.out, args.base, args.without_augmentation, args.preset))
    best = [carried(name, found, benchmark, args.out, args.base) for name in (POSSIBLE, AS_IT_WAS)]
    told = of_the_world(found, [*systems, *best], args.out)
    kinds = [kind for kind in HARD if any(one.plan.kind == kind for one in found)]
    lines = figures(told, kinds)
    bare = interval_of(lines[0].values(systems[1]))
    goal = "–" if bare is None else ("yes" if bare.value > 0.8 else "no")
    voices = sorted({one.plan.people[0].voice.variant for one in found})
    pace = "; ".join(f"{one.name} {one.seconds:.0f} s" for one in systems if one.seconds is not None)
    text = "\n\n".join(
        [
            f"embedded world; {len(found)} clips of {len({one.row.speaker for one in found})} people, voices "
            f"{', '.join(voices)}",
            main_table(lines, [*systems, *best]),
            f"Without LoRA the word error is to be above 80 %: {goal}. Work for a minute of clips: {pace}.",
            compared([one for one in lines if one.table3], systems[0], systems[1:]),
        ]
    )
    print(text)
    write_text(args.out / "proof.md", text + "\n")
    write_json(args.out / "proof.json", {"world": "embedded", **as_report(lines, [*systems, *best])})
    if args.look:
        look(args.out, found, [*systems, *best])


if __name__ == "__main__":
    main()
