"""Adapters on a base: beside its weights while it runs, or added into them for good.

A base of 38 GB is fused a tensor at a time, ``W + sum of strength B A``, in float32, and rounded once to the base's own
type; 8-bit weights with a stored scale are added to under their scale.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from dubflow.atomic import atomic_dir
from dubflow.errors import BadInput, WrongUse
from dubflow.incontext.adapter.files import Adapter, LoraPair
from dubflow.incontext.adapter.metadata import UseSettings
from dubflow.incontext.backbone.folders import SHARD_BYTES, write_part
from dubflow.incontext.backbone.settings import Version
from dubflow.incontext.backbone.sources import Base, PartSource, open_base
from dubflow.incontext.backbone.tensor_file import TensorFacts, facts_of

Weighted = tuple[Adapter, float]
"""An adapter and its strength."""
_FLOAT8 = (torch.float8_e4m3fn, torch.float8_e5m2)


@dataclass(frozen=True)
class Fused:
    """What fusing did or would do."""

    version: Version
    tensors: int
    changed: int
    """Tensors that an adapter changes."""
    bytes: int
    left_out: tuple[str, ...] = ()
    """Layers of the adapters that are not the transformer's."""
    files: tuple[Path, ...] = ()


def check_fit(adapter: Adapter, facts: Mapping[str, TensorFacts], version: Version) -> None:
    """Refuse an adapter that is not for a transformer with these tensors (diffusers' names).

    Raises:
        BadInput: ``incontext.version_mismatch``, ``incontext.adapter_does_not_fit``.
    """
    adapter.metadata.check_use(UseSettings(base_version=version))
    for module, pair in adapter.transformer.items():
        weight = facts.get(f"{module}.weight")
        wanted = (int(pair.b.shape[0]), int(pair.a.shape[1]))
        if weight is None or weight.shape != wanted:
            there = "has no such layer" if weight is None else f"has {list(weight.shape)} there"
            raise BadInput(
                "incontext.adapter_does_not_fit",
                f"The adapter changes {module} by {list(wanted)}, and the base {there}.",
                "It was trained on another base.",
                module=module,
            )


def plan_fuse(base: Path, adapters: Sequence[Weighted]) -> Fused:
    """Check everything and say what :func:`fuse` would do, from headers alone."""
    return _planned(open_base(base), adapters)


def fuse(base: Path, adapters: Sequence[Weighted], out: Path, shard_bytes: int = SHARD_BYTES) -> Fused:
    """Write the transformer of ``base`` with ``adapters`` added, as a folder in diffusers' layout.

    Args:
        base: diffusers' folder, its ``transformer`` folder, or a published checkpoint.
        adapters: with strengths; several are added one after the other.
        out: the transformer's folder; must not exist.
        shard_bytes: size of the files.

    Raises:
        BadInput: as :func:`check_fit` and :func:`dubflow.incontext.backbone.loading.load_backbone`.
        WrongUse: ``incontext.folder_exists``.
    """
    if out.exists():
        raise WrongUse("incontext.folder_exists", f"{out} exists.", "Name a folder that does not exist yet.")
    opened = open_base(base)
    planned = _planned(opened, adapters)
    source = opened.parts["transformer"]
    config = {"_class_name": "LTX2VideoTransformer3DModel", **source.config}
    with atomic_dir(out) as part:
        files = write_part(part, config, source.facts, _adding(source, adapters), shard_bytes)
        names = tuple(path.name for path in files)
    return replace(planned, files=tuple(out / name for name in names))


