"""A plan of a training's memory: what each way of running it needs on a device, and which ways fit.

Weights, gradients and the optimiser's state are exact. Activations are those that autograd keeps for a batch of the
settings' largest pairs; what a backward pass needs beside them is taken to be twice the largest tensor, what CUDA and
its allocator need to be :data:`RESERVE`. Both are assumptions and are listed as lines of their own.
"""

from __future__ import annotations

import re
from dataclasses import asdict, dataclass
from typing import Any, Literal

from dubflow.errors import WrongUse
from dubflow.incontext.adapter.lora import LoraSettings
from dubflow.incontext.backbone.settings import BackboneSettings
from dubflow.incontext.planning.counting import (
    Activations,
    Weights,
    count_activations,
    count_weights,
    geometry_of_settings,
    text_bytes,
)
from dubflow.incontext.training.settings import FPS, DataSettings, LoraTraining

GIB = 2**30
RESERVE = 2 * GIB
"""Bytes that CUDA, its kernels and the gaps of its allocator are taken to need; an assumption."""
_UNITS = {"": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12, "KIB": 2**10, "MIB": 2**20, "GIB": GIB}
_FP32, _ADAM = 4, 8  # bytes a number: LoRA and its gradient each, and AdamW's two moments

Storage = Literal["bf16", "fp8"]


@dataclass(frozen=True)
class Way:
    """One way of running a training.

    Attributes:
        name: what a person calls it. storage: how the frozen base is held. sharded: weights are cut over all devices.
        offloaded: blocks of the base lie in main memory until they are used. checkpointed: blocks are computed again.
        trained: whether ``dubflow train lora`` runs it so.
    """

    name: str
    storage: Storage = "bf16"
    sharded: bool = False
    offloaded: bool = False
    checkpointed: bool = True
    trained: bool = True


@dataclass(frozen=True)
class Need:
    """Bytes on each device, by what they are for, for one way."""

    way: Way
    base: int
    lora: int
    gradients: int
    optimiser: int
    activations: int
    backward: int
    reserve: int
    fits: bool

    @property
    def total(self) -> int:
        """Of all."""
        parts = (self.base, self.lora, self.gradients, self.optimiser, self.activations, self.backward, self.reserve)
        return sum(parts)


@dataclass(frozen=True)
class Plan:
    """Everything that is known before a run.

    Attributes:
        version: of the base. device_bytes, devices: where it is to run. weights, activations: as counted.
        needs: of every way.
        steps, pairs_a_step: of the run. tokens: target video tokens of a pair.
        pair_bytes, prompt_bytes, cache_bytes: stored latents, features of a prompt, all of the cache (``pairs`` pairs).
        loaded_bytes: of main memory, for each process of a node: each loads the whole base, also where it keeps
            a shard alone.
        flops: of a step of one pair, backward pass and recomputation included.
    """

    version: str
    device_bytes: int
    devices: int
    weights: Weights
    activations: Activations
    needs: tuple[Need, ...]
    steps: int
    pairs_a_step: int
    tokens: int
    pairs: int
    pair_bytes: int
    prompt_bytes: int
    cache_bytes: int
    loaded_bytes: int
    flops: int

    @property
    def best(self) -> Need | None:
        """The first way that fits and that is run here."""
        return next((need for need in self.needs if need.fits and need.way.trained), None)

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        needs = [asdict(need) | {"total": need.total} for need in self.needs]
        best = self.best
        return asdict(self) | {"needs": needs, "best": None if best is None else best.way.name}


def plan_training(
    base: BackboneSettings,
    lora: LoraSettings,
    data: DataSettings,
    training: LoraTraining,
    *,
    device_bytes: int,
    devices: int | None = None,
    pairs: int = 1000,
) -> Plan:
    """The plan of a training on ``devices`` devices of ``device_bytes`` each (by default those of the settings)."""
    count = devices or training.devices * training.nodes
    weights, kept = count_weights(base, lora), count_activations(base, lora, data, training)
    geometry = geometry_of_settings(base)
    shape = geometry.latent_shape(data.frames, data.height, data.width)
    tokens = shape[0] * shape[1] * shape[2]
    heard = round(data.frames * geometry.audio_rate / FPS)
    pair = 2 * _FP32 * (tokens * geometry.video_channels + heard * geometry.audio_channels) + tokens
    forward = kept.flops_block * weights.blocks + kept.flops_outside
    # The base is frozen: backward computes gradients of inputs, and of the small LoRA, hence as much as forward.
    flops = forward * (3 if training.gradient_checkpointing else 2) // training.batch_items
    return Plan(
        version=base.version,
        device_bytes=device_bytes,
        devices=count,
        weights=weights,
        activations=kept,
        needs=tuple(need_of(way, weights, kept, device_bytes, count) for way in ways(count)),
        steps=training.steps,
        pairs_a_step=training.batch_items * training.accumulate * count,
        tokens=tokens,
        pairs=pairs,
        pair_bytes=pair,
        prompt_bytes=text_bytes(base),
        cache_bytes=pairs * (pair + text_bytes(base)),
        loaded_bytes=2 * weights.base,
        flops=flops,
    )


def ways(devices: int) -> tuple[Way, ...]:
    """Ways to run a training on so many devices, the fastest first."""
    found = [Way("bf16, blocks kept", checkpointed=False), Way("bf16, blocks computed again")]
    if devices > 1:
        found.append(Way(f"bf16 in shards over {devices}, blocks computed again", sharded=True))
    found.append(Way("fp8 base, blocks computed again", storage="fp8", trained=False))
    found.append(Way("bf16 base in main memory, block by block", offloaded=True, trained=False))
    return tuple(found)


def need_of(way: Way, weights: Weights, kept: Activations, device_bytes: int, devices: int) -> Need:
    """What ``way`` needs on each device."""
    share = devices if way.sharded else 1
    base = 2 * weights.base - (weights.castable if way.storage == "fp8" else 0)
    block = 2 * weights.block
    if way.offloaded:
        base = 2 * weights.outside + 2 * block
    elif way.sharded:  # what is computed with lies whole: this block and the next, and what is outside of blocks
        base = -(-base // share) + 2 * block + 2 * weights.outside
    lora, moments = -(-_FP32 * weights.lora // share), -(-_ADAM * weights.lora // share)
    again = weights.blocks * kept.inputs + kept.block
    activations = kept.shared + kept.outside + (again if way.checkpointed else weights.blocks * kept.block)
    need = Need(way, base, lora, lora, moments, activations, 2 * kept.largest, RESERVE, fits=True)
    return Need(**{**need.__dict__, "fits": need.total <= device_bytes})


def bytes_of(text: str) -> int:
    """Bytes of a size such as ``80GB``, ``80 GiB``.

    Raises:
        WrongUse: ``incontext.bad_size``.
    """
    found = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([KMGT]I?B)?\s*", text.upper())
    if found is None or float(found[1]) <= 0:
        raise WrongUse("incontext.bad_size", f"{text!r} is no size of memory.", "Say it like 80GB or 24GiB.")
    return round(float(found[1]) * _UNITS[found[2] or ""])
