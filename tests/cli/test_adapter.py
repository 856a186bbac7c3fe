"""``dubflow adapter`` inspects, converts and fuses."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from dubflow.incontext.adapter.files import Adapter, LoraPair, read_adapter, write_adapter
from dubflow.incontext.adapter.metadata import AdapterMetadata
from dubflow.incontext.backbone.folders import save_backbone
from dubflow.incontext.backbone.sources import open_base
from dubflow.incontext.backbone.tiny import tiny_backbone
from verbs import Answer

LAYER = "transformer_blocks.0.attn1.to_q"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    pair = LoraPair(torch.randn(4, 32), torch.randn(32, 4))
    path = tmp_path / "lora.safetensors"
    write_adapter(path, Adapter({LAYER: pair}, AdapterMetadata(base_version="2.0", mask_scheme="isolated")))
    return path


def test_inspect_says_what_it_is_and_what_is_not_recorded(answer: Answer, file: Path) -> None:
    said = answer("adapter", "inspect", file)
    assert (said["layout"], said["ranks"], said["tensors"], said["parameters"]) == ("comfyui", [4], 2, 256)
    assert said["branches"] == {"attn1": 1}
    assert said["metadata"]["mask_scheme"] == "isolated"
    assert "frame_rate" in said["not_recorded"]


def test_convert_keeps_every_bit(answer: Answer, file: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.safetensors"
    assert not answer("adapter", "convert", file, "--out", out, "--layout", "diffusers", "--dry-run")["written"]
    assert not out.exists()
    answer("adapter", "convert", file, "--out", out, "--layout", "diffusers")
    assert torch.equal(read_adapter(out).pairs[LAYER].b, read_adapter(file).pairs[LAYER].b)
    assert answer("adapter", "convert", file, "--out", out, exit_code=2)["error"]["code"] == "cli.file_exists"
    said = answer("adapter", "convert", file, "--out", tmp_path / "x", "--layout", "webui", exit_code=2)
    assert said["error"]["code"] == "cli.unknown_layout"


def test_fuse_adds_with_strength(answer: Answer, file: Path, tmp_path: Path) -> None:
    save_backbone(tiny_backbone(), tmp_path / "base")
    words = ("adapter", "fuse", tmp_path / "base", file, "--out", tmp_path / "fused", "--strength", "0.5")
    assert answer(*words, "--dry-run") == answer(*words, "--dry-run")
    assert not (tmp_path / "fused").exists()
    said = answer(*words)
    assert (said["changed"], said["base_version"], said["written"]) == (1, "2.0", True)
    pair = read_adapter(file).pairs[LAYER]
    before = open_base(tmp_path / "base").parts["transformer"].load(f"{LAYER}.weight")
    after = open_base(tmp_path / "fused").parts["transformer"].load(f"{LAYER}.weight")
    torch.testing.assert_close(after, before + 0.5 * pair.b @ pair.a)
    wrong = answer(*words, "--strength", "1", exit_code=2)
    assert wrong["error"]["code"] == "cli.strengths"


def test_what_is_no_adapter_is_bad_input(answer: Answer, tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b"nothing")
    assert answer("adapter", "inspect", tmp_path / "x", exit_code=3)["error"]["code"] == "incontext.bad_tensor_file"
