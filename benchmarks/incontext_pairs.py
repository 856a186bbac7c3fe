"""From drawn pairs to dubs by the in-context model, all of it in one run, with the figures that say what was learnt.

    python benchmarks/incontext_pairs.py OUT [--people 5] [--sentences 1] [--steps 60] [--preset tiny] [--size 96]

A pair is one drawn person, light and background, who says one GRID command in two languages: the first is the context,
the second the target. These pairs are for trials: nobody aligned their lengths, faces or moves, and the preset's window
cuts off most of a pair. The base is ``tiny`` (random weights), so its dubs are noise; what is shown is that all parts
meet, that lengths are kept to the sample, and what happens to the loss on people whom nobody trained on.

OUT gets ``pairs/``, ``run/`` (see ``dubflow train lora``), ``dub.mp4`` and ``looks.png``: source above dub, frames and
spectrogram.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

import numpy as np
import yaml
from typer.testing import CliRunner

from dubflow.atomic import write_text
from dubflow.cli.main import app
from dubflow.config import presets_folder
from dubflow.corpora.manifest import CorpusHeader, read_manifest
from dubflow.incontext.pairs.manifest import PairFile, PairHeader, PairManifest, PairRow
from dubflow.incontext.prompts import dub_prompt
from dubflow.media.decode import read_clip
from dubflow.talkers.render import LICENCE, render_plans
from dubflow.talkers.scenes import ClipPlan, Turn, plan_corpus
from dubflow.talkers.scripts import GridCommand
from dubflow.talkers.settings import TalkerSettings
from dubflow.tracking import read_metrics

LANGUAGES = ("en", "fr", "de", "es")


def plans_of(people: int, sentences: int, size: int, seed: int = 3) -> list[tuple[ClipPlan, ClipPlan]]:
    """Two plans a pair, equal but for the language; every third person is held out."""
    settings = TalkerSettings(size=size, mix={"plain": 1.0}, grid_share=1.0, event_share=0.0)
    found = []
    for number, plan in enumerate(
        plan_corpus(identities=people, clips=sentences, languages=["en"], seed=seed, settings=settings)
    ):
        command = GridCommand.from_code(plan.turns[0].script.code)
        split = "val" if number // sentences % 3 == 2 else "train"
        spoken = (LANGUAGES[number % len(LANGUAGES)], LANGUAGES[(number + 1) % len(LANGUAGES)])
        context, target = (
            plan.model_copy(
                update={
                    "id": f"{plan.people[0].speaker}/{command.code}_{role}_{language}",
                    "split": split,
                    "turns": (Turn(person=0, script=command.script(language)),),
                }
            )
            for role, language in zip(("context", "target"), spoken, strict=True)
        )
        found.append((context, target))
    return found


def render_pairs(folder: Path, people: int, sentences: int, size: int) -> PairManifest:
    """The pairs, drawn into ``folder``."""
    plans = plans_of(people, sentences, size)
    flat = [plan for pair in plans for plan in pair]
    header = CorpusHeader(name="drawn-pairs", layout="talkers", world="embedded", clips=len(flat))
    render_plans(folder, flat, header)
    rows = {row.id: row for row in read_manifest(folder).rows}

    def file(plan: ClipPlan) -> PairFile:
        row = rows[plan.id]
        return PairFile(path=row.path, sha256=row.sha256)

    pairs = [
        PairRow(
            id=target.id.replace("_target_", "_"),
            context=file(context),
            target=file(target),
            prompt=dub_prompt(target.turns[0].script.text, target.turns[0].script.language),
            context_language=context.turns[0].script.language,
            target_language=target.turns[0].script.language,
            speaker=target.people[0].speaker,
            split=target.split,
            lineage={"context": context.digest, "target": target.digest},
        )
        for context, target in plans
    ]
    made = PairManifest(PairHeader(name="drawn-pairs", world="embedded", licence=LICENCE), pairs, folder)
    made.write()
    return made


def presets(out: Path, preset: str, steps: int) -> tuple[Path, Path]:
    """The preset with so many steps and four validations; and one that learns nothing, for the loss of the base."""
    path = Path(preset) if Path(preset).is_file() else presets_folder() / f"{preset}.yaml"
    sections = yaml.safe_load(path.read_text(encoding="utf-8"))
    # The base of two blocks learns nothing from more frames, and pairs are to be encoded in a moment.
    sections["incontext.data"]["frames"] = min(17, sections["incontext.data"]["frames"])
    training = sections["incontext.training"] | {"validate_pairs": 64, "validate_dubs": 0}
    learning = training | {"steps": steps, "validate_every": max(1, steps // 4)}
    still = training | {"steps": 1, "validate_every": 1, "rates": {"default": 1e-12, "patterns": []}}
    for name, changed in (("learning", learning), ("still", still)):
        text = yaml.safe_dump(sections | {"incontext.training": changed})
        write_text(out / f"{name}.yaml", text)
    return out / "learning.yaml", out / "still.yaml"


def verb(*words: object) -> dict[str, object]:
    """A verb of dubflow, with its answer for machines."""
    answer = CliRunner().invoke(app, [*map(str, words), "--json"], catch_exceptions=False)
    if answer.exit_code:
        raise SystemExit(answer.output)
    return dict(json.loads(answer.stdout))


def draw(source: Path, dub: Path, out: Path) -> None:
    """Source above dub: five frames and the spectrogram of each."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(2, 6, figsize=(15, 5))
    for row, path in zip(axes, (source, dub), strict=True):
        clip = read_clip(path)
        assert clip.frames is not None
        assert clip.waveform is not None
        for axis, frame in zip(row, np.linspace(0, len(clip.frames) - 1, 5).astype(int), strict=False):
            axis.imshow(clip.frames[frame])
            axis.set_title(f"{path.stem} {frame / 25:.2f} s", fontsize=8)
            axis.axis("off")
        row[5].specgram(clip.waveform + 1e-6 * np.random.default_rng(0).normal(size=len(clip.waveform)), Fs=16000)
    figure.tight_layout()
    figure.savefig(out)


