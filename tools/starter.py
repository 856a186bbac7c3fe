"""Make the starter model: both stages trained on the embedded world, small enough to come with the package.

    python tools/starter.py OUT

runs every step below OUT with the verbs that a person types: voices in seven languages, a codec fitted to them, the
same people with pictures, both prepared, stage 1, stage 2. Then it puts both models, their weights in eight bits, where
the package carries them. Each step finds what an earlier call finished, so a call that was stopped is made again.

    python tools/starter.py OUT --from TTS_RUN DUBBER_RUN

only packs two finished runs; they must be of the preset, steps and codec that the call names, because their cards say
that this call makes them again.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dubflow.config import load_preset
from dubflow.diflow.nets.settings import NetSettings
from dubflow.diflow.stored import CARD, LINEAGE, StoredModel, load_model, save_model
from dubflow.diflow.training.settings import DubberTraining, TtsTraining

ROOT = Path(__file__).resolve().parents[1]
PACKAGED = {"tts": "tts", "dubber": "diflow"}
"""Folder of each stage's model below the target."""
MOST_BYTES = 36 * 10**6


@dataclass(frozen=True)
class Recipe:
    """How much of what; the defaults are the shipped starter's."""

    identities: int = 28
    clips: int = 144
    pictures: int = 16
    languages: str = "en,es,ru,fr,de,it,el"
    seed: int = 11
    minutes: float = 14.0
    preset: str = "starter"
    tts_steps: int | None = None
    dubber_steps: int | None = None

    def steps(self) -> list[tuple[str, list[str]]]:
        """What each step makes below OUT, and its command, which is run there."""
        preset = ["--preset", self.preset]
        people = ["--identities", str(self.identities), "--languages", self.languages, "--seed", str(self.seed)]
        voices = ["talkers", "render", "--out", "voices", *people, "--clips", str(self.clips), *preset]
        heads = ["talkers", "render", "--out", "heads", *people, "--clips", str(self.pictures), *preset]
        codec = ["codec", "fit", "voices", "--out", "codec", "--seed", str(self.seed), "--minutes", f"{self.minutes:g}"]
        tts = ["train", "tts", "--data", "voices_prepared", "--codec", "codec", "--out", "tts", *preset]
        dubber = ["train", "dubber", "--data", "heads_prepared", "--codec", "codec", "--teacher", "tts/model"]
        return [
            ("voices", [*voices, "--voices-only"]),
            ("codec", codec),
            ("voices_prepared", ["prepare", "voices", "--out", "voices_prepared", "--codec", "codec", *preset]),
            ("heads", heads),
            ("heads_prepared", ["prepare", "heads", "--out", "heads_prepared", "--codec", "codec", *preset]),
            ("tts", [*tts, *_steps(self.tts_steps), "--track", "none"]),
            ("dubber", [*dubber, "--out", "dubber", *preset, *_steps(self.dubber_steps), "--track", "none"]),
        ]

    def remake(self) -> str:
        """The call of this tool that makes the same again."""
        options = []
        for name, usual in vars(Recipe()).items():
            value = getattr(self, name)
            if value != usual:
                options += [f"--{name.replace('_', '-')}", f"{value:g}" if isinstance(value, float) else str(value)]
        return shlex.join(["python", "tools/starter.py", "OUT", *options])


def main(words: list[str] | None = None) -> int:
    """Make, then pack."""
    asked = _parser().parse_args(words)
    recipe = _recipe(asked)
    if asked.runs:
        tts, dubber = asked.runs
    else:
        tts, dubber = asked.out / "tts", asked.out / "dubber"
        run_steps(recipe.steps(), asked.out)
    return pack(recipe, {"tts": tts / "model", "dubber": dubber / "model"}, asked.into)


def recipe_of(command: str) -> Recipe:
    """The recipe that a remake command spells."""
    return _recipe(_parser().parse_args(shlex.split(command)[2:]))


def run_steps(steps: list[tuple[str, list[str]]], out: Path) -> None:
    """Run every step that has something left to do in ``out``: what it makes there, and words of ``dubflow``.

    Raises:
        SystemExit: with the code of a step that fails.
    """
    out.mkdir(parents=True, exist_ok=True)
    for number, (folder, command) in enumerate(steps, 1):
        print(f"[{number}/{len(steps)}] dubflow {shlex.join(command)}", file=sys.stderr, flush=True)
        if folder == "codec" and (out / folder).is_dir():  # the one verb that has no second time; whole where it is
            continue
        began = time.monotonic()
        # A worker a core renders and prepares; threads beside them would only wait for one another.
        threads = {} if command[0] == "train" else {"OMP_NUM_THREADS": "1"}
        done = subprocess.run(
            [sys.executable, "-m", "dubflow", *command], cwd=out, env={**os.environ, **threads}, check=False
        )
        if done.returncode:
            print(
                f"error: step {number} ended with code {done.returncode}; the same call goes on here", file=sys.stderr
            )
            raise SystemExit(done.returncode)
        print(f"[{number}/{len(steps)}] {time.monotonic() - began:.0f} s", file=sys.stderr, flush=True)


