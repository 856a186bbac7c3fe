"""Small clips in pairs, stored latents of a tiny base, and settings of a run that takes a second."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from safetensors.torch import load_file

from dubflow.incontext.adapter.lora import LoraSettings
from dubflow.incontext.backbone.tiny import tiny_backbone
from dubflow.incontext.inference.settings import InferenceSettings
from dubflow.incontext.pairs.manifest import PairFile, PairHeader, PairManifest, PairRow, read_pairs
from dubflow.incontext.training.encoding import encode_pairs
from dubflow.incontext.training.latents import LatentSet
from dubflow.incontext.training.settings import DataSettings, LoraTraining
from dubflow.incontext.training.task import LoraTask
from dubflow.media.digest import sha256_file
from dubflow.media.encode import write_clip

DATA = DataSettings(width=64, height=64, frames=9)
TRAIN: dict[str, Any] = {
    "steps": 8,
    "precision": "fp32",
    "accelerator": "cpu",
    "rates": {"default": 1e-2, "patterns": [["audio", 5e-3]]},
    "checkpoint_every": 2,
    "validate_every": 100,
    "validate_pairs": 2,
    "validate_dubs": 0,
    "log_every": 4,
}
LORA = {"rank": 2}
INFERENCE = {"steps": 2, "width": 64, "height": 64, "frames": 25, "guidance": 2.0}


def clip(path: Path, seed: int, frames: int = 10, *, sound: bool = True) -> PairFile:
    """A drawn clip: a bright square that moves over a plain ground, and a tone."""
    rng = np.random.default_rng(seed)
    pictures = []
    for frame in range(frames):
        picture = np.full((64, 64, 3), 40 + 10 * (seed % 5), np.uint8)
        left = (5 * frame + 7 * seed) % 40
        picture[20:44, left : left + 24] = rng.integers(80, 255, 3)
        pictures.append(picture)
    tone = 0.2 * np.sin(2 * np.pi * (200 + 40 * seed) * np.arange(frames * 640) / 16000)
    write_clip(path, pictures, 25, tone.astype(np.float32) if sound else None)
    return PairFile(path=path.name, sha256=sha256_file(path))


def write_pairs(folder: Path, count: int = 5, *, mask: bool = True) -> PairManifest:
    """Pairs in a folder, the last one held out, the first one with a mask."""
    folder.mkdir(parents=True, exist_ok=True)
    rows = []
    for number in range(count):
        white = None
        if mask and number == 0:
            path = folder / "mask.mp4"
            picture = np.zeros((64, 64, 3), np.uint8)
            picture[:32, :32] = 255
            write_clip(path, [picture] * 10, 25)
            white = PairFile(path=path.name, sha256=sha256_file(path))
        rows.append(
            PairRow(
                id=f"pair/{number}",
                context=clip(folder / f"{number}-context.mp4", 2 * number),
                target=clip(folder / f"{number}-target.mp4", 2 * number + 1),
                mask=white,
                prompt=f"Somebody is speaking French, saying: {number}",
                target_language="fr",
                split="val" if number >= count - 1 else "train",
            )
        )
    PairManifest(PairHeader(name="drawn", world="embedded"), rows, folder).write()
    return read_pairs(folder)


class Room:
    """Pairs, their latents, and tasks on a fresh tiny base."""

    def __init__(self, root: Path) -> None:
        self.pairs, self.latents = root / "pairs", root / "latents"
        if not (self.latents / "latents.json").exists():
            encode_pairs(write_pairs(self.pairs), tiny_backbone(), self.latents, DATA)

    def task(self, start: Path | None = None, lora: Mapping[str, Any] = LORA, **changes: Any) -> LoraTask:
        """A task with changed settings."""
        return LoraTask(
            latents=LatentSet(self.latents),
            backbone=tiny_backbone(),
            base="tiny",
            lora=LoraSettings.model_validate(lora),
            settings=LoraTraining.model_validate(TRAIN | changes),
            inference=InferenceSettings.model_validate(INFERENCE),
            preset="small",
            start=start,
        )

    def preset(self, folder: Path, **changes: Any) -> Path:
        """A preset file of the same figures."""
        path = folder / "small.yaml"
        sections = {
            "incontext.data": DATA.model_dump(),
            "incontext.lora": dict(LORA),
            "incontext.training": TRAIN | changes,
            "incontext.inference": INFERENCE,
        }
        path.write_text(yaml.safe_dump(sections))
        return path

    def words(self, out: Path, preset: Path) -> list[str | Path]:
        """``dubflow train lora`` on the latents."""
        words: list[str | Path] = ["train", "lora", "--data", self.latents, "--base", "tiny", "--out", out]
        return [*words, "--preset", preset, "--track", "none"]


def shared_room(factory: pytest.TempPathFactory) -> Room:
    """The room of this test run."""
    return Room(factory.getbasetemp() / "lora-room")


def weights(run: Path) -> dict[str, torch.Tensor]:
    """Weights of the adapter that a run made."""
    return load_file(run / "model" / "adapter.safetensors")


def equal(one: Mapping[str, torch.Tensor], other: Mapping[str, torch.Tensor]) -> bool:
    """Whether two sets of weights are the same to the bit."""
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


def greatest_difference(one: Mapping[str, torch.Tensor], other: Mapping[str, torch.Tensor]) -> float:
    """Between two sets of weights of the same names."""
    assert one.keys() == other.keys()
    return max(float((one[name] - other[name]).abs().max()) for name in one)
