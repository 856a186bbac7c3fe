"""``dubflow dub`` with the in-context engine."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from dubbing.room import Room, shared_room
from dubflow.incontext.adapter.files import Adapter, LoraPair, write_adapter
from dubflow.incontext.adapter.metadata import AdapterMetadata
from dubflow.incontext.backbone.folders import save_backbone
from incontext.samples import backbone
from verbs import Answer


@pytest.fixture(scope="session")
def room(tmp_path_factory: pytest.TempPathFactory) -> Room:
    return shared_room(tmp_path_factory)


@pytest.mark.slow
def test_it_dubs_a_clip_with_a_base_and_an_adapter(room: Room, tmp_path: Path, answer: Answer) -> None:
    save_backbone(backbone(), tmp_path / "base")
    layer = "transformer_blocks.1.audio_attn2.to_v"
    rows, columns = backbone().transformer.get_submodule(layer).weight.shape
    a, b = torch.ones(2, columns), torch.ones(rows, 2)
    told = AdapterMetadata(sampler_preset="tiny", world="embedded", base_version="2.0")
    write_adapter(tmp_path / "lora.safetensors", Adapter({layer: LoraPair(a, b)}, told))
    words = [
        "dub", str(room.clip()), "--text", "bonjour", "--language", "fr", "--model", str(tmp_path / "base"),
        "--adapter", str(tmp_path / "lora.safetensors"), "--out", str(tmp_path / "o.mp4"),
    ]  # fmt: skip
    plan = answer(*words, "--dry-run")
    assert plan["clips"][0]["duration_s"] == pytest.approx(1.2)
    (result,) = answer(*words)["results"]
    assert result["engine"].startswith("incontext-")
    assert (result["world"], result["reference"], result["duration_error_s"]) == ("embedded", "self", 0.0)
    assert answer(*words)["found"] == 1
    assert np.isfinite(result["seconds"])


@pytest.mark.parametrize(
    "words",
    [
        ["--engine", "other"],
        ["--adapter", "lora.safetensors"],
        [],
    ],
)
def test_wrong_words_are_refused(words: list[str], tmp_path: Path, answer: Answer) -> None:
    said = answer(
        "dub", "a.mp4", "--text", "bonjour", "--language", "fr", "--out", str(tmp_path / "o.mp4"), *words, exit_code=2
    )
    assert said["error"]["code"] == "cli.wrong_use"
