"""Weights are loaded completely and safely, or refused with what is wrong."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from dubflow.errors import BadInput
from dubflow.faces.features.lip_resnet import IGNORED, LipResNet
from dubflow.faces.features.weights import load_strictly, read_weights

Weights = dict[str, torch.Tensor]


class Intruder:
    """Unpickling this runs a command."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple[object, ...]:
        return os.mkdir, (str(self.marker),)


def test_every_way_of_saving_reads_the_same(lip_weights: Weights, tmp_path: Path) -> None:
    wrapped = {"epoch_idx": torch.tensor(3), "model_state_dict": lip_weights}
    parallel = {"state_dict": {f"module.{name}": tensor for name, tensor in lip_weights.items()}}
    torch.save(lip_weights, tmp_path / "plain.pt")
    torch.save(wrapped, tmp_path / "wrapped.pth.tar")
    torch.save(parallel, tmp_path / "parallel.pth")
    save_file(lip_weights, tmp_path / "safe.safetensors")
    for path in sorted(tmp_path.iterdir()):
        read = read_weights(path)
        assert read.keys() == lip_weights.keys(), path.name
        assert all(torch.equal(read[name], lip_weights[name]) for name in read), path.name


def test_parameters_arrive_unchanged_and_frozen(lip_weights: Weights) -> None:
    network = LipResNet()
    load_strictly(network, lip_weights, IGNORED, "test")
    assert all(torch.equal(tensor, lip_weights[name]) for name, tensor in network.state_dict().items())
    assert not network.training
    assert not any(parameter.requires_grad for parameter in network.parameters())


def test_update_counters_may_be_missing(lip_weights: Weights) -> None:
    older = {name: tensor for name, tensor in lip_weights.items() if not name.endswith("num_batches_tracked")}
    load_strictly(LipResNet(), older, IGNORED, "test")


def test_everything_that_does_not_fit_is_listed(lip_weights: Weights) -> None:
    weights = dict(lip_weights)
    del weights["trunk.layer3.1.conv2.weight"]
    weights["trunk.layer5.0.conv1.weight"] = torch.zeros(1)
    weights["frontend3D.0.weight"] = torch.zeros(64, 3, 5, 7, 7)
    with pytest.raises(BadInput) as caught:
        load_strictly(LipResNet(), weights, IGNORED, "the lip network")
    assert caught.value.code == "faces.weights_do_not_fit"
    assert caught.value.details == {
        "missing": ["trunk.layer3.1.conv2.weight"],
        "unknown": ["trunk.layer5.0.conv1.weight"],
        "misshapen": ["frontend3D.0.weight [64, 3, 5, 7, 7] instead of [64, 1, 5, 7, 7]"],
    }
    assert "trunk.layer3.1.conv2.weight" in caught.value.headline


def test_values_that_are_not_numbers_are_refused(lip_weights: Weights) -> None:
    spoilt = {**lip_weights, "frontend3D.1.bias": torch.full((64,), torch.nan)}
    with pytest.raises(BadInput, match=r"frontend3D\.1\.bias"):
        load_strictly(LipResNet(), spoilt, IGNORED, "test")


def test_a_file_that_would_run_code_is_refused_and_does_not(tmp_path: Path) -> None:
    path, marker = tmp_path / "evil.pth", tmp_path / "it ran"
    torch.save({"model_state_dict": Intruder(marker)}, path)
    with pytest.raises(BadInput, match="bad_weights"):
        read_weights(path)
    assert not marker.exists()


@pytest.mark.parametrize("name", ["weights.pth", "weights.safetensors"])
@pytest.mark.parametrize("content", [b"", b"not weights at all", b"\x80\x02}q\x00."])
def test_files_of_something_else_are_bad_input(tmp_path: Path, name: str, content: bytes) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(BadInput) as caught:
        load_strictly(LipResNet(), read_weights(path), IGNORED, "test")
    assert caught.value.code in {"faces.bad_weights", "faces.weights_do_not_fit"}


def test_a_missing_file_and_a_whole_pickled_model_are_bad_input(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="weights_missing"):
        read_weights(tmp_path / "none.pth")
    torch.save([torch.zeros(1)], tmp_path / "list.pth")
    with pytest.raises(BadInput, match="no dictionary of tensors"):
        read_weights(tmp_path / "list.pth")
