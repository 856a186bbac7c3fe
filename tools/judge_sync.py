"""The small judge of audio-visual synchrony.

It is trained on the `train` speakers of the talking heads that `tools/starter.py` renders (seed 11, 28 people), chosen
by those of `val`, and measured on those of `test`, whom it never met.
"""

from __future__ import annotations

import argparse
import shlex
import subprocess
import sys
from pathlib import Path

import numpy as np
import torch

from dubflow.corpora.manifest import CorpusManifest, read_manifest
from dubflow.judging.phone_judge.material import voices_in
from dubflow.judging.sync_judge.encoder import SmallSync, write_sync_judge
from dubflow.judging.sync_judge.facts import PACKAGED, SyncFacts, SyncSettings
from dubflow.judging.sync_judge.material import SyncClip, cut_corpus, cut_file, rows_of
from dubflow.judging.sync_judge.measure import Accuracy, ConditionScores, accuracy, conditions
from dubflow.judging.sync_judge.network import SyncNetwork
from dubflow.judging.sync_judge.training import SyncTraining, train
from dubflow.progress import reporting

HEADS = (
    "talkers", "render", "--out", "heads", "--identities", "28", "--languages", "en,es,ru,fr,de,it,el", "--seed", "11",
    "--clips", "16", "--preset", "starter",
)  # fmt: skip
"""The starter model's people with pictures."""
CHECKED_SHIFTS = (-6, 0, 5)
COMMAND = "python tools/judges.py sync OUT"


def add_options(parser: argparse.ArgumentParser) -> None:
    """What a person may say."""
    parser.add_argument("out", type=Path, metavar="OUT", help="folder of everything that is made on the way")
    parser.add_argument("--heads", type=Path, help="a corpus of talking heads that was rendered before")
    parser.add_argument(
        "--real", type=Path, nargs="*", default=[], metavar="CLIP", help="clips of real people, for the card"
    )
    parser.add_argument("--steps", type=int, default=SyncTraining().steps, help="of training")
    parser.add_argument("--workers", type=int, default=None, help="processes that cut mouths out")
    parser.add_argument("--into", type=Path, default=PACKAGED, help="where the judge goes")


def make(asked: argparse.Namespace) -> int:
    """Render, cut, train, measure, write."""
    asked.out.mkdir(parents=True, exist_ok=True)
    heads = read_manifest(asked.heads or _rendered(asked.out))
    material = {split: _cut(heads, split, asked.out / "mouths", asked.workers) for split in ("train", "val", "test")}
    torch.set_num_threads(1)
    cuts = {path: cut_file(path) for path in asked.real}
    real = [SyncClip(path.stem, "", "", *cut) for path, cut in cuts.items() if cut is not None]
    teach(heads, material, real, SyncTraining(steps=asked.steps), asked.into)
    return 0


def teach(
    heads: CorpusManifest,
    material: dict[str, list[SyncClip]],
    real: list[SyncClip],
    training: SyncTraining,
    into: Path,
) -> None:
    """Train a judge on ``train``, chosen by ``val``, and write it with what it does on ``test`` and on real clips."""
    settings = SyncSettings(centred=True)
    facts = SyncFacts(
        settings=settings,
        voices=voices_in(heads, ("train", "val")),
        languages=tuple(sorted({clip.language for clip in material["train"]})),
        world=heads.header.world,
        steps=training.steps,
    )

    def check(step: int, network: SyncNetwork) -> float:
        judge = SmallSync(facts, network, "0" * 64)
        some = material["val"][::2]
        found, true = accuracy(judge, some, CHECKED_SHIFTS), conditions(judge, some)["true"]
        _say(f"step {step}, val: {found.within_one:.3f} within one frame, LSE-C {true.confidence:.3f}")
        return found.within_one + found.exact + true.confidence

    network = train(material["train"], training, settings, check=check, say=_say)
    lineage = {
        "command": COMMAND,
        "steps": [shlex.join(["dubflow", *HEADS])],
        "corpus": heads.header.model_dump(mode="json"),
        "clips": {split: len(clips) for split, clips in material.items()},
        "training": training.model_dump(mode="json"),
        "torch": torch.__version__,
    }
    write_sync_judge(into, network, facts, card="Not measured yet.", lineage=lineage)
    judge = SmallSync.open(into)  # as it is used: with weights that were rounded
    text = card(judge, material, accuracy(judge, material["test"]), conditions(judge, material["test"])) + on_real(
        judge, real
    )
    write_sync_judge(into, network, facts, card=text, lineage=lineage)
    _say(text)


def card(
    judge: SmallSync, material: dict[str, list[SyncClip]], found: Accuracy, scores: dict[str, ConditionScores]
) -> str:
    """For a person: what it is, what it can do, what it must not be used for."""
    count = sum(value.numel() for value in judge.network.parameters()) / 1e6
    clips, test = material["train"], material["test"]
    people = f"{len(clips)} clips, {len({clip.speaker for clip in clips})} speakers"
    rows = "\n".join(
        f"| {name.replace('_', ' ')} | {one.confidence:.3f} | {one.distance:.3f} | {one.less_confident:.0%} "
        f"| {one.farther:.0%} |"
        for name, one in scores.items()
    )
    return f"""# Small judge of audio-visual synchrony

| | |
|---|---|
| network | two towers, {count:.2f} million parameters, embeddings of {judge.facts.settings.dimensions} numbers |
| trained on | {people}: the embedded world: drawn heads, synthetic voices |
| languages | {", ".join(judge.facts.languages)} |
| steps | {judge.facts.steps} |
| licence | that of dubflow (Apache-2.0) |

Made by:

    {COMMAND}

## People whom it never saw ({len(test)} clips, {len({clip.speaker for clip in test})} speakers, embedded world)

The sound moved by known frames ({found.cases} cases): offset exactly right in {found.exact:.1%}, within one frame in
{found.within_one:.1%}.

| sound | LSE-C small | LSE-D small | less confident than true | farther than true |
|---|---|---|---|---|
{rows}

Its distances are another scale than SyncNet's: its figures never stand beside SyncNet's LSE-C and LSE-D. It learnt
drawn talkers and synthetic voices; on real people its offsets are often wrong and its figures may only rank. It is
never asked about the voices in `model.json`."""


def on_real(judge: SmallSync, real: list[SyncClip]) -> str:
    """A paragraph for the card; empty without real clips."""
    if not real:
        return ""
    # What the clips' own offset is, nobody says: the median of what is found stands for it.
    own = round(accuracy(judge, real, (0,)).own_offset)
    found = accuracy(judge, real, own=own)
    scores = [judge.score(clip.crops, clip.waveform) for clip in real]
    confidence, distance = np.mean([(one.confidence, one.distance) for one in scores], axis=0)
    return f"""

## Real people ({len(real)} clips)

The same shifts, counted from the clips' own median offset ({own}): within one frame in {found.within_one:.1%} of
{found.cases} cases, within three in {found.within_three:.1%}. Mean LSE-C {confidence:.3f}, LSE-D
{distance:.3f}."""


def _rendered(out: Path) -> Path:
    done = subprocess.run([sys.executable, "-m", "dubflow", *HEADS], cwd=out, check=False)
    if done.returncode:
        raise SystemExit(done.returncode)
    return out / "heads"


def _cut(heads: CorpusManifest, split: str, cache: Path, workers: int | None) -> list[SyncClip]:
    with reporting(f"mouths of {split}", None, "clips") as progress:
        return cut_corpus(heads.root, cache, rows_of(heads, split), workers=workers, progress=progress)


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
