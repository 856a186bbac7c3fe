"""A base from nothing: material, the four trained parts one after the other, and the folder that diffusers reads.

A run's folder:

================= ======================================================================
``material/``     what is drawn and spoken (:mod:`.material`)
``arrays/``       the same, decoded; ``latents/``: the same, encoded
``audio_vae/`` …  one run a part (:mod:`.part`)
``model/``        the base: diffusers' layout, card.md, lineage.json; there once all is finished
================= ======================================================================

Every step of it goes on where it was stopped and is done once.
"""

from __future__ import annotations

import platform
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

from dubflow import __version__
from dubflow.atomic import write_json, write_text
from dubflow.config import load_preset
from dubflow.incontext.backbone.building import build_backbone
from dubflow.incontext.backbone.fingerprint import fingerprint
from dubflow.incontext.backbone.folders import save_backbone
from dubflow.incontext.backbone.memory import MemorySettings, arrange
from dubflow.incontext.backbone.parts import Backbone
from dubflow.incontext.backbone.settings import SECTION, BackboneSettings
from dubflow.incontext.pretraining.arrays import MaterialArrays, make_arrays
from dubflow.incontext.pretraining.initial import begin_silently, keep_variance
from dubflow.incontext.pretraining.joint import JointLoss, JointMaterial, trained
from dubflow.incontext.pretraining.latents import make_latents
from dubflow.incontext.pretraining.material import make_material, read_material
from dubflow.incontext.pretraining.part import Part, PartReport, train_part
from dubflow.incontext.pretraining.picture import PictureMaterial, set_video_statistics, video_vae_loss
from dubflow.incontext.pretraining.settings import (
    AudioVaeTraining,
    MaterialSettings,
    TransformerTraining,
    VideoVaeTraining,
    VocoderTraining,
)
from dubflow.incontext.pretraining.sound import SoundMaterial, VocoderLoss, audio_vae_loss, set_audio_statistics
from dubflow.progress import Progress
from dubflow.talkers.render import LICENCE
from dubflow.tracking import Record

MODEL = "model"
CARD, LINEAGE = "card.md", "lineage.json"
Reporting = Callable[[str, int | None, str], AbstractContextManager[Progress]]
"""Opens a display: what is done, how many there are, and of what."""


@dataclass(frozen=True)
class BasePreset:
    """All settings of a base, by what they are for."""

    name: str
    backbone: BackboneSettings
    material: MaterialSettings
    audio_vae: AudioVaeTraining
    vocoder: VocoderTraining
    video_vae: VideoVaeTraining
    transformer: TransformerTraining


@dataclass(frozen=True)
class BaseReport:
    """What :func:`train_base` did: the ``model`` folder and a report a part; ``found``: all was there already."""

    model: Path
    found: bool
    parts: tuple[PartReport, ...]

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self) | {"model": str(self.model)}


def base_preset(name: str) -> BasePreset:
    """The settings of preset ``name``.

    Raises:
        WrongUse: ``config.unknown_preset``. BadInput: ``config.bad_preset``.
    """
    return BasePreset(
        name=Path(name).stem,
        backbone=load_preset(name, SECTION, BackboneSettings),
        material=load_preset(name, MaterialSettings.section, MaterialSettings),
        audio_vae=load_preset(name, AudioVaeTraining.section, AudioVaeTraining),
        vocoder=load_preset(name, VocoderTraining.section, VocoderTraining),
        video_vae=load_preset(name, VideoVaeTraining.section, VideoVaeTraining),
        transformer=load_preset(name, TransformerTraining.section, TransformerTraining),
    )


def train_base(
    preset: BasePreset,
    out: Path,
    *,
    command: str,
    reporting: Reporting,
    record: Record | None = None,
    seed: int = 0,
) -> BaseReport:
    """Train a base in ``out``, or go on with it, or find it finished.

    Args:
        command: that would make it again; for card and lineage. reporting: opens a display for each piece of work.
        record: opens a record beside each part's own log. seed: of the first weights.

    Raises:
        WrongUse: ``training.other_run``, ``training.run_is_busy``, ``talkers.other_corpus``.
        OurFault: ``training.loss_not_finite``.
    """
    gpu = torch.cuda.is_available() and preset.transformer.accelerator != "cpu"
    built = build_backbone(preset.backbone, seed=seed)
    keep_variance(built.video_vae, seed)
    begin_silently(built.video_vae.decoder.conv_out)
    keep_variance(built.audio_vae, seed)
    backbone = arrange(built, MemorySettings(), "cuda" if gpu else "cpu")
    make_material(out / "material", preset.material)
    clips = read_material(out / "material")
    with reporting("Decoding", len(clips), "clips") as progress:
        arrays = make_arrays(out / "arrays", clips, preset.material.frames, progress)
    run = _Run(preset, backbone, arrays, out, reporting, record)
    parts = run.sound(), run.vocoder(), run.picture(), run.transformer()
    model = out / MODEL
    found = model.is_dir()
    if not found:
        _write_model(preset, backbone, model, parts, command)
    return BaseReport(model, found and all(part.found for part in parts), parts)


