"""LoRA on LTX-2's transformer: which modules get one, and their weights on the way in and out.

JUST-DUB-IT, A.3: rank 128 on to_k, to_q, to_v, to_out.0, net.0.proj and net.2 of all video, audio and cross branches.
Names are ends of module names, so ``net.2`` is in both ``ff`` and ``audio_ff``; of 48 blocks that makes 1,344 modules.
Alpha equals the rank, as public files presume, and there is no dropout (the authors' code; the paper is silent).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import nullcontext
from typing import Any, ClassVar

import torch
from pydantic import Field
from torch import Tensor, nn

from dubflow.config import Strict
from dubflow.errors import BadInput, WrongUse

ADAPTER = "default"
WEIGHTS = "adapter.safetensors"
"""An adapter's file in the folder that a training leaves."""
_PART = ".lora_"


class LoraSettings(Strict):
    """Size and places of a LoRA; section ``incontext.lora`` of a preset."""

    section: ClassVar[str] = "incontext.lora"

    rank: int = Field(128, ge=1, description="Rank; alpha equals it.")
    dropout: float = Field(0.0, ge=0, lt=1, description="Share of a LoRA's inputs that is dropped in training.")
    targets: tuple[str, ...] = Field(
        ("to_k", "to_q", "to_v", "to_out.0", "net.0.proj", "net.2"),
        min_length=1,
        description="Ends of the names of linear layers that get a LoRA.",
    )


def add_lora(transformer: Any, settings: LoraSettings, *, seed: int = 0) -> None:
    """Freeze ``transformer`` and give it a trainable LoRA, in place; A is drawn from ``seed``, B is zero.

    The LoRA's weights are float32 whatever the base is stored in.

    Raises:
        WrongUse: ``incontext.idle_target`` for a target that names no layer, ``incontext.has_lora`` for a second LoRA.
    """
    from peft import LoraConfig

    if next(lora_parameters(transformer), None) is not None:
        raise WrongUse("incontext.has_lora", "The transformer has a LoRA.", "Fuse it, or begin with a plain base.")
    names = [name for name, module in transformer.named_modules() if isinstance(module, nn.Linear)]
    for target in settings.targets:
        if not any(name == target or name.endswith("." + target) for name in names):
            raise WrongUse(
                "incontext.idle_target", f"No layer of the transformer is called {target}.", "Correct incontext.lora."
            )
    transformer.requires_grad_(False)
    config = LoraConfig(
        r=settings.rank,
        lora_alpha=settings.rank,
        lora_dropout=settings.dropout,
        target_modules=list(settings.targets),
    )
    # A base of shapes alone gets a LoRA of shapes alone; peft by itself would allocate it.
    place = torch.device("meta") if next(transformer.parameters()).is_meta else nullcontext()
    with torch.random.fork_rng(devices=[]), place:
        torch.manual_seed(seed)
        transformer.add_adapter(config, adapter_name=ADAPTER)
    for _, parameter in lora_parameters(transformer):
        parameter.data = parameter.data.float()


def lora_parameters(transformer: nn.Module) -> Iterator[tuple[str, nn.Parameter]]:
    """Names and weights of the LoRA, A before B, in the order of the modules."""
    return ((name, parameter) for name, parameter in transformer.named_parameters() if _PART in name)


def lora_modules(transformer: nn.Module) -> tuple[str, ...]:
    """Names of the layers that have a LoRA."""
    return tuple(dict.fromkeys(name.partition(_PART)[0] for name, _ in lora_parameters(transformer)))


def lora_weights(transformer: nn.Module) -> dict[str, Tensor]:
    """The LoRA under peft's names, the adapter's own name left out: ``<module>.lora_A.weight`` ``[r, in]``,
    ``<module>.lora_B.weight`` ``[out, r]``."""
    return {name.replace(f".{ADAPTER}.", "."): value.detach() for name, value in lora_parameters(transformer)}


def put_lora(transformer: nn.Module, weights: Mapping[str, Tensor]) -> None:
    """Put ``weights`` (as :func:`lora_weights` gives them) into the LoRA that ``transformer`` has.

    Raises:
        BadInput: ``incontext.lora_disagrees`` when names or shapes are not those of the LoRA.
    """
    there = {name.replace(f".{ADAPTER}.", "."): value for name, value in lora_parameters(transformer)}
    wrong = sorted(there.keys() ^ weights.keys()) or [
        name for name, value in there.items() if value.shape != weights[name].shape
    ]
    if wrong:
        raise BadInput(
            "incontext.lora_disagrees",
            f"{len(wrong)} LoRA weights have other names or shapes than the layers here, the first is {wrong[0]}.",
            "Use the base version, rank and targets that the adapter was trained with.",
        )
    with torch.no_grad():
        for name, value in there.items():
            value.copy_(weights[name])
