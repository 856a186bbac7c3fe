"""Adapters in files: one value object, three layouts, bit-exact both ways."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from torch import Tensor

from dubflow.errors import BadInput
from dubflow.incontext.adapter.keys import CONNECTORS, Kind, Layout, key_of, parse_key
from dubflow.incontext.adapter.metadata import AdapterMetadata, from_header, to_header
from dubflow.incontext.backbone.tensor_file import TensorFiles, write_tensors

PEFT_METADATA = "lora_adapter_metadata"
_PEFT_CONFIG = "adapter_config.json"
_PEFT_WEIGHTS = "adapter_model.safetensors"
_PREFIX = "transformer."


@dataclass(frozen=True)
class LoraPair:
    """What one layer gains: ``b @ a``, with ``a`` ``[rank, in]`` and ``b`` ``[out, rank]``; alpha is in it."""

    a: Tensor
    b: Tensor

    @property
    def rank(self) -> int:
        """Its rank."""
        return int(self.a.shape[0])


@dataclass(frozen=True)
class Adapter:
    """A LoRA on the transformer."""

    pairs: Mapping[str, LoraPair]
    """By diffusers' module name, for example ``transformer_blocks.0.attn1.to_q``; or ``connectors.text_proj_in``."""
    metadata: AdapterMetadata = field(default_factory=AdapterMetadata)
    header: Mapping[str, str] = field(default_factory=dict)
    """The header it was read with; what metadata does not change is written back as it was."""

    @property
    def transformer(self) -> dict[str, LoraPair]:
        """Layers of the transformer."""
        return {name: pair for name, pair in self.pairs.items() if not name.startswith(CONNECTORS)}

    @property
    def connectors(self) -> tuple[str, ...]:
        """Layers of the connectors, which are kept in files and applied by nobody, as in the official pipelines."""
        return tuple(name for name in self.pairs if name.startswith(CONNECTORS))

    @property
    def ranks(self) -> tuple[int, ...]:
        """Ranks that occur, ascending; one in every published file."""
        return tuple(sorted({pair.rank for pair in self.pairs.values()}))

    @property
    def tensors(self) -> int:
        """Tensors in a file."""
        return 2 * len(self.pairs)

    @property
    def parameters(self) -> int:
        """Numbers in a file."""
        return sum(pair.a.numel() + pair.b.numel() for pair in self.pairs.values())

    def with_metadata(self, metadata: AdapterMetadata) -> Adapter:
        """The same weights with other metadata."""
        return replace(self, metadata=metadata)


def adapter_from(weights: Mapping[str, Tensor], metadata: AdapterMetadata | None = None) -> Adapter:
    """An adapter of a state dict in any layout, for example what peft gives; a stored alpha is folded into B.

    Raises:
        BadInput: ``incontext.not_an_adapter``, ``incontext.bad_adapter``.
    """
    pairs, _ = _pairs(weights, {})
    return Adapter(pairs, metadata or AdapterMetadata())


def read_adapter(path: Path) -> Adapter:
    """The adapter in a safetensors file, or in a folder that peft wrote.

    Raises:
        BadInput: ``incontext.bad_tensor_file``, ``incontext.not_an_adapter``, ``incontext.bad_adapter``,
            ``incontext.bad_adapter_metadata``.
    """
    return read_adapter_in(path)[0]


def read_adapter_in(path: Path) -> tuple[Adapter, Layout]:
    """The adapter in a file and the layout in which it lay there."""
    peft: Mapping[str, Any] = {}
    if path.is_dir():
        path, peft = _peft_folder(path)
    file = TensorFiles([path])
    header = dict(file.metadata)
    if PEFT_METADATA in header:
        peft = _peft_metadata(header[PEFT_METADATA], path)
    weights = {name: file.load(name) for name in file.facts}
    pairs, layout = _pairs(weights, peft)
    metadata = from_header(header)
    if any(_scale(name, pair.rank, peft) != 1.0 for name, pair in pairs.items()):
        header.pop(PEFT_METADATA, None)  # it states an alpha that is in B now
    return Adapter(pairs, metadata, header), layout


def write_adapter(path: Path, adapter: Adapter, layout: Layout = "comfyui") -> None:
    """Write ``adapter``, whole or not at all; equal adapters give equal bytes. Alpha equals the rank."""
    tensors = {}
    for module, pair in adapter.pairs.items():
        tensors[key_of(layout, module, "A")] = pair.a
        tensors[key_of(layout, module, "B")] = pair.b
    header = dict(adapter.header)
    if from_header(header) != adapter.metadata:
        header |= to_header(adapter.metadata)
    if layout == "diffusers":
        header.setdefault("format", "pt")
        header.setdefault(PEFT_METADATA, json.dumps(_described(adapter), indent=2, sort_keys=True))
    write_tensors(path, tensors, header)


