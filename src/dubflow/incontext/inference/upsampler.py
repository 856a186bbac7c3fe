"""The latent upsampler that stands between two stages: diffusers' class, weights as safetensors."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from dubflow.errors import BadInput, WrongUse
from dubflow.incontext.backbone.folders import part_files


def load_upsampler(folder: Path, *, dtype: torch.dtype, device: torch.device | str) -> Any:
    """The upsampler in a folder of diffusers' layout, in evaluation mode.

    Raises:
        WrongUse: ``incontext.no_upsampler``.
        BadInput: ``incontext.no_weights``, ``incontext.bad_tensor_file``, ``incontext.bad_upsampler``.
    """
    from diffusers.pipelines.ltx2.latent_upsampler import LTX2LatentUpsamplerModel

    if not folder.is_dir():
        raise WrongUse(
            "incontext.no_upsampler",
            f"Two stages need a latent upsampler, and {folder.parent.name} has no folder {folder.name}.",
            "Add it to the model's folder, or dub in one stage.",
        )
    config, files = part_files(folder)
    stated = {name: value for name, value in config.items() if not name.startswith("_")}
    try:
        with torch.device("meta"):
            model = LTX2LatentUpsamplerModel(**stated)
        weights = {name: files.load(name).to(device, dtype) for name in files.facts}
        # A blur kernel is no weight but a constant of the class, and may or may not be among the stored tensors.
        model.load_state_dict(weights, strict=True, assign=True)
    except (TypeError, ValueError, RuntimeError) as error:
        raise BadInput(
            "incontext.bad_upsampler", f"{folder} is no latent upsampler: {error}", "Fetch the folder again."
        ) from error
    return model.eval()
