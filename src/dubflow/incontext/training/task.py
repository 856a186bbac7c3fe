"""What a training of a LoRA is made from, and what it leaves: adapter, card, lineage."""

from __future__ import annotations

import hashlib
import json
import platform
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from torch import Tensor

from dubflow import __version__
from dubflow.atomic import atomic_dir, write_json, write_text
from dubflow.incontext.adapter.files import Adapter, adapter_from, read_adapter, write_adapter
from dubflow.incontext.adapter.lora import WEIGHTS, LoraSettings
from dubflow.incontext.adapter.metadata import AdapterMetadata
from dubflow.incontext.backbone.fingerprint import fingerprint
from dubflow.incontext.backbone.parts import Backbone
from dubflow.incontext.inference.settings import InferenceSettings
from dubflow.incontext.training.latents import LatentIndex, LatentSet
from dubflow.incontext.training.settings import FPS, LoraTraining
from dubflow.media.digest import sha256_file

FORMAT = "dubflow.training/1"
CARD, LINEAGE = "card.md", "lineage.json"


@dataclass(frozen=True)
class LoraTask:
    """All that a run is made from, apart from where it writes.

    Attributes:
        latents: stored pairs. backbone: the base, whose transformer has no LoRA yet. base: how it was named.
        lora, settings: of the preset ``preset``. inference: how validation dubs.
        start: an adapter whose weights the training begins with.
    """

    latents: LatentSet
    backbone: Backbone
    base: str
    lora: LoraSettings
    settings: LoraTraining
    inference: InferenceSettings
    preset: str
    start: Path | None = None

    def identity(self) -> dict[str, Any]:
        """What must be equal for a run to go on, as JSON."""
        index = self.latents.index
        pairs = sorted((name, pair.key, pair.text, pair.split or "") for name, pair in index.pairs.items())
        identity = {
            "format": FORMAT,
            "stage": "lora",
            "preset": self.preset,
            "base": {"version": self.backbone.version, "transformer": fingerprint(self.backbone.transformer)},
            "lora": self.lora.model_dump(mode="json"),
            "settings": self.settings.identity(),
            "data": hashlib.sha256(json.dumps([index.settings, pairs]).encode()).hexdigest(),
        }
        return identity if self.start is None else identity | {"start": sha256_file(self.start)}

    def tags(self, identity: dict[str, Any]) -> dict[str, str]:
        """What a record of runs is searched by."""
        return {
            "stage": "lora",
            "preset": self.preset,
            "world": self.latents.index.world,
            "data": identity["data"],
            "base": identity["base"]["transformer"],
            "start": identity.get("start", "none"),
        }

    def start_weights(self) -> dict[str, Any] | None:
        """The adapter to begin with under the LoRA's names, or None.

        Raises:
            BadInput: what the adapter's reader says, ``incontext.version_mismatch``.
        """
        if self.start is None:
            return None
        adapter = read_adapter(self.start)
        adapter.metadata.check_use(self.metadata({}), allow=True)  # it learns these settings now; the base stays
        return {
            f"{module}.lora_{side}.weight": value
            for module, pair in adapter.transformer.items()
            for side, value in (("A", pair.a), ("B", pair.b))
        }

    def metadata(self, identity: dict[str, Any]) -> AdapterMetadata:
        """What is recorded in the adapter: without it nobody knows how to run it."""
        settings, index = self.settings, self.latents.index
        told = json.dumps([self.lora.model_dump(mode="json"), settings.identity(), index.settings], sort_keys=True)
        return AdapterMetadata(
            base_version=self.backbone.version,
            video_positions="same",
            audio_positions=settings.audio_positions,
            mask_scheme=settings.scheme.av,
            reference_order=settings.order,
            sigma_sharing="per_modality" if settings.levels.per_modality else "shared",
            prompt_template=self.inference.prompt_template,
            frame_rate=FPS,
            sampler_preset=self.inference.sampler_preset,
            reference_downscale_factor=1,
            reference_spatial_scale_factor=1,
            reference_temporal_scale_factor=1,
            licence=index.licence,
            dataset_id=identity.get("data"),
            config_sha256=hashlib.sha256(told.encode()).hexdigest(),
            world=index.world,
        )


def write_result(
    task: LoraTask, identity: dict[str, Any], weights: Mapping[str, Tensor], folder: Path, command: str
) -> None:
    """Adapter (ComfyUI's layout), card and lineage as ``folder``, which appears whole."""
    adapter: Adapter = adapter_from(weights, task.metadata(identity))
    with atomic_dir(folder) as part:
        write_text(part / CARD, card(task, adapter, command))
        write_json(part / LINEAGE, lineage(task, identity, command))
        write_adapter(part / WEIGHTS, adapter)


def lineage(task: LoraTask, identity: dict[str, Any], command: str) -> dict[str, Any]:
    """From what, by which versions and by which command the weights were made."""
    index = task.latents.index
    return {
        "run": identity,
        "pairs": {
            "name": index.source,
            "count": len(index.pairs),
            "left_out": index.left_out,
            "unmasked": index.unmasked,
        },
        "encoded_by": index.parts,
        "world": index.world,
        "licence": index.licence,
        "languages": _languages(index),
        "base": task.base,
        "command": command,
        "versions": {"dubflow": __version__, "python": platform.python_version()}
        | {name: version(name) for name in ("torch", "lightning", "diffusers", "peft")},
    }


def card(task: LoraTask, adapter: Adapter, command: str) -> str:
    """A model card in Markdown."""
    index, settings = task.latents.index, task.settings
    pairs = [pair for pair in index.pairs.values() if pair.split in ("train", None)]
    unmasked = sum(not pair.masked for pair in pairs)
    world = "the embedded world: drawn heads, synthetic voices" if index.world == "embedded" else "real recordings"
    languages = ", ".join(_languages(index)) or "unknown"
    return "\n".join(
        [
            f"# JUST-DUB-IT adapter for LTX-2 {task.backbone.version}",
            "",
            "| | |",
            "|---|---|",
            f"| preset | {task.preset}; rank {task.lora.rank}, {adapter.tensors} tensors, "
            f"{adapter.parameters / 1e6:.2f} million parameters |",
            f"| trained on | {len(pairs)} pairs of {index.source}: {world} |",
            f"| without a face mask | {unmasked} of these; their loss weighs all of the picture alike |",
            f"| languages | {languages} |",
            f"| size | {index.settings.get('width', '?')} x {index.settings.get('height', '?')}, up to "
            f"{index.settings.get('frames', '?')} frames at {FPS} a second |",
            f"| steps | {settings.steps}, {settings.step_items} pairs each |",
            f"| base | {task.base} |",
            f"| licence | {index.licence or 'unknown'}; a derivative of its base stays under the base's terms |",
            "",
            "Made by:",
            "",
            f"    {command}",
            "",
            "It runs on this version of the base alone, under the masks and positions recorded in its file. What it",
            "was trained on bounds what it can do. Do not use it to make somebody say what they did not agree to say.",
            "",
        ]
    )


def _languages(index: LatentIndex) -> list[str]:
    """Languages of the targets that are trained on, where known."""
    pairs = [pair for pair in index.pairs.values() if pair.split in ("train", None)]
    return sorted({pair.language for pair in pairs if pair.language})
