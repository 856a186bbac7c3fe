"""diffusers' folder layout: one folder a part, configuration as JSON, weights as safetensors, large ones in shards."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from dubflow.atomic import atomic_dir, write_json
from dubflow.errors import BadInput, WrongUse
from dubflow.incontext.backbone.parts import Backbone
from dubflow.incontext.backbone.tensor_file import TensorFacts, TensorFiles, facts_of, write_tensor_file
from dubflow.quiet import advice_hidden
from dubflow.training.eight_bit import packed

STEM = "diffusion_pytorch_model"
CONFIG = "config.json"
INDEX = "model_index.json"
SHARD_BYTES = 5 * 10**9
WORLD_KEY = "_dubflow_world"
"""In the index of a base that was made here; diffusers passes over keys that begin so."""


def weight_files(folder: Path) -> list[Path]:
    """The safetensors files of a part.

    Raises:
        BadInput: ``incontext.no_weights``; weights in formats that can carry code count as none.
    """
    index = folder / f"{STEM}.safetensors.index.json"
    if index.is_file():
        try:
            names = set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values())
        except (ValueError, KeyError, AttributeError) as error:
            raise BadInput(
                "incontext.no_weights", f"{index} is no index of shards: {error}", "Fetch it again."
            ) from error
        files = [folder / Path(str(name)).name for name in sorted(names)]
    else:
        files = sorted(folder.glob(f"{STEM}*.safetensors"))[:1]
    lacking = [path.name for path in files if not path.is_file()]
    if lacking or not files:
        raise BadInput(
            "incontext.no_weights",
            f"{folder} lacks {', '.join(lacking) or 'weights as safetensors'}.",
            "Fetch the folder completely; only safetensors are read.",
        )
    return files


def part_files(folder: Path) -> tuple[dict[str, Any], TensorFiles]:
    """Configuration and tensors of a part.

    Raises:
        BadInput: ``incontext.no_weights``, ``incontext.bad_tensor_file``.
    """
    try:
        config = dict(json.loads((folder / CONFIG).read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError) as error:
        raise BadInput(
            "incontext.no_weights", f"{folder / CONFIG} cannot be read: {error}", "Fetch the folder again."
        ) from error
    return config, TensorFiles(weight_files(folder))


def write_part(
    folder: Path,
    config: Mapping[str, Any],
    facts: Mapping[str, TensorFacts],
    load: Callable[[str], Tensor],
    shard_bytes: int = SHARD_BYTES,
) -> list[Path]:
    """Write a part to ``folder``; ``load`` is called once for each tensor, and one is in memory at a time.

    Returns:
        The files of weights, several with an index when they are larger than ``shard_bytes`` together.
    """
    folder.mkdir(parents=True, exist_ok=True)
    write_json(folder / CONFIG, dict(config))
    shards: list[dict[str, TensorFacts]] = [{}]
    filled = 0
    for name, fact in facts.items():
        if shards[-1] and filled + fact.bytes > shard_bytes:
            shards.append({})
            filled = 0
        shards[-1][name] = fact
        filled += fact.bytes
    if len(shards) == 1:
        path = folder / f"{STEM}.safetensors"
        write_tensor_file(path, facts, load, {"format": "pt"})
        return [path]
    paths = [folder / f"{STEM}-{at + 1:05d}-of-{len(shards):05d}.safetensors" for at in range(len(shards))]
    for path, shard in zip(paths, shards, strict=True):
        write_tensor_file(path, shard, load, {"format": "pt"})
    places = {name: path.name for path, shard in zip(paths, shards, strict=True) for name in shard}
    total = sum(fact.bytes for fact in facts.values())
    write_json(folder / f"{STEM}.safetensors.index.json", {"metadata": {"total_size": total}, "weight_map": places})
    return paths


def save_backbone(
    backbone: Backbone,
    folder: Path,
    shard_bytes: int = SHARD_BYTES,
    beside: Callable[[Path], None] | None = None,
    eight_bit: bool = False,
) -> None:
    """Write a backbone as a folder that diffusers' pipelines and :mod:`.loading` read.

    Args:
        eight_bit: a quarter of the bytes (:mod:`dubflow.training.eight_bit`), the text encoder in bfloat16; of these
            diffusers reads the configurations, the weights are read by :mod:`.loading` alone.
        beside: called with the folder before it appears, to write more into it.

    Raises:
        WrongUse: ``incontext.folder_exists``.
    """
    from diffusers import FlowMatchEulerDiscreteScheduler

    if folder.exists():
        raise WrongUse("incontext.folder_exists", f"{folder} exists.", "Name a folder that does not exist yet.")
    with atomic_dir(folder) as part:
        index: dict[str, Any] = {"_class_name": "LTX2Pipeline"}
        for name, module in backbone.modules().items():
            index[name] = [_library(module), type(module).__name__]
            if name == "text_encoder":
                _saved(copy.deepcopy(module).to(torch.bfloat16) if eight_bit else module, part / name)
                continue
            tensors = packed(module.state_dict()) if eight_bit else module.state_dict()
            facts = {key: facts_of(tensor) for key, tensor in tensors.items()}
            write_part(part / name, _configuration(module), facts, tensors.__getitem__, shard_bytes)
        if backbone.tokenizer is not None:
            backbone.tokenizer.save_pretrained(part / "tokenizer")
            index["tokenizer"] = ["transformers", type(backbone.tokenizer).__name__]
        FlowMatchEulerDiscreteScheduler().save_pretrained(part / "scheduler")
        index["scheduler"] = ["diffusers", "FlowMatchEulerDiscreteScheduler"]
        if backbone.world is not None:
            index[WORLD_KEY] = backbone.world
        if beside is not None:
            beside(part)
        write_json(part / INDEX, index)


def world_of(folder: Path) -> str | None:
    """What the index of a base's folder says about where it was made; bases from elsewhere say nothing."""
    try:
        return str(json.loads((folder / INDEX).read_text(encoding="utf-8"))[WORLD_KEY])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _configuration(module: Any) -> dict[str, Any]:
    stated = {name: value for name, value in dict(module.config).items() if not name.startswith("_")}
    return {"_class_name": type(module).__name__, **stated}


def _library(module: nn.Module) -> str:
    library, *rest = type(module).__module__.split(".")
    return "ltx2" if library == "diffusers" and rest[:2] == ["pipelines", "ltx2"] else library


def _saved(encoder: Any, folder: Path) -> None:
    import transformers

    with advice_hidden(transformers):
        encoder.save_pretrained(folder)
