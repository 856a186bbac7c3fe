"""What a training step holds and computes, counted on the meta device: nothing is typed in, nothing is allocated.

Transformers of one and of two blocks are built with their LoRA and run forward on shapes alone. What autograd keeps is
what the step keeps; the second block's share times the number of blocks is that of all. Attention is counted as the
fused kernels do it (queries, keys, values, result and one number a row), not as a matrix.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.graph import saved_tensors_hooks
from torch.overrides import TorchFunctionMode
from torch.utils.flop_counter import FlopCounterMode

from dubflow.incontext.adapter.lora import LoraSettings, add_lora, lora_parameters
from dubflow.incontext.backbone.building import build_part
from dubflow.incontext.backbone.configs import part_configs
from dubflow.incontext.backbone.geometry import Geometry
from dubflow.incontext.backbone.positions import audio_positions, video_positions
from dubflow.incontext.backbone.settings import BackboneSettings
from dubflow.incontext.backbone.text import TextFeatures
from dubflow.incontext.forward import forward
from dubflow.incontext.masks import Layout
from dubflow.incontext.tokens import ContextTokens
from dubflow.incontext.training.settings import FPS, DataSettings, LoraTraining

META = torch.device("meta")


@dataclass(frozen=True)
class Weights:
    """Numbers of the transformer with its LoRA: of all blocks, of one, outside of blocks; and the LoRA's own."""

    base: int
    block: int
    outside: int
    castable: int
    """Of the base, those in linear layers of blocks, which may be stored in 8 bits."""
    lora: int
    lora_tensors: int
    blocks: int


@dataclass(frozen=True)
class Activations:
    """Bytes that a step keeps for its backward pass, and its floating-point operations.

    Attributes:
        block: kept within one block. inputs: a block's own, kept where blocks are computed again.
        shared: what goes into every block (time, text, positions). outside: kept outside of blocks.
        masks: the share of ``block`` that is attention masks. largest: of a single tensor.
        flops_block, flops_outside: of a forward pass of the batch.
    """

    block: int
    inputs: int
    shared: int
    outside: int
    masks: int
    largest: int
    flops_block: int
    flops_outside: int


def count_weights(base: BackboneSettings, lora: LoraSettings) -> Weights:
    """Numbers of the full transformer, by building it without memory."""
    transformer = _transformer(base, lora, base.transformer.layers)
    trained = dict(lora_parameters(transformer))
    numbers = {name: parameter.numel() for name, parameter in transformer.named_parameters() if name not in trained}
    inside = sum(count for name, count in numbers.items() if name.startswith("transformer_blocks."))
    linear = {f"{name}.weight" for name, module in transformer.named_modules() if isinstance(module, nn.Linear)}
    castable = sum(n for name, n in numbers.items() if name in linear and name.startswith("transformer_blocks."))
    return Weights(
        base=sum(numbers.values()),
        block=inside // base.transformer.layers,
        outside=sum(numbers.values()) - inside,
        castable=castable,
        lora=sum(parameter.numel() for parameter in trained.values()),
        lora_tensors=len(trained),
        blocks=base.transformer.layers,
    )


def count_activations(
    base: BackboneSettings,
    lora: LoraSettings,
    data: DataSettings,
    training: LoraTraining,
    *,
    dtype: torch.dtype = torch.bfloat16,
) -> Activations:
    """What a batch of pairs of the largest size needs in a step."""
    one, two = (_counted(base, lora, data, training, dtype, blocks) for blocks in (1, 2))
    block, flops = two.saved - one.saved, two.flops - one.flops
    return Activations(
        block=block,
        inputs=two.inputs - one.inputs,
        shared=2 * one.inputs - two.inputs,
        outside=one.saved - block,
        masks=two.masks - one.masks,
        largest=two.largest,
        flops_block=flops,
        flops_outside=one.flops - flops,
    )


def text_bytes(base: BackboneSettings, dtype: torch.dtype = torch.bfloat16) -> int:
    """Of a prompt's stored features."""
    video, audio = text_widths(base)
    return base.text.tokens * ((video + audio) * dtype.itemsize + 1)


def text_widths(base: BackboneSettings) -> tuple[int, int]:
    """Widths of text features for video and audio, as the connectors state them."""
    config = part_configs(base)["connectors"]
    video = config["video_connector_num_attention_heads"] * config["video_connector_attention_head_dim"]
    audio = config["audio_connector_num_attention_heads"] * config["audio_connector_attention_head_dim"]
    return int(video), int(audio)


def geometry_of_settings(base: BackboneSettings) -> Geometry:
    """The geometry that settings stand for."""
    audio = base.audio_vae
    return Geometry(
        video_channels=base.video_vae.latent_channels,
        audio_latent_channels=audio.latent_channels,
        mel_bins=audio.mel_bins,
    )


@dataclass(frozen=True)
class _Counts:
    saved: int
    inputs: int
    masks: int
    largest: int
    flops: int


