"""All settings of a LoRA's training from one preset: ours, or a configuration of an LTX trainer."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from dubflow.config import load_preset
from dubflow.incontext.adapter.lora import LoraSettings
from dubflow.incontext.inference.settings import SECTION, InferenceSettings
from dubflow.incontext.training.ltx_config import import_ltx_config, is_ltx_config
from dubflow.incontext.training.settings import DataSettings, LoraTraining


@dataclass(frozen=True)
class LoraPreset:
    """Settings by what they are for, and what a person should know of them."""

    name: str
    lora: LoraSettings
    data: DataSettings
    training: LoraTraining
    inference: InferenceSettings
    notes: tuple[str, ...] = ()


def lora_preset(name: str) -> LoraPreset:
    """The preset ``name`` (shipped or a file), or what an LTX trainer's file comes to.

    Raises:
        WrongUse: ``config.unknown_preset``.
        BadInput: ``config.bad_preset``, ``incontext.foreign_settings``.
    """
    path = Path(name)
    if is_ltx_config(path):
        found = import_ltx_config(path)
        return LoraPreset(path.stem, found.lora, found.data, found.training, found.inference, found.notes)
    return LoraPreset(
        name=path.stem,
        lora=load_preset(name, LoraSettings.section, LoraSettings),
        data=load_preset(name, DataSettings.section, DataSettings),
        training=load_preset(name, LoraTraining.section, LoraTraining),
        inference=load_preset(name, SECTION, InferenceSettings),
    )