@dataclass(frozen=True)
class _Run:
    preset: BasePreset
    backbone: Backbone
    arrays: MaterialArrays
    out: Path
    reporting: Reporting
    record: Record | None

    def sound(self) -> PartReport:
        """The autoencoder of sound; its statistics are measured at the end and stored with it."""
        settings, vae, geometry = self.preset.audio_vae, self.backbone.audio_vae, self.backbone.geometry
        frames = (settings.tokens - 1) * geometry.audio_temporal + 1
        material = SoundMaterial(self.arrays, geometry, settings, frames)
        part = Part(
            "audio_vae",
            {"audio_vae": vae},
            lambda batch: audio_vae_loss(vae, batch, settings),
            material,
            settings,
            self._identity("audio_vae"),
            lambda: set_audio_statistics(vae, material),
        )
        return self._train(part)

    def vocoder(self) -> PartReport:
        """The vocoder, on spectrograms of which the autoencoder has decoded a share."""
        settings, geometry = self.preset.vocoder, self.backbone.geometry
        material = SoundMaterial(self.arrays, geometry, settings, settings.frames, self.backbone.audio_output_rate)
        loss = VocoderLoss(self.backbone.vocoder, self.backbone.audio_vae, settings, self.backbone.audio_output_rate)
        identity = self._identity("vocoder") | {"audio_vae": fingerprint(self.backbone.audio_vae)}
        return self._train(Part("vocoder", {"vocoder": self.backbone.vocoder}, loss, material, settings, identity))

    def picture(self) -> PartReport:
        """The autoencoder of pictures; its statistics are measured at the end and stored with it."""
        settings, vae = self.preset.video_vae, self.backbone.video_vae
        material = PictureMaterial(self.arrays, settings)
        part = Part(
            "vae",
            {"vae": vae},
            lambda batch: video_vae_loss(vae, batch, settings),
            material,
            settings,
            self._identity("video_vae"),
            lambda: set_video_statistics(vae, material),
        )
        return self._train(part)

    def transformer(self) -> PartReport:
        """The transformer with what reads prompts for it."""
        settings = self.preset.transformer
        with self.reporting("Encoding", len(self.arrays), "clips") as progress:
            latents = make_latents(self.out / "latents", self.arrays, self.backbone, progress)
        identity = (
            self._identity("transformer")
            | self._identity("text")
            | {"autoencoders": [fingerprint(self.backbone.audio_vae), fingerprint(self.backbone.video_vae)]}
        )
        material = JointMaterial(latents, self.backbone, settings)
        loss = JointLoss(self.backbone, settings)
        return self._train(Part("transformer", trained(self.backbone), loss, material, settings, identity))

    def _train(self, part: Part[Any]) -> PartReport:
        with self.reporting(f"Training {part.name}", part.settings.steps, "steps") as progress:
            report = train_part(part, self.out / part.name, record=self.record, progress=progress)
        for network in part.networks.values():
            network.to(self.backbone.device)  # the trainer leaves them in main memory
        return report

    def _identity(self, sizes: str) -> dict[str, Any]:
        return {
            "version": self.preset.backbone.version,
            sizes: getattr(self.preset.backbone, sizes).model_dump(mode="json"),
            "material": self.arrays.folder.name,
        }


def _write_model(
    preset: BasePreset, backbone: Backbone, folder: Path, parts: tuple[PartReport, ...], command: str
) -> None:
    """The base as a folder that appears whole, with its card and its lineage."""

    def beside(part: Path) -> None:
        write_text(part / CARD, card(preset, backbone, parts, command))
        write_json(part / LINEAGE, lineage(preset, backbone, parts, command))

    save_backbone(replace(backbone, world="embedded"), folder, beside=beside)


def lineage(preset: BasePreset, backbone: Backbone, parts: tuple[PartReport, ...], command: str) -> dict[str, Any]:
    """From what, by which versions and by which command the weights were made."""
    names = ("backbone", "material", "audio_vae", "vocoder", "video_vae", "transformer")
    return {
        "preset": preset.name,
        "settings": {name: getattr(preset, name).model_dump(mode="json") for name in names},
        "parts": {name: fingerprint(module) for name, module in backbone.modules().items()},
        "trained": [asdict(part) for part in parts],
        "world": "embedded",
        "licence": LICENCE,
        "command": command,
        "versions": {"dubflow": __version__, "python": platform.python_version()}
        | {name: version(name) for name in ("torch", "lightning", "diffusers", "transformers", "espeakng-loader")},
    }


def card(preset: BasePreset, backbone: Backbone, parts: tuple[PartReport, ...], command: str) -> str:
    """A model card in Markdown."""
    material = preset.material
    numbers = sum(one.numel() for module in backbone.modules().values() for one in module.parameters())
    held = [
        f"| {part.name} | {part.steps} steps, {part.parameters / 1e6:.2f} million parameters; held out: "
        f"{', '.join(f'{name} {value:.3f}' for name, value in part.held.items()) or 'see its log'} |"
        for part in parts
    ]
    return "\n".join(
        [
            f"# A small LTX-2 {backbone.version}, trained from nothing in the embedded world",
            "",
            "Drawn heads and synthetic voices. It says GRID commands and nothing else; it knows no real person.",
            "",
            "| | |",
            "|---|---|",
            f"| preset | {preset.name}; {numbers / 1e6:.2f} million parameters in all |",
            f"| pictures | {material.size} x {material.size}, 25 a second, {material.frames} frames a sentence |",
            f"| languages | {', '.join(material.languages)} |",
            f"| voices it never heard | {', '.join(material.held_out_voices)} |",
            *held,
            f"| licence | {LICENCE} |",
            "",
            "Made by:",
            "",
            f"    {command}",
            "",
        ]
    )