def pack(recipe: Recipe, models: dict[str, Path], into: Path) -> int:
    """Put both models below ``into``, or say why not and leave what is there. Returns the exit code."""
    loaded = {stage: load_model(folder) for stage, folder in models.items()}
    problems = [problem for stage, model in loaded.items() for problem in disagreements(recipe, stage, model)]
    into.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=into.parent, prefix=f".{into.name}-") as beside:
        for stage, model in loaded.items():
            facts = model.facts
            save_model(
                Path(beside) / PACKAGED[stage],
                model.network,
                facts,
                card=with_command(
                    (model.folder / CARD).read_text("utf-8"), _lineage(model)["command"], recipe.remake()
                ),
                lineage={**_lineage(model), "command": recipe.remake(), "steps": _written(recipe)},
                codec=model.codec_folder,
                weights="int8",
            )
        size = sum(path.stat().st_size for path in Path(beside).rglob("*") if path.is_file())
        if size > MOST_BYTES:
            problems.append(f"the two take {size / 1e6:.1f} MB; the package carries {MOST_BYTES / 1e6:.0f} at most")
        if problems:
            for problem in problems:
                print(f"error: {problem}", file=sys.stderr)
            return 3
        for folder in PACKAGED.values():
            shutil.rmtree(into / folder, ignore_errors=True)
            (Path(beside) / folder).rename(into / folder)
    print(f"{into}: {size / 1e6:.1f} MB; made again by: {recipe.remake()}")
    return 0


def disagreements(recipe: Recipe, stage: str, model: StoredModel) -> list[str]:
    """What of a model is not as the recipe would make it."""
    steps = recipe.tts_steps if stage == "tts" else recipe.dubber_steps
    settings = load_preset(recipe.preset, f"train_{stage}", TtsTraining if stage == "tts" else DubberTraining)
    wanted = settings.model_dump(mode="json") | ({} if steps is None else {"steps": steps})
    nets = load_preset(recipe.preset, "nets", NetSettings).model_dump(mode="json")
    run = _lineage(model)["run"]
    pairs: list[tuple[str, Any, Any]] = [
        ("stage", model.facts.stage, stage),
        ("preset", model.facts.preset, Path(recipe.preset).stem),
        ("languages", sorted(model.facts.languages), sorted(recipe.languages.split(","))),
        ("corpus", _lineage(model)["corpus"], f"talkers-{recipe.seed}"),
        *((f"settings.{name}", value, wanted.get(name)) for name, value in run["settings"].items()),
        *((f"nets.{name}", value, nets.get(name)) for name, value in run["nets"].items()),
    ]
    origin = codec_origin(model)
    trained = re.search(
        r"^\| trained on \| (\d+) clips, (\d+) speakers", (model.folder / CARD).read_text("utf-8"), re.M
    )
    if trained:  # a few may have been too long, of a speaker less than one
        each = math.ceil(int(trained[1]) / int(trained[2]))
        pairs.append(("clips of each speaker", each, recipe.clips if stage == "tts" else recipe.pictures))
    pairs += [("codec.seed", origin["seed"], recipe.seed), ("codec.corpus", origin["corpus"], f"talkers-{recipe.seed}")]
    return [
        f"{model.folder}: {name} is {found}, and {recipe.remake()} would make {wanted}"
        for name, found, wanted in pairs
        if found != wanted
    ]


def codec_origin(model: StoredModel) -> dict[str, Any]:
    """What the model's codec was fitted to, by its card."""
    origin: dict[str, Any] = json.loads((model.codec_folder / "world.json").read_text("utf-8"))["origin"]
    return origin


def with_command(card: str, old: str, new: str) -> str:
    """The card with another command under *Made by*.

    Raises:
        ValueError: the card does not name the old one.
    """
    if f"\n    {old}\n" not in card:
        raise ValueError(f"the card does not name the command {old!r}")
    return card.replace(f"\n    {old}\n", f"\n    {new}\n")


def _recipe(asked: argparse.Namespace) -> Recipe:
    return Recipe(**{name: getattr(asked, name) for name in vars(Recipe())})


def _lineage(model: StoredModel) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((model.folder / LINEAGE).read_text("utf-8"))
    return content


def _written(recipe: Recipe) -> list[str]:
    return [f"dubflow {shlex.join(command)}" for _, command in recipe.steps()]


def _steps(count: int | None) -> list[str]:
    return [] if count is None else ["--steps", str(count)]


def _parser() -> argparse.ArgumentParser:
    usual = Recipe()
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path, metavar="OUT", help="folder of everything that is made on the way")
    parser.add_argument("--identities", type=int, default=usual.identities, help="people")
    parser.add_argument("--clips", type=int, default=usual.clips, help="spoken clips of each, for stage 1")
    parser.add_argument("--pictures", type=int, default=usual.pictures, help="drawn clips of each, for stage 2")
    parser.add_argument("--languages", default=usual.languages, help="comma-separated")
    parser.add_argument("--seed", type=int, default=usual.seed, help="of people, texts and the codec")
    parser.add_argument("--minutes", type=float, default=usual.minutes, help="speech that the codec is fitted to")
    parser.add_argument("--preset", default=usual.preset, help="networks and training")
    parser.add_argument("--tts-steps", type=int, default=usual.tts_steps, help="of stage 1; by default the preset's")
    parser.add_argument("--dubber-steps", type=int, default=usual.dubber_steps, help="of stage 2; likewise")
    parser.add_argument(
        "--into", type=Path, default=ROOT / "src" / "dubflow" / "starter", help="where the packed models go"
    )
    parser.add_argument(
        "--from", dest="runs", type=Path, nargs=2, metavar=("TTS_RUN", "DUBBER_RUN"), help="only pack these"
    )
    return parser


if __name__ == "__main__":
    raise SystemExit(main())
