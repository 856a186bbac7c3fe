"""The base that a LoRA is trained on, and its stored pairs."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import nn

from dubflow.incontext.backbone.loading import load_backbone
from dubflow.incontext.backbone.memory import without_text_encoder
from dubflow.incontext.backbone.named import find_base, is_tiny
from dubflow.incontext.backbone.parts import Backbone
from dubflow.incontext.backbone.tiny import tiny_backbone
from dubflow.incontext.pairs.manifest import PairManifest
from dubflow.incontext.pairs.tables import pairs_of
from dubflow.incontext.training.encoding import encode_pairs
from dubflow.incontext.training.latents import INDEX, LatentSet, read_index
from dubflow.incontext.training.precomputed import import_precomputed, is_precomputed
from dubflow.incontext.training.settings import DataSettings
from dubflow.progress import Progress
from dubflow.training.settings import RunSettings

_MOVED = ("vae", "audio_vae", "connectors", "vocoder", "text_encoder")


@dataclass(frozen=True)
class Source:
    """What a training is to learn from.

    Attributes:
        data: a folder of pairs, a table of them, a ``.precomputed`` tree, or a finished cache of latents.
        table: the table of the folder, where there are several.
        cache: where latents of pairs are kept.
    """

    data: Path
    table: Path | None
    cache: Path

    @property
    def encoded(self) -> bool:
        """Whether ``data`` is a finished cache."""
        return (self.data / INDEX).is_file()

    @property
    def precomputed(self) -> bool:
        """Whether ``data`` is a ``.precomputed`` tree of an LTX trainer."""
        return is_precomputed(self.data)

    def pairs(self) -> PairManifest:
        """The pairs.

        Raises:
            BadInput: what :func:`dubflow.incontext.pairs.tables.pairs_of` says.
        """
        return pairs_of(self.data, self.table)

    def survey(self) -> Mapping[str, Any]:
        """How many pairs there are, rejected ones apart, and whether they are encoded; writes nothing."""
        if self.encoded:
            index = read_index(self.data)
            return {"pairs": len(index.pairs), "rejected": len(index.left_out), "encoded": True}
        if self.precomputed:
            found = len(list(self.data.rglob("conditions/**/*.pt")))
            return {"pairs": found, "rejected": 0, "encoded": (self.cache / INDEX).is_file()}
        pairs = self.pairs()
        rejected = len(pairs) - len(pairs.accepted)
        return {"pairs": len(pairs.accepted), "rejected": rejected, "encoded": (self.cache / INDEX).is_file()}


def open_base(name: str, settings: RunSettings, *, with_text: bool) -> Backbone:
    """The base of this name, or in this folder or file: in bfloat16 for a GPU, in float32 for a CPU, as pairs are made.
    Its transformer stays in main memory until the trainer moves it; what encodes and decodes lies on this process's
    device.

    Raises:
        BadInput, WrongUse: those of :func:`dubflow.incontext.backbone.loading.load_backbone`.
    """
    if is_tiny(name):
        return tiny_backbone()
    on_cpu = settings.accelerator == "cpu" or not torch.cuda.is_available()
    base = load_backbone(find_base(name), dtype=torch.float32 if on_cpu else torch.bfloat16, with_text=with_text)
    if on_cpu:
        return base
    device = torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")))
    for part, module in base.modules().items():
        if part in _MOVED:
            nn.Module.to(module, device)
    return replace(base, device=device)


def encoded_pairs(
    source: Source, base: Backbone, settings: DataSettings, progress: Progress
) -> tuple[LatentSet, Backbone]:
    """The stored latents of ``source``, encoded now where they are not yet, and the base without its text encoder.

    Raises:
        BadInput: those of :func:`dubflow.incontext.training.encoding.encode_pairs` and of the cache.
    """
    if source.encoded:
        return LatentSet(source.data), without_text_encoder(base)
    if source.precomputed:
        taken = import_precomputed(source.data, base, source.cache, shard_mib=settings.shard_mib, progress=progress)
        progress.note(f"{taken.pairs} pairs taken over; {taken.bytes / 1e6:.1f} MB")
        return LatentSet(source.cache), without_text_encoder(base)
    landmarker = None
    if settings.masks == "given or faces":
        from dubflow.faces.landmarks import MediaPipeLandmarker

        landmarker = MediaPipeLandmarker()
    report = encode_pairs(source.pairs(), base, source.cache, settings, landmarker=landmarker, progress=progress)
    progress.note(
        f"{report.pairs} pairs encoded, {report.found} of them found so, {report.own_sound} with the base's own sound; "
        f"{report.bytes / 1e6:.1f} MB"
    )
    return LatentSet(source.cache), without_text_encoder(base)
