"""Names of a LoRA's tensors in the three layouts that people have.

=========== =========================================================================== ======================
layout      example                                                                     module names
=========== =========================================================================== ======================
comfyui     ``diffusion_model.transformer_blocks.0.attn1.to_q.lora_A.weight``            as published
diffusers   ``transformer.transformer_blocks.0.attn1.to_q.lora_A.weight``                diffusers'
peft        ``base_model.model.transformer_blocks.0.attn1.to_q.lora_A.default.weight``   diffusers'
=========== =========================================================================== ======================

Read are also ``lora_down`` and ``lora_up`` with a stored ``alpha``, and peft's names without their prefix. Layers of
the connectors, which some public files change as well, are called ``connectors.…`` here and in diffusers' layout.
"""

from __future__ import annotations

import re
from typing import Literal

from dubflow.incontext.backbone.names import part_name, published_name, published_transformer_name, transformer_name

Layout = Literal["comfyui", "diffusers", "peft"]
LAYOUTS: tuple[Layout, ...] = ("comfyui", "diffusers", "peft")
_PREFIXES: dict[Layout, str] = {"comfyui": "diffusion_model.", "diffusers": "transformer.", "peft": "base_model.model."}
Kind = Literal["A", "B", "alpha"]
CONNECTORS = "connectors."
"""Begins the names of the connectors' layers."""
_ENDS = re.compile(r"(.+)\.(?:lora_(A|B|down|up)(?:\.[A-Za-z0-9_]+)?\.weight|(alpha))")
_KINDS: dict[str, Kind] = {"A": "A", "down": "A", "B": "B", "up": "B", "alpha": "alpha"}


def parse_key(key: str) -> tuple[Layout, str, Kind] | None:
    """Layout, diffusers' module name and kind of a tensor's name; None when it is no LoRA on the transformer."""
    found = _ENDS.fullmatch(key)
    if not found:
        return None
    module, kind = found[1], _KINDS[found[2] or found[3]]
    module = module.removeprefix("model.") if module.startswith("model.diffusion_model.") else module
    if module.startswith(CONNECTORS):
        return "diffusers", module, kind
    known = part_name(module.removeprefix("diffusion_model.")) or part_name("model." + module)
    if known and known[0] == "connectors":
        return "comfyui", CONNECTORS + known[1], kind
    for layout, prefix in _PREFIXES.items():
        if module.startswith(prefix):
            name = module.removeprefix(prefix)
            return layout, transformer_name(name) if layout == "comfyui" else name, kind
    if module.startswith("transformer_blocks."):
        return "peft", module, kind
    return None


def key_of(layout: Layout, module: str, kind: Literal["A", "B"]) -> str:
    """The name of a tensor in ``layout``; ``module`` is diffusers' name."""
    end = f".lora_{kind}.weight"
    if module.startswith(CONNECTORS):
        name = published_name("connectors", module.removeprefix(CONNECTORS)).removeprefix("model.")
        return (name if layout == "comfyui" else module) + end
    name = published_transformer_name(module) if layout == "comfyui" else module
    return _PREFIXES[layout] + name + end