def with_loras(transformer: Any, adapters: Mapping[str, Weighted], version: Version) -> tuple[str, ...]:
    """Put adapters beside the transformer's weights, in place, all of them active.

    Each keeps its name, so ``transformer.set_adapters(names, weights)`` chooses among them later: a second stage runs
    with the dubbing adapter and the distilled one.

    Returns:
        Layers of the adapters that are left out, because they are not the transformer's.

    Raises:
        BadInput: as :func:`check_fit`.
    """
    from peft import LoraConfig
    from peft.utils import set_peft_model_state_dict

    dtype = transformer.dtype
    plain = _plain(transformer)
    for adapter, _ in adapters.values():
        check_fit(adapter, plain, version)
    for name, (adapter, _) in adapters.items():
        ranks = {module: pair.rank for module, pair in adapter.transformer.items()}
        usual = max(ranks.values())
        others = {module: rank for module, rank in ranks.items() if rank != usual}
        config = LoraConfig(
            r=usual, lora_alpha=usual, target_modules=list(ranks), rank_pattern=others, alpha_pattern=others
        )
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "Already found a `peft_config`")  # several are meant
            transformer.add_adapter(config, adapter_name=name)
        weights = {}
        for module, pair in adapter.transformer.items():
            weights[f"{module}.lora_A.weight"], weights[f"{module}.lora_B.weight"] = pair.a, pair.b
        set_peft_model_state_dict(transformer, weights, adapter_name=name)
    for name, parameter in transformer.named_parameters():
        if ".lora_" in name:
            parameter.data = parameter.data.to(dtype)  # as the layers beside them
            parameter.requires_grad_(False)
    transformer.set_adapters(list(adapters), [strength for _, strength in adapters.values()])
    return _left_out([adapter for adapter, _ in adapters.values()])


@torch.no_grad()
def fuse_live(transformer: Any, adapters: Sequence[Weighted], version: Version) -> tuple[str, ...]:
    """Add adapters into the weights of a transformer in memory, in place and for good.

    Returns:
        As :func:`with_loras`.

    Raises:
        BadInput: as :func:`check_fit`.
    """
    facts = _plain(transformer)
    for adapter, _ in adapters:
        check_fit(adapter, facts, version)
    for module in sorted({name for adapter, _ in adapters for name in adapter.transformer}):
        gains = [(adapter.pairs[module], strength) for adapter, strength in adapters if module in adapter.pairs]
        layer = transformer.get_submodule(module)
        weight = getattr(layer, "base_layer", layer).weight
        weight.copy_(added(weight, gains))
    return _left_out([adapter for adapter, _ in adapters])


def _planned(base: Base, adapters: Sequence[Weighted]) -> Fused:
    facts = base.parts["transformer"].facts
    for adapter, _ in adapters:
        check_fit(adapter, facts, base.version)
    changed = {module for adapter, _ in adapters for module in adapter.transformer}
    left = _left_out([adapter for adapter, _ in adapters])
    return Fused(base.version, len(facts), len(changed), sum(fact.bytes for fact in facts.values()), left)


def _plain(transformer: Any) -> dict[str, TensorFacts]:
    """Tensors of a transformer by the names they have where no adapter lies beside them."""
    return {name.replace(".base_layer.", "."): facts_of(tensor) for name, tensor in transformer.state_dict().items()}


def _left_out(adapters: Sequence[Adapter]) -> tuple[str, ...]:
    return tuple(sorted({module for adapter in adapters for module in adapter.connectors}))


def _adding(source: PartSource, adapters: Sequence[Weighted]) -> Callable[[str], Tensor]:
    def load(name: str) -> Tensor:
        tensor = source.load(name)
        gains = [
            (adapter.pairs[module], strength)
            for adapter, strength in adapters
            if (module := name.removesuffix(".weight")) in adapter.pairs and name.endswith(".weight")
        ]
        return added(tensor, gains) if gains else tensor

    return load


def added(weight: Tensor, gains: Sequence[tuple[LoraPair, float]]) -> Tensor:
    """``weight`` with LoRAs added, in its own dtype: one rounding, and in 8 bits no overflow into nothing."""
    total = weight.float()
    for pair, strength in gains:
        a, b = pair.a.to(total), pair.b.to(total)
        total = total + (b * strength) @ a
    if weight.dtype in _FLOAT8:
        limit = torch.finfo(weight.dtype).max
        total = total.clamp(-limit, limit)
    return total.to(weight.dtype)
