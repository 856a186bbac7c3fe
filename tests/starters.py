"""Packages of the starter: as it is, with another card, or with weights that somebody spoilt."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
from safetensors import safe_open
from safetensors.numpy import load_file, save_file

from dubflow.diflow.stored import CARD, WEIGHTS, find_model
from dubflow.registry.package.diflow import build_package
from dubflow.registry.package.opening import ModelPackage

NAME = "dubber"


def starter_package(folder: Path, key: Path, number: int, noise: float = 0.0) -> ModelPackage:
    """A package of the starter whose weights have ``noise`` (of their own spread) added; speech goes bad at 0.3."""
    model = folder / f"model-{number}"
    shutil.copytree(find_model("starter"), model)
    with (model / CARD).open("a", encoding="utf-8") as card:
        card.write(f"\nCopy {number}.\n")
    if noise:
        with safe_open(model / WEIGHTS, "np") as file:
            about = file.metadata()
        rng = np.random.default_rng(number)
        spoilt = {}
        for name, weight in sorted(load_file(model / WEIGHTS).items()):
            wide = weight.astype(np.float32)
            spoilt[name] = (wide + noise * wide.std() * rng.standard_normal(wide.shape)).astype(weight.dtype)
        save_file(spoilt, model / WEIGHTS, about)
    return build_package(model, folder / f"package-{number}", key, name=NAME)
