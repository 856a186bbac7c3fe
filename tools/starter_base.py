"""Make the starter base, a small LTX-2, and the starter adapter, with which it dubs; both come with the package.

    python tools/starter_base.py OUT

trains the base from nothing, packs its weights in eight bits where the package carries them, lets it make training
pairs, trains the adapter on these, and packs that too. Each step finds what an earlier call finished, so a call that
was stopped is made again.
"""

from __future__ import annotations

import argparse
import json
import shutil
from dataclasses import replace
from functools import partial
from pathlib import Path

import starter
import torch

from dubflow.atomic import atomic_dir, write_json, write_text
from dubflow.incontext.adapter.files import LoraPair, read_adapter, write_adapter
from dubflow.incontext.adapter.lora import WEIGHTS
from dubflow.incontext.backbone.folders import save_backbone
from dubflow.incontext.backbone.loading import load_backbone
from dubflow.incontext.backbone.named import SHIPPED, STARTER
from dubflow.incontext.pretraining.run import CARD, LINEAGE

COMMAND = "python tools/starter_base.py OUT"
COUNT, SEED = 160, 21
"""Prompts that the pairs are made from, and the seed of prompts and noise; the base's own are in the preset."""
TRAIN = ["train", "base", "--preset", "tiny", "--out", "base", "--track", "none"]
PAIRS = ["synthesize", "pairs", "--base", STARTER, "--preset", "tiny", "--out", "pairs", "--count", str(COUNT)]
LORA = ["train", "lora", "--data", "pairs", "--base", STARTER, "--preset", "tiny", "--out", "lora", "--track", "none"]


def main(words: list[str] | None = None) -> int:
    """Make, then pack."""
    asked = _parser().parse_args(words)
    starter.run_steps([("base", TRAIN)], asked.out)
    pack_base(asked.out / "base" / "model", SHIPPED)
    starter.run_steps([("pairs", [*PAIRS, "--seed", str(SEED)]), ("lora", LORA)], asked.out)
    adapter = SHIPPED.parent / "lora"
    pack_adapter(asked.out / "lora" / "model", adapter)
    for folder in (SHIPPED, adapter):
        size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
        print(f"{folder}: {size / 1e6:.1f} MB; made again by: {COMMAND}")
    return 0


def pack_base(model: Path, into: Path) -> None:
    """Put a trained base, in eight bits, where ``into`` was; the same base twice gives the same bytes."""
    base = load_backbone(model, dtype=torch.float32)
    shutil.rmtree(into, ignore_errors=True)
    told = partial(_tell, model, how="eight bits", weights="int8 with a scale for each row")
    save_backbone(base, into, beside=told, eight_bit=True)


def pack_adapter(model: Path, into: Path) -> None:
    """Put a trained adapter, in half precision, where ``into`` was."""
    trained = read_adapter(model / WEIGHTS)
    pairs = {name: LoraPair(pair.a.half(), pair.b.half()) for name, pair in trained.pairs.items()}
    shutil.rmtree(into, ignore_errors=True)
    with atomic_dir(into) as part:
        write_adapter(part / WEIGHTS, replace(trained, pairs=pairs))
        _tell(model, part, how="half precision", weights="float16")


def _tell(model: Path, part: Path, *, how: str, weights: str) -> None:
    """Card and lineage of what was trained, and by what it was packed."""
    lineage = json.loads((model / LINEAGE).read_text("utf-8"))
    trained = str(lineage["command"])
    card = (model / CARD).read_text("utf-8")
    made = f"    {COMMAND}\n\nthat is\n\n    {trained}\n\nand its weights in {how}.\n"
    write_text(part / CARD, card.replace(f"    {trained}\n", made))
    write_json(part / LINEAGE, lineage | {"command": COMMAND, "weights": weights, "trained_by": trained})


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path, metavar="OUT", help="folder of everything that is made on the way")
    return parser


if __name__ == "__main__":
    raise SystemExit(main())
