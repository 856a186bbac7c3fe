"""Names of bases and adapters; and a base in eight bits, as the package carries its own."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from dubflow.errors import BadInput
from dubflow.incontext.backbone import named
from dubflow.incontext.backbone.described import describe_base
from dubflow.incontext.backbone.folders import save_backbone
from dubflow.incontext.backbone.loading import load_backbone
from dubflow.incontext.backbone.named import STARTER, find_adapter, find_base, is_tiny, open_backbone
from dubflow.incontext.backbone.tiny import tiny_backbone
from dubflow.training import eight_bit as eight_bit_weights
from dubflow.training.eight_bit import STEPS


def test_any_other_name_is_a_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert find_base(tmp_path) == find_adapter(tmp_path) == tmp_path
    assert is_tiny("tiny")
    assert open_backbone("tiny").world == "embedded"
    (tmp_path / "tiny").mkdir()
    monkeypatch.chdir(tmp_path)
    assert not is_tiny("tiny"), "a folder of that name is meant"


@pytest.mark.parametrize("find", [find_base, find_adapter])
def test_an_installation_without_a_starter_says_so(
    find: Callable[[str], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(named, "SHIPPED", tmp_path / "base")
    monkeypatch.setattr(named, "SHIPPED_ADAPTER", tmp_path / "lora.safetensors")
    with pytest.raises(BadInput) as caught:
        find(STARTER)
    assert caught.value.code == "incontext.no_starter"
    assert "dubflow train" in caught.value.hint


@pytest.mark.parametrize("least", [eight_bit_weights.LEAST, 64])
def test_a_base_in_eight_bits_comes_back_by_rows_and_is_the_same_for_adapters(
    least: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # With 64 the tables of modulation are packed too, which end in no ".weight", as those of a full-size base are.
    monkeypatch.setattr(eight_bit_weights, "LEAST", least)
    base = tiny_backbone()
    for name, eight_bit in (("whole", False), ("small", True)):
        save_backbone(base, tmp_path / name, eight_bit=eight_bit)
    sizes = [sum(path.stat().st_size for path in (tmp_path / name).rglob("*")) for name in ("whole", "small")]
    assert sizes[1] < 0.5 * sizes[0]
    back = load_backbone(tmp_path / "small", dtype=torch.float32)
    assert back.world == "embedded"
    for part, module in base.modules().items():
        found = back.modules()[part].state_dict()
        for name, value in module.state_dict().items():
            step = value.abs().amax() / STEPS
            moved = (found[name] - value).abs()
            assert bool((moved <= 0.5 * step + 2**-8 * value.abs() + 1e-6).all()), f"{part} {name}"
    assert describe_base(tmp_path / "small").config == describe_base(tmp_path / "whole").config
