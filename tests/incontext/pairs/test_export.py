"""What is exported is read back by the readers of these formats."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from dubflow.corpora.layouts import justdubit
from dubflow.errors import BadInput, WrongUse
from dubflow.incontext.backbone.tiny import tiny_backbone
from dubflow.incontext.pairs.export_dataset import export_dataset
from dubflow.incontext.pairs.export_precomputed import export_precomputed
from dubflow.incontext.pairs.manifest import PairManifest
from dubflow.incontext.pairs.tables import pairs_of
from dubflow.incontext.prompts import dub_prompt
from dubflow.incontext.training.latents import LatentSet
from dubflow.incontext.training.precomputed import import_precomputed, is_precomputed
from incontext.training.room import DATA, write_pairs


def pairs(folder: Path, count: int = 2) -> PairManifest:
    """Pairs, the first with a mask, and a rejected one."""
    found = write_pairs(folder / "pairs", count + 1)
    said = [row.model_copy(update={"prompt": dub_prompt(f"un {row.id}", "fr")}) for row in found.rows[:count]]
    rows = [*said, found.rows[count].model_copy(update={"rejected": ("lips do not move",)})]
    return PairManifest(found.header, rows, found.root)


def test_a_table_of_just_dub_it_reads_back_as_the_same_pairs(tmp_path: Path) -> None:
    given = pairs(tmp_path)
    assert export_dataset(given, tmp_path / "out") == 2
    found = pairs_of(tmp_path / "out")
    assert len(found) == len(found.accepted) == 2
    for one, other in zip(given.accepted, found, strict=True):
        assert (one.prompt, one.target_language) == (other.prompt, other.target_language)
        for role in ("context", "target", "mask"):
            had, has = getattr(one, role), getattr(other, role)
            assert (had and had.sha256) == (has and has.sha256)
    corpus = justdubit.read(tmp_path / "out")
    assert (corpus.coverage.listed, corpus.coverage.found) == (2, 2)
    records = json.loads((tmp_path / "out" / "dataset.json").read_text())
    assert set(records[0]) == {"caption", "media_path", "reference_path", "mask_path"}
    assert set(records[1]) == {"caption", "media_path", "reference_path"}


def test_a_precomputed_tree_reads_back_as_the_same_latents(tmp_path: Path) -> None:
    given, base = pairs(tmp_path), tiny_backbone()
    assert export_precomputed(given, base, DATA, tmp_path / "cache", tmp_path / "out") == 2
    assert is_precomputed(tmp_path / "out")
    import_precomputed(tmp_path / "out", base, tmp_path / "taken")
    ours, taken = LatentSet(tmp_path / "cache"), LatentSet(tmp_path / "taken")
    assert set(ours.index.pairs) == set(taken.index.pairs) == {"pair/0", "pair/1"}
    for name in ours.index.pairs:
        one, other = ours[name], taken[name]
        for field in ("context_video", "context_audio", "target_video", "target_audio"):
            assert torch.equal(getattr(one, field), getattr(other, field))
        assert torch.equal(one.text.video, other.text.video)
        assert torch.equal(one.text.audio, other.text.audio)
        assert (one.mask is None) == (other.mask is None)
        if one.mask is not None and other.mask is not None:
            assert torch.equal(one.mask, other.mask)
    assert ours["pair/0"].mask is not None
    stored = torch.load(tmp_path / "out" / ".precomputed" / "latents" / "pair" / "0.pt", weights_only=True)
    assert (stored["num_frames"], stored["height"], stored["width"], stored["fps"]) == (2, 2, 2, 25.0)
    sound = torch.load(tmp_path / "out" / ".precomputed" / "audio_latents" / "pair" / "0.pt", weights_only=True)
    assert tuple(sound["latents"].shape) == (2, 9, 4)
    assert (sound["num_time_steps"], sound["frequency_bins"], sound["duration"]) == (9, 4, 0.36)


def test_nothing_is_written_over_and_nothing_of_nothing(tmp_path: Path) -> None:
    given = pairs(tmp_path, 1)
    (tmp_path / "there").mkdir()
    with pytest.raises(WrongUse) as there:
        export_dataset(given, tmp_path / "there")
    assert there.value.code == "incontext.folder_exists"
    rejected = PairManifest(given.header, [row for row in given if row.rejected], given.root)
    with pytest.raises(BadInput) as nothing:
        export_dataset(rejected, tmp_path / "out")
    assert nothing.value.code == "incontext.nothing_to_export"
    assert not (tmp_path / "out").exists()
