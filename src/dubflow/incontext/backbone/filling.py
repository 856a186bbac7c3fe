"""Parts from a configuration and tensors in files: built without memory, filled tensor by tensor."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from dubflow.errors import BadInput
from dubflow.incontext.backbone.building import build_part, part_class
from dubflow.incontext.backbone.configs import SPATIAL, TEMPORAL, Config
from dubflow.incontext.backbone.sizes import unknown
from dubflow.incontext.backbone.tensor_file import TensorFacts

_SAID = 3


def checked_config(part: str, stated: Mapping[str, Any]) -> Config:
    """A part's stated configuration without what a library notes in it, and without its traps.

    Raises:
        BadInput: ``incontext.unknown_base`` for rotary embeddings, ratios or fields that no published LTX-2 has.
    """
    config = {name: value for name, value in stated.items() if not name.startswith("_")}
    accepted = inspect.signature(part_class(part, config).__init__).parameters
    foreign = sorted(set(config) - set(accepted))
    if foreign:
        raise unknown(f"the {part}'s configuration has fields that diffusers does not know: {', '.join(foreign)}")
    if part in ("transformer", "connectors") and config.setdefault("rope_type", "split") != "split":
        raise unknown(f"the {part} states {config['rope_type']} rotary embeddings, and all published weights are split")
    if part == "vae":
        for name, ratio in (("spatial_compression_ratio", SPATIAL), ("temporal_compression_ratio", TEMPORAL)):
            if config.get(name) is None:
                config[name] = ratio  # left out, diffusers computes twice as much
            if config[name] != ratio:
                raise unknown(f"the video autoencoder states a {name} of {config[name]}, not {ratio}")
    if part == "audio_vae":
        defaults = {name: parameter.default for name, parameter in accepted.items()}
        value = defaults | config
        if value["base_channels"] != value["latent_channels"] * value["mel_bins"] // 4:
            raise unknown("the audio autoencoder's base channels do not fit the statistics of its tokens")
    return config


def fill_part(
    part: str,
    config: Config,
    facts: Mapping[str, TensorFacts],
    load: Callable[[str], Tensor],
    dtype: torch.dtype,
    device: torch.device | str = "cpu",
) -> Any:
    """A part with the tensors of files, cast to ``dtype`` one by one.

    Raises:
        BadInput: ``incontext.unknown_base`` when names or shapes are not those of the configuration.
    """
    # The vocoder has filters that are computed and not stored; it is small enough to be built in full.
    try:
        built = build_part(part, config, "cpu" if part == "vocoder" else "meta")
    except (TypeError, ValueError, RuntimeError, IndexError, ZeroDivisionError) as error:
        raise unknown(f"the {part}'s configuration builds nothing ({error})") from error
    expected = built.state_dict()
    missing, foreign = sorted(set(expected) - set(facts)), sorted(set(facts) - set(expected))
    wrong = [name for name in expected if name in facts and tuple(expected[name].shape) != facts[name].shape]
    for what, names in (("lacks", missing), ("has unknown", foreign), ("has other shapes for", wrong)):
        if names:
            raise unknown(f"the {part} {what} {', '.join(names[:_SAID])}{' …' if len(names) > _SAID else ''}")
    for name in expected:
        tensor = load(name)
        kept = dtype if tensor.is_floating_point() else tensor.dtype
        _assign(built, name, tensor.to(device, kept))
    left = [name for name, tensor in built.state_dict().items() if tensor.is_meta]
    if left:
        raise BadInput("incontext.unknown_base", f"The {part} is not filled: {', '.join(left[:_SAID])}.", "")
    for name, buffer in built.named_buffers():
        if name not in expected:  # computed, not stored
            _assign(built, name, buffer.to(device, dtype))
    return built.eval()


def _assign(part: nn.Module, name: str, tensor: Tensor) -> None:
    # load_state_dict walks the whole part for every call, and given all tensors at once it wants all in memory.
    where, _, last = name.rpartition(".")
    owner = part.get_submodule(where)
    if last in owner._parameters:
        owner._parameters[last] = nn.Parameter(tensor)
    else:
        owner._buffers[last] = tensor