def _pairs(weights: Mapping[str, Tensor], peft: Mapping[str, Any]) -> tuple[dict[str, LoraPair], Layout]:
    found: dict[str, dict[Kind, Tensor]] = {}
    layouts: set[Layout] = set()
    foreign = []
    for key, tensor in weights.items():
        parsed = parse_key(key)
        if parsed is None:
            foreign.append(key)
            continue
        if not parsed[1].startswith(CONNECTORS):
            layouts.add(parsed[0])
        kinds = found.setdefault(parsed[1], {})
        if parsed[2] in kinds:
            raise _bad(parsed[1], f"has two tensors {parsed[2]}")
        kinds[parsed[2]] = tensor
    if foreign or not layouts:
        raise BadInput(
            "incontext.not_an_adapter",
            f"{len(foreign)} of {len(weights)} tensors are no LoRA on LTX-2's transformer"
            + (f", for example {foreign[0]}." if foreign else "."),
            "Give a LoRA in ComfyUI's, diffusers' or peft's layout.",
        )
    if len(layouts) > 1:
        raise BadInput(
            "incontext.not_an_adapter", f"Layouts are mixed in one file: {', '.join(sorted(layouts))}.", "Split it."
        )
    return {name: _pair(name, found[name], peft) for name in sorted(found)}, layouts.pop()


def _pair(module: str, kinds: Mapping[Kind, Tensor], peft: Mapping[str, Any]) -> LoraPair:
    if "A" not in kinds or "B" not in kinds:
        raise _bad(module, "lacks one of its two tensors")
    a, b = kinds["A"], kinds["B"]
    if a.ndim != 2 or b.ndim != 2 or a.shape[0] != b.shape[1]:
        raise _bad(module, f"has shapes {list(a.shape)} and {list(b.shape)} that do not multiply")
    if not (a.is_floating_point() and b.is_floating_point()):
        raise _bad(module, f"is of {a.dtype} and {b.dtype}")
    rank = int(a.shape[0])
    scale = float(kinds["alpha"]) / rank if "alpha" in kinds else _scale(module, rank, peft)
    # In B alone, in float32: a scale of one leaves every bit as it is.
    return LoraPair(a, b if scale == 1.0 else (b.float() * scale).to(b.dtype))


def _scale(module: str, rank: int, peft: Mapping[str, Any]) -> float:
    alpha = _of_module(module, peft.get("alpha_pattern"), peft.get("lora_alpha"))
    if alpha is None:
        return 1.0
    return float(alpha) / (rank**0.5 if peft.get("use_rslora") else rank)


def _of_module(module: str, pattern: Mapping[str, Any] | None, default: Any) -> Any:
    """peft's rule: the longest key that is the module's name or its end, else the default."""
    fitting = [key for key in pattern or {} if module == key or module.endswith("." + key)]
    return (pattern or {})[max(fitting, key=len)] if fitting else default


def _peft_folder(folder: Path) -> tuple[Path, Mapping[str, Any]]:
    try:
        return folder / _PEFT_WEIGHTS, dict(json.loads((folder / _PEFT_CONFIG).read_text(encoding="utf-8")))
    except (OSError, ValueError) as error:
        raise BadInput(
            "incontext.not_an_adapter",
            f"{folder} is no folder of a peft adapter: {error}",
            f"It holds {_PEFT_CONFIG} and {_PEFT_WEIGHTS}.",
        ) from error


def _peft_metadata(text: str, path: Path) -> Mapping[str, Any]:
    try:
        stated = dict(json.loads(text))
    except (ValueError, TypeError) as error:
        raise BadInput(
            "incontext.bad_adapter_metadata", f"{path}: {PEFT_METADATA} is not JSON: {error}", "The file is damaged."
        ) from error
    return {name.removeprefix(_PREFIX): value for name, value in stated.items()}


def _described(adapter: Adapter) -> dict[str, Any]:
    """What diffusers needs to rebuild the LoRA's layers."""
    pairs = adapter.transformer
    usual = max(adapter.ranks, key=lambda rank: sum(pair.rank == rank for pair in pairs.values()))
    others = {name: pair.rank for name, pair in pairs.items() if pair.rank != usual}
    stated = {
        "r": usual,
        "lora_alpha": usual,
        "rank_pattern": others,
        "alpha_pattern": others,
        "target_modules": sorted(pairs),
        "use_dora": False,
        "lora_bias": False,
    }
    return {_PREFIX + name: value for name, value in stated.items()}


def _bad(module: str, what: str) -> BadInput:
    return BadInput("incontext.bad_adapter", f"The LoRA of {module} {what}.", "The file is damaged.", module=module)
