"""A whole base from nothing, at a size that takes seconds."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from dubflow.errors import WrongUse
from dubflow.incontext.backbone.audio import decode_audio, encode_audio
from dubflow.incontext.backbone.loading import load_backbone
from dubflow.incontext.backbone.video import encode_video
from dubflow.incontext.pretraining.arrays import make_arrays
from dubflow.incontext.pretraining.material import read_material
from dubflow.incontext.pretraining.run import BaseReport, train_base
from incontext.pretraining.room import preset_in, stopping, unseen

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, BaseReport]:
    """A run's folder and its report."""
    out = tmp_path_factory.mktemp("base")
    report = train_base(preset_in(out), out / "run", command="dubflow train base", reporting=unseen)
    return out / "run", report


def test_the_result_is_a_base_that_loads_and_says_its_world(made: tuple[Path, BaseReport]) -> None:
    out, report = made
    base = load_backbone(report.model, dtype=torch.float32)
    assert (base.version, base.world, base.text_tokens) == ("2.0", "embedded", 160)
    assert "embedded world" in (report.model / "card.md").read_text()
    lineage = json.loads((report.model / "lineage.json").read_text())
    assert lineage["command"] == "dubflow train base"
    stored = load_file(out / "transformer" / "weights.safetensors")
    for name, value in base.transformer.state_dict().items():
        assert torch.equal(value, stored[f"transformer.{name}"]), name
    assert not report.found


def test_statistics_make_latents_standard(made: tuple[Path, BaseReport]) -> None:
    out, report = made
    base = load_backbone(report.model, dtype=torch.float32)
    clips = read_material(out / "material")
    arrays = make_arrays(out / "arrays", clips, 17)
    audio = torch.cat([encode_audio(base, arrays[place].sound / 32767.0) for place in range(len(arrays))])
    assert audio.std().item() == pytest.approx(1.0, abs=0.6)
    drawn = [arrays[place] for place in range(len(arrays)) if arrays[place].frames is not None]
    video = torch.cat([encode_video(base, one.frames.copy()).flatten(1) for one in drawn if one.frames is not None], 1)
    assert video.std(dim=1).mean().item() == pytest.approx(1.0, abs=0.6)
    sound, rate = decode_audio(base, audio[:25])
    assert (sound.shape, rate) == ((2, (25 * 4 - 3) * 240), 24_000)


def test_a_second_call_finds_it_and_writes_nothing(made: tuple[Path, BaseReport]) -> None:
    out, report = made
    before = {path: path.stat().st_mtime_ns for path in out.rglob("*") if path.is_file()}
    again = train_base(preset_in(out.parent), out, command="other", reporting=unseen)
    assert again.found
    assert again.model == report.model
    assert {path: path.stat().st_mtime_ns for path in out.rglob("*") if path.is_file()} == before


@pytest.mark.parametrize("part", ["audio_vae", "vocoder", "vae", "transformer"])
def test_a_run_that_was_stopped_ends_with_the_same_weights(
    made: tuple[Path, BaseReport], tmp_path: Path, part: str
) -> None:
    whole, _ = made
    preset = preset_in(tmp_path)
    with pytest.raises(KeyboardInterrupt):
        train_base(preset, tmp_path / "run", command="x", reporting=stopping(part, 2))
    assert not (tmp_path / "run" / part / "weights.safetensors").exists()
    report = train_base(preset, tmp_path / "run", command="x", reporting=unseen)
    (resumed,) = [one for one in report.parts if one.name == part]
    assert 0 < resumed.resumed_at < resumed.steps
    expected = load_file(whole / part / "weights.safetensors")
    found = load_file(tmp_path / "run" / part / "weights.safetensors")
    assert all(torch.equal(found[name], value) for name, value in expected.items())


def test_another_preset_is_refused_in_the_same_folder(made: tuple[Path, BaseReport]) -> None:
    out, _ = made
    preset = preset_in(out.parent)
    changed = preset.audio_vae.model_copy(update={"rate": 5e-4})
    from dataclasses import replace

    with pytest.raises(WrongUse, match="rate"):
        train_base(replace(preset, audio_vae=changed), out, command="x", reporting=unseen)
