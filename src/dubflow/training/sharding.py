"""Weights in shards: torch's ``fully_shard`` (FSDP2), each process holding its part of every weight.

Transformer blocks are gathered one by one as they are needed, the rest as a whole. Checkpoints are whole, and a run
with copies of the weights reads them as well as the other way round. A module whose ``strict_loading`` is False may
leave weights that are not trained out of its ``state_dict``.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from lightning.pytorch.strategies import ModelParallelStrategy
from torch import Tensor, nn
from torch.distributed.checkpoint.state_dict import (
    StateDictOptions,
    get_optimizer_state_dict,
    set_model_state_dict,
    set_optimizer_state_dict,
)
from torch.distributed.device_mesh import DeviceMesh
from torch.distributed.fsdp import FSDPModule, fully_shard
from torch.distributed.tensor import DTensor, distribute_tensor
from torch.optim import Optimizer

_WHOLE = StateDictOptions(full_state_dict=True, cpu_offload=True)


class Shards(ModelParallelStrategy):
    """Lightning's strategy for ``fully_shard``, with our own checkpoints: its own would read pickles."""

    def __init__(self, processes: int) -> None:
        super().__init__(data_parallel_size=processes, tensor_parallel_size=1, save_distributed_checkpoint=False)

    def optimizer_state(self, optimizer: Optimizer) -> dict[str, Any]:
        """Whole, and by the names of the weights; as by their numbers, their order is that of the groups."""
        assert self.model is not None
        inner = getattr(optimizer, "_optimizer", optimizer)
        state: dict[str, Any] = dict(get_optimizer_state_dict(self.model, inner, options=_WHOLE))
        return state

    def load_checkpoint(self, checkpoint_path: Any, weights_only: bool | None = None) -> dict[str, Any]:
        """Every process reads the file and keeps its shards."""
        assert self.model is not None
        checkpoint: dict[str, Any] = self.checkpoint_io.load_checkpoint(Path(checkpoint_path))
        assert self.lightning_module is not None
        options = replace(_WHOLE, strict=self.lightning_module.strict_loading)
        set_model_state_dict(self.model, checkpoint["state_dict"], options=options)
        for optimizer, state in zip(self.optimizers, checkpoint["optimizer_states"], strict=True):
            set_optimizer_state_dict(self.model, optimizer, _by_name(self.model, optimizer, state), options=_WHOLE)
        return checkpoint


def _by_name(model: nn.Module, optimizer: Optimizer, state: dict[str, Any]) -> dict[str, Any]:
    """An optimiser's state with the names of its weights, whatever stood there for them."""
    names = {parameter: name for name, parameter in model.named_parameters()}
    known: dict[Any, str] = {}
    groups = []
    for saved, group in zip(state["param_groups"], optimizer.param_groups, strict=True):
        known |= {old: names[parameter] for old, parameter in zip(saved["params"], group["params"], strict=True)}
        groups.append(saved | {"params": [known[old] for old in saved["params"]]})
    return {"state": {known[old]: each for old, each in state["state"].items()}, "param_groups": groups}


def shard(network: nn.Module, mesh: DeviceMesh, blocks: tuple[type[nn.Module], ...]) -> None:
    """Cut the weights of ``network`` over all processes of ``mesh``, in place; ``blocks`` are gathered one by one."""
    for part in list(network.modules()):
        if isinstance(part, blocks):
            fully_shard(part, mesh=mesh["data_parallel"])
    fully_shard(network, mesh=mesh["data_parallel"])


def is_sharded(network: nn.Module) -> bool:
    """Whether :func:`shard` was here."""
    return isinstance(network, FSDPModule)


def whole(tensor: Tensor) -> Tensor:
    """A tensor with all of its parts; all processes must ask."""
    return tensor.full_tensor() if isinstance(tensor, DTensor) else tensor


def local(tensor: Tensor) -> Tensor:
    """The part that lies in this process; in place, it is the tensor."""
    return tensor.to_local() if isinstance(tensor, DTensor) else tensor


def like(tensor: Tensor, model: Tensor) -> Tensor:
    """``tensor`` where ``model`` lies, and cut as it is."""
    moved = tensor.to(model.device)
    if isinstance(model, DTensor) and not isinstance(moved, DTensor):
        return distribute_tensor(moved, model.device_mesh, model.placements)
    return moved