def main() -> None:
    """Draw, train, dub, and print what came of it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    for name, default in (("people", 5), ("sentences", 1), ("steps", 60), ("size", 96)):
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--preset", default="tiny")
    parser.add_argument("--track", default="none")
    args = parser.parse_args()
    began = time.monotonic()
    pairs = render_pairs(args.out / "pairs", args.people, args.sentences, args.size)
    drawn = time.monotonic()
    run = args.out / "run"
    preset, still = presets(args.out, args.preset, args.steps)
    words = ("--data", pairs.root, "--base", "tiny", "--cache", args.out / "latents", "--track", args.track)
    verb("train", "lora", *words, "--out", args.out / "before", "--preset", still)
    report = verb("train", "lora", *words, "--out", run, "--preset", preset)
    trained = time.monotonic()
    adapter = Path(str(report["adapter"]))
    told = verb("adapter", "inspect", adapter)
    held = next(row for row in pairs if row.split == "val")
    source, dub = pairs.path(held.context), args.out / "dub.mp4"
    said = held.prompt.split('"')[1]
    where = ("--model", "tiny", "--engine", "incontext", "--adapter", adapter, "--out", dub)
    answer = verb("dub", source, "--text", said, "--language", held.target_language, *where)
    (result,) = answer["results"]  # type: ignore[misc]
    draw(source, dub, args.out / "looks.png")
    curves = read_metrics(run / "logs" / "metrics.jsonl")
    base = read_metrics(args.out / "before" / "logs" / "metrics.jsonl")
    print("embedded world; the base has random weights\n\n| | |\n|---|---|")
    print(f"| pairs trained on, held out | {report['pairs']}, {report['held']} |")
    print(f"| drawing, encoding and training, s | {drawn - began:.1f}, {trained - drawn:.1f} |")
    print(f"| rank, layers, numbers trained | {told['ranks']}, {told['modules']}, {report['trained']} |")
    for name in sorted(name for name in curves if name.startswith("val/")):
        values = {0: base[name][1]} | curves[name]
        steps = sorted(values)
        print(f"| {name} | {', '.join(f'{values[step]:.4f} (step {step})' for step in steps)} |")
    print(f"| dub: world, engine | {result['world']}, {result['engine']} |")
    print(f"| dub: s of work, length off by, s | {result['seconds']:.2f}, {result['duration_error_s']} |")


if __name__ == "__main__":
    main()
