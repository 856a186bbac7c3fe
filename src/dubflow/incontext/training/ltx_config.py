"""Settings of LTX trainers (``justdubit.yaml``, ``av2av_ic_lora.yaml``) as ours.

What a file says that we do otherwise is refused; what has no place here (paths, hubs, trackers) is named in the notes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from dubflow.config import validated
from dubflow.errors import BadInput
from dubflow.incontext.adapter.lora import LoraSettings
from dubflow.incontext.inference.settings import InferenceSettings
from dubflow.incontext.training.settings import FPS, DataSettings, LoraTraining

_SECTIONS = ("training_strategy", "optimization")
_OURS = {
    "model", "lora", "training_strategy", "optimization", "acceleration", "data", "validation", "checkpoints",
    "flow_matching", "hub", "wandb", "seed", "output_dir",
}  # fmt: skip


@dataclass(frozen=True)
class Imported:
    """What a file comes to, and what of it was not taken over."""

    lora: LoraSettings
    data: DataSettings
    training: LoraTraining
    inference: InferenceSettings
    notes: tuple[str, ...] = field(default=())


def is_ltx_config(path: Path) -> bool:
    """Whether a YAML file is one of an LTX trainer."""
    return path.suffix in (".yaml", ".yml") and path.is_file() and all(name in _content(path) for name in _SECTIONS)


def import_ltx_config(path: Path) -> Imported:
    """Read a configuration of an LTX trainer.

    Raises:
        BadInput: ``incontext.foreign_settings`` for what is done otherwise here; ``incontext.bad_trainer_file``.
    """
    content = _content(path)
    reader = _Reader(path, content)
    lora, lr, run = reader.section("lora"), reader.section("optimization"), reader.section("acceleration")
    shown, kept = reader.section("validation"), reader.section("checkpoints")
    reader.must(lora.get("alpha", lora.get("rank")) == lora.get("rank"), "lora.alpha differs from rank")
    reader.must(lr.get("optimizer_type", "adamw") == "adamw", "the optimizer is not AdamW")
    reader.must(lr.get("scheduler_type", "linear") in ("linear", "constant"), "the schedule is not linear or constant")
    reader.must(not lr.get("scheduler_params"), "the schedule has parameters of its own")
    reader.must(run.get("quantization") is None, "the base is quantised")
    precision = {"bf16": "bf16", "no": "fp32"}.get(str(run.get("mixed_precision_mode", "bf16")))
    reader.must(precision is not None, "the precision is neither bf16 nor fp32")
    mode = reader.section("flow_matching").get("timestep_sampling_mode", "shifted_logit_normal")
    reader.must(mode == "shifted_logit_normal", "noise levels are not shifted logit-normal")
    reader.must(shown.get("frame_rate", FPS) == FPS, f"clips are not at {FPS} frames a second")
    groups = lr.get("learning_rate_groups") or {}
    width, height, frames = shown.get("video_dims", (640, 352, 121))
    training = {
        "steps": lr.get("steps", 2000),
        "accumulate": int(lr.get("batch_size", 1)) * int(lr.get("gradient_accumulation_steps", 1)),
        "clip_norm": lr.get("max_grad_norm", 1.0),
        "rates": {
            "default": _number(lr.get("learning_rate", 2e-4)),
            "patterns": [(k, _number(v)) for k, v in groups.items()],
        },
        "final_share": 0.1 if lr.get("scheduler_type", "linear") == "linear" else 1.0,
        "gradient_checkpointing": lr.get("enable_gradient_checkpointing", True),
        "precision": precision,
        "seed": content.get("seed", 42),
        **({"validate_every": shown["interval"]} if shown.get("interval") else {}),
        **({"checkpoint_every": kept["interval"]} if kept.get("interval") else {}),
        **_strategy(reader),
    }
    inference = {"width": width, "height": height, "frames": frames, "sampler_preset": "code"}
    inference |= {ours: shown[name] for name, ours in _SHOWN.items() if name in shown}
    sizes = {"width": width, "height": height, "frames": frames}
    layers = {name: lora[theirs] for name, theirs in _LAYERS.items() if theirs in lora}
    return Imported(
        lora=validated(LoraSettings, layers, path.name),
        data=validated(DataSettings, sizes, path.name),
        training=validated(LoraTraining, training, path.name),
        inference=validated(InferenceSettings, inference, path.name),
        notes=tuple(reader.notes()),
    )


_SHOWN = {"inference_steps": "steps", "guidance_scale": "guidance", "negative_prompt": "negative_prompt"}
_LAYERS = {"rank": "rank", "dropout": "dropout", "targets": "target_modules"}


def _strategy(reader: _Reader) -> dict[str, Any]:
    """The strategies justdubit, and flexible with a reference of picture and sound."""
    strategy = reader.section("training_strategy")
    name = strategy.get("name")
    if name == "justdubit":
        masks = strategy.get("mask_config") or {}
        reader.must(strategy.get("with_audio", True), "sound is not trained")
        reader.must(not masks.get("use_soft_masks"), "masks are soft")
        reader.must(masks.get("mask_threshold", 0.1) == 0.1, "masks are not cut at 0.1")
        weighed = bool(masks.get("use_masked_loss"))
        return {
            "first_frame_p": strategy.get("first_frame_conditioning_p", 0.1),
            "scheme": {"av": "isolated" if strategy.get("enable_cross_attention_masking") else "none"},
            "face_weight": masks.get("mask_loss_weight", 1.0) if weighed else 1.0,
            "scene_weight": masks.get("background_loss_weight", 0.1) if weighed else 1.0,
        }
    reader.must(name == "flexible", f"the strategy is {name!r}")
    first = 0.0
    for modality in ("video", "audio"):
        part = strategy.get(modality)
        reader.must(isinstance(part, Mapping) and bool(part.get("is_generated", True)), f"{modality} is not generated")
        conditions = (part or {}).get("conditions") or []
        kinds = [condition.get("type") for condition in conditions]
        reader.must(kinds.count("reference") == 1, f"{modality} has not one reference")
        for condition in conditions:
            kind = condition.get("type")
            reader.must(kind in ("reference", "first_frame"), f"{modality} has a condition {kind!r}")
            if kind == "reference":
                reader.must(condition.get("probability", 1.0) == 1, "a reference is left out at times")
                reader.must(not condition.get("source_phase"), "references are told apart by a rotary phase")
            else:
                first = float(condition.get("probability", 1.0))
    # This trainer draws a level for each modality, stretches the distribution, and masks nothing between modalities.
    return {
        "first_frame_p": first,
        "scheme": {"av": "none"},
        "levels": {"per_modality": True, "stretched": True},
        "scene_weight": 1.0,
    }


class _Reader:
    """Sections of a file, and what of them does not fit."""

    def __init__(self, path: Path, content: Mapping[str, Any]) -> None:
        self.path, self.content = path, content

    def section(self, name: str) -> Mapping[str, Any]:
        """A section, empty where there is none."""
        value = self.content.get(name) or {}
        if not isinstance(value, Mapping):
            raise BadInput("incontext.foreign_settings", f"{self.path.name}: {name} has no names.", "Repair the file.")
        return value

    def must(self, fits: bool, what: str) -> None:
        """Refuse unless it fits."""
        if not fits:
            raise BadInput(
                "incontext.foreign_settings",
                f"{self.path.name}: {what}; dubflow does that otherwise.",
                "Write a preset of your own: configs/code.yaml has the sections.",
            )

    def notes(self) -> list[str]:
        """What is not taken over."""
        root = self.section("data").get("preprocessed_data_root")
        found = [f"data: name it with --data ({root})"] if root else []
        model = self.section("model").get("model_path")
        found += [f"model: name it with --base ({model})"] if model else []
        found += [f"{name}: unknown, not taken over" for name in sorted(self.content.keys() - _OURS)]
        if self.section("validation").get("stg_scale"):
            found.append("validation: guidance by perturbed attention (STG) is not used here")
        return found


def _content(path: Path) -> Mapping[str, Any]:
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise BadInput("incontext.bad_trainer_file", f"{path.name} is not YAML: {error}.", "Repair it.") from error
    return content if isinstance(content, Mapping) else {}


def _number(value: Any) -> Any:
    """YAML reads 2e-4 as text."""
    try:
        return float(value)
    except (TypeError, ValueError):
        return value
