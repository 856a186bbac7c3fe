"""From drawn pairs to a packed adapter that dubs: every part of the in-context family, as a user calls them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

from dubflow.media.probe import probe
from incontext.training.room import DATA, INFERENCE, TRAIN, clip, write_pairs
from verbs import Answer


@pytest.mark.slow
def test_pairs_become_an_adapter_that_dubs_and_a_package_that_dubs_the_same(tmp_path: Path, answer: Answer) -> None:
    pairs = write_pairs(tmp_path / "pairs", 3, mask=False)
    preset = tmp_path / "tiny.yaml"
    shipped = {"lora": {"rank": 2}, "training": TRAIN | {"steps": 2}}
    sections = {"data": DATA.model_dump(), "inference": INFERENCE | {"sampler_preset": "tiny"}, **shipped}
    preset.write_text(yaml.safe_dump({f"incontext.{name}": content for name, content in sections.items()}))
    run, packed = tmp_path / "run", tmp_path / "package"
    words = ("--data", str(pairs.root), "--base", "tiny", "--out", str(run), "--preset", str(preset))
    report = answer("train", "lora", *words, "--track", "none")
    assert (report["pairs"], report["held"], report["world"]) == (2, 1, "embedded")
    told = answer("adapter", "inspect", report["adapter"])
    assert (told["layout"], told["ranks"], told["metadata"]["world"]) == ("comfyui", [2], "embedded")
    made = answer("models", "package", str(run / "model"), "--out", str(packed), "--corpus", str(pairs.root))
    assert (made["facts"]["kind"], made["facts"]["languages"]) == ("incontext", ["fr"])

    clip(tmp_path / "source.mp4", 9, 30)
    source = tmp_path / "source.mp4"
    asked = ("dub", str(source), "--text", "bonjour", "--language", "fr", "--out")
    dub = tmp_path / "dub.mp4"
    (one,) = answer(*asked, str(dub), "--model", "tiny", "--engine", "incontext", "--adapter", report["adapter"])[
        "results"
    ]
    assert (one["world"], one["duration_error_s"]) == ("embedded", 0.0)
    before, after = probe(source).video, probe(dub).video
    assert before is not None
    assert after is not None
    assert after.duration == before.duration
    assert answer("provenance", str(dub))["facts"]["engine"] == one["engine"]
    (two,) = answer(*asked, str(tmp_path / "b.mp4"), "--model", str(packed))["results"]
    (three,) = answer(*asked, str(tmp_path / "c.mp4"), "--model", "tiny", "--adapter", str(packed), "--engine",
                      "incontext")["results"]  # fmt: skip
    assert two["engine"] == three["engine"] == one["engine"]

    config = packed / "model.json"
    assert json.loads(config.read_text())["base"] == "tiny"
    config.write_text(config.read_text().replace("tiny", "tinx"))
    said = answer(*asked, str(tmp_path / "d.mp4"), "--model", str(packed), exit_code=3)
    assert said["error"]["code"] == "registry.package_changed"
