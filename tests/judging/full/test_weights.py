from __future__ import annotations

import hashlib
import os
import pickle
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from dubflow.errors import BadInput, WrongUse
from dubflow.judging.full.weights import (
    load_into,
    named,
    read_state,
    weights_digest,
    weights_pin,
    why_no_device,
    why_no_weights,
)


@pytest.fixture
def state() -> dict[str, torch.Tensor]:
    return {"0.weight": torch.randn(3, 2), "0.bias": torch.randn(3), "1.weight": torch.randn(1, 3)}


def network() -> nn.Sequential:
    return nn.Sequential(nn.Linear(2, 3), nn.Linear(3, 1, bias=False))


@pytest.mark.parametrize("name", ["a.safetensors", "a.pt", "a.pth", "a.ckpt", "a.bin"])
@pytest.mark.parametrize("prefix", ["", "module.", "model.", "module.model."])
def test_files_read_alike(tmp_path: Path, state: dict[str, torch.Tensor], name: str, prefix: str) -> None:
    path = tmp_path / name
    prefixed = {prefix + key: value for key, value in state.items()}
    if path.suffix == ".safetensors":
        save_file(prefixed, path)
    else:
        torch.save({"state_dict": prefixed} if name == "a.ckpt" else prefixed, path)
    read = read_state(path, strip=("model.",))
    assert set(read) == set(state)
    assert all(torch.equal(read[key], state[key]) for key in state)


def test_loaded_for_inference(state: dict[str, torch.Tensor]) -> None:
    loaded = network()
    load_into(loaded, state | {"head.weight": torch.zeros(9)}, what="a test", ignore=("head.",))
    assert not loaded.training
    assert not any(one.requires_grad for one in loaded.parameters())
    given = torch.randn(5, 2)
    by_hand = (given @ state["0.weight"].T + state["0.bias"]) @ state["1.weight"].T
    assert torch.allclose(loaded(given), by_hand, atol=1e-6)


def test_what_does_not_fit_is_named(state: dict[str, torch.Tensor]) -> None:
    wrong = {"0.weight": torch.zeros(3, 4), "0.bias": state["0.bias"], "7.weight": torch.zeros(1)}
    with pytest.raises(BadInput) as caught:
        load_into(network(), wrong, what="the little one")
    assert caught.value.code == "judging.weights_do_not_fit"
    assert caught.value.details == {
        "missing": ["1.weight"],
        "unknown": ["7.weight"],
        "misshapen": ["0.weight [3, 4] instead of [3, 2]"],
    }
    assert "the little one" in str(caught.value)


def test_values_that_are_no_numbers(state: dict[str, torch.Tensor]) -> None:
    with pytest.raises(BadInput, match=r"1\.weight") as caught:
        load_into(network(), state | {"1.weight": torch.full((1, 3), float("nan"))}, what="a test")
    assert caught.value.code == "judging.bad_weights"


class _Harm:
    """What a pickle may do to whoever opens it."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple:
        return os.mkdir, (str(self.path),)


@pytest.mark.filterwarnings("ignore")  # torch says what it finds before it refuses
def test_a_pickle_is_refused_and_not_run(tmp_path: Path) -> None:
    sign = tmp_path / "run"
    (tmp_path / "plain.pt").write_bytes(pickle.dumps({"0.weight": _Harm(sign)}))
    torch.save({"0.weight": _Harm(sign)}, tmp_path / "torch.pt")
    torch.save(network(), tmp_path / "module.pt")
    torch.jit.script(network()).save(str(tmp_path / "script.pt"))
    (tmp_path / "text.pt").write_text("not weights")
    (tmp_path / "text.safetensors").write_text("not weights")
    torch.save({"epoch": 3, "lr": 0.1}, tmp_path / "numbers.pt")
    for path in sorted(tmp_path.iterdir()):
        with pytest.raises(BadInput) as caught:
            read_state(path)
        assert caught.value.code == "judging.bad_weights", path.name
    assert not sign.exists()


def test_no_file(tmp_path: Path) -> None:
    with pytest.raises(BadInput) as caught:
        read_state(tmp_path / "none.pt")
    assert caught.value.code == "judging.weights_missing"
    assert "full.utmos" in (why_no_weights(None, "utmos", "utmos") or "")
    assert "none.pt" in (why_no_weights(tmp_path / "none.pt", "utmos", "utmos") or "")
    with pytest.raises(WrongUse) as unnamed:
        named(None, "utmos")
    assert unnamed.value.code == "judging.weights_not_named"


def test_a_pin_is_of_the_file(tmp_path: Path) -> None:
    path = tmp_path / "a.pt"
    path.write_bytes(b"one")
    pin = weights_pin(path, "net-1", {"device": "cpu"})
    assert (pin.version, pin.settings) == ("net-1", {"device": "cpu"})
    assert pin.sha256 == hashlib.sha256(b"one").hexdigest()
    path.write_bytes(b"other")
    assert weights_digest(path) == hashlib.sha256(b"other").hexdigest()
    assert why_no_weights(path, "utmos", "utmos") is None


def test_devices() -> None:
    assert why_no_device("cpu") is None
    assert (why_no_device("cuda") is None) == torch.cuda.is_available()
