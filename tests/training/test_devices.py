"""Settings of devices become Lightning's."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from lightning.pytorch.strategies import DDPStrategy

from diflow.training.room import TRAIN
from dubflow.diflow.training.settings import TrainSettings
from dubflow.errors import WrongUse
from dubflow.training import devices
from dubflow.training.checkpoints import SafetensorsCheckpoints
from dubflow.training.devices import trainer
from dubflow.training.processes import all_true, from_all, mean_of_all, process_rank
from dubflow.training.sharding import Shards


def made(tmp_path: Path, **changes: object) -> object:
    return trainer(TrainSettings.model_validate(TRAIN | changes), tmp_path, [])


@pytest.mark.parametrize(("flags", "expected"), [({"avx512_bf16"}, "bf16-mixed"), ({"avx2", "bf16"}, "32-true")])
def test_bf16_where_the_processor_has_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, flags: set[str], expected: str
) -> None:
    monkeypatch.setattr(devices, "_processor_flags", lambda: frozenset(flags))
    assert made(tmp_path, precision="auto").precision == expected  # type: ignore[attr-defined]
    assert made(tmp_path, precision="fp32").precision == "32-true"  # type: ignore[attr-defined]
    assert made(tmp_path, precision="bf16").precision == "bf16-mixed"  # type: ignore[attr-defined]


def test_strategies_and_checkpoints_without_pickle(tmp_path: Path) -> None:
    copies = made(tmp_path, devices=2).strategy  # type: ignore[attr-defined]
    shards = made(tmp_path, devices=2, strategy="fsdp").strategy  # type: ignore[attr-defined]
    assert isinstance(copies, DDPStrategy)
    assert isinstance(shards, Shards)
    assert isinstance(copies.checkpoint_io, SafetensorsCheckpoints)
    assert isinstance(shards.checkpoint_io, SafetensorsCheckpoints)
    alone = made(tmp_path, strategy="fsdp").strategy  # type: ignore[attr-defined]
    assert not isinstance(alone, Shards), "one device has nothing to share"


def test_a_gpu_that_is_not_there_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(WrongUse) as refused:
        made(tmp_path, accelerator="gpu")
    assert refused.value.code == "training.no_gpu"


@pytest.mark.parametrize(
    ("environment", "rank"),
    [
        ({}, 0),
        ({"LOCAL_RANK": "1"}, 1),
        ({"RANK": "0", "LOCAL_RANK": "0", "GROUP_RANK": "0"}, 0),
        ({"RANK": "5", "LOCAL_RANK": "1"}, 5),
        ({"NODE_RANK": "1", "LOCAL_RANK": "0"}, 1),
        ({"SLURM_PROCID": "3"}, 3),
    ],
)
def test_one_process_of_all_nodes_is_the_first(
    monkeypatch: pytest.MonkeyPatch, environment: dict[str, str], rank: int
) -> None:
    for name in ("RANK", "LOCAL_RANK", "NODE_RANK", "GROUP_RANK", "SLURM_PROCID"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert process_rank() == rank


def test_a_process_alone_agrees_with_itself() -> None:
    assert all_true(True, torch.device("cpu"))
    assert not all_true(False, torch.device("cpu"))
    assert from_all(("a", "b")) == ["a", "b"]
    assert torch.equal(mean_of_all(torch.arange(3.0)), torch.arange(3.0))