class _Bytes:
    """Bytes of distinct storages; held, so that no two have one address."""

    def __init__(self, apart: nn.Module) -> None:
        self._apart = {parameter.untyped_storage()._cdata for parameter in apart.parameters()}
        self._seen: dict[int, Any] = {}
        self.total = self.largest = 0

    def add(self, tensor: Tensor) -> None:
        storage = tensor.untyped_storage()
        if storage._cdata not in self._seen and storage._cdata not in self._apart:
            self._seen[storage._cdata] = storage
            self.total += storage.nbytes()
            self.largest = max(self.largest, storage.nbytes())


class _AsItRuns(TorchFunctionMode):
    """What the meta device would do otherwise than a training does.

    Attention is kept as the fused kernels keep it; on its own torch would write the matrix out. Linear layers whose
    weights are float32 (the LoRA's) compute in ``dtype`` and keep their inputs in it, each its own copy, as autocast
    has it.
    """

    def __init__(self, dtype: torch.dtype) -> None:
        super().__init__()
        self.dtype = dtype
        self.flops = 0
        self.masks = 0

    def __torch_function__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if function is nn.functional.linear:
            cast = [one if one is None else one.to(self.dtype) for one in args]
            return nn.functional.linear(*cast, **(kwargs or {}))
        if function is not nn.functional.scaled_dot_product_attention:
            return function(*args, **(kwargs or {}))
        query, key, value = args
        mask = (kwargs or {}).get("attn_mask")
        self.flops += 4 * query.numel() * key.shape[2]
        if mask is not None:
            self.masks += mask.numel() * mask.element_size()
            if mask.dtype == torch.bool:
                mask = torch.zeros(mask.shape, dtype=query.dtype, device=mask.device)
        fused = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu
        return fused(query, key, value, attn_mask=mask)[0]


def _transformer(base: BackboneSettings, lora: LoraSettings, blocks: int) -> Any:
    sizes = base.transformer.model_copy(update={"layers": blocks})
    config = part_configs(base.model_copy(update={"transformer": sizes}))["transformer"]
    transformer = build_part("transformer", config, META)
    add_lora(transformer, lora)
    return transformer


def _counted(
    base: BackboneSettings,
    lora: LoraSettings,
    data: DataSettings,
    training: LoraTraining,
    dtype: torch.dtype,
    blocks: int,
) -> _Counts:
    transformer = _transformer(base, lora, blocks)
    trained = {name for name, _ in lora_parameters(transformer)}
    for name, parameter in transformer.named_parameters():
        if name not in trained:
            parameter.data = parameter.data.to(dtype)
    transformer.train()
    tokens, text = _step(base, data, training, dtype)
    layout = Layout.of(tokens, training.scheme)  # it looks at values, which shapes alone have not
    saved, inputs = _Bytes(transformer), _Bytes(transformer)

    def keep(tensor: Tensor) -> Tensor:
        saved.add(tensor)
        return tensor

    with _inputs_of_blocks(transformer, inputs), saved_tensors_hooks(keep, lambda tensor: tensor):
        run, flops = _AsItRuns(dtype), FlopCounterMode(display=False)
        with flops, run:
            forward(transformer, tokens.to(META), text, training.scheme, layout=layout)
    return _Counts(saved.total, inputs.total, run.masks, saved.largest, flops.get_total_flops() + run.flops)


@contextmanager
def _inputs_of_blocks(transformer: Any, inputs: _Bytes) -> Iterator[None]:
    def seen(module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        for value in [*args, *kwargs.values()]:
            for tensor in value if isinstance(value, tuple | list) else [value]:
                if isinstance(tensor, Tensor):
                    inputs.add(tensor)

    hooks = [block.register_forward_pre_hook(seen, with_kwargs=True) for block in transformer.transformer_blocks]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


def _step(
    base: BackboneSettings, data: DataSettings, training: LoraTraining, dtype: torch.dtype
) -> tuple[ContextTokens, TextFeatures]:
    """Tokens of a batch, of any values, and text as shapes."""
    items = training.batch_items
    geometry = geometry_of_settings(base)
    shape = geometry.latent_shape(data.frames, data.height, data.width)
    count = geometry.video_tokens(data.frames, data.height, data.width)
    heard = geometry.audio_tokens(Fraction(data.frames, FPS))
    video, audio = (
        torch.empty(items, number, channels)
        for number, channels in ((count, geometry.video_channels), (heard, geometry.audio_channels))
    )
    tokens = ContextTokens.of_targets(
        video, video_positions(geometry, shape, FPS), audio, audio_positions(geometry, heard), sigma=0.5
    ).append_reference(
        torch.empty_like(video), torch.empty_like(audio), order=training.order, audio_positions=training.audio_positions
    )
    widths = text_widths(base)
    said = [torch.empty(items, base.text.tokens, width, dtype=dtype, device=META) for width in widths]
    return tokens, TextFeatures(said[0], said[1], torch.ones(items, base.text.tokens, dtype=torch.bool))
