"""A training of a LoRA, from stored pairs to an adapter."""

from __future__ import annotations

import csv
import json
import shutil
from itertools import pairwise
from pathlib import Path

import pytest
import torch

from dubflow.errors import BadInput, OurFault, WrongUse
from dubflow.incontext.adapter.files import read_adapter
from dubflow.incontext.backbone.tiny import tiny_backbone
from dubflow.incontext.training.latents import LatentSet
from dubflow.incontext.training.module import rate_share
from dubflow.incontext.training.run import LoraReport, survey, train_lora
from dubflow.incontext.training.settings import LoraTraining
from dubflow.media.decode import read_clip
from dubflow.tracking import read_metrics
from dubflow.training.checkpoints import checkpoint_path, checkpoints, step_of
from incontext.training.room import TRAIN, Room, equal, weights


@pytest.fixture(scope="module")
def finished(room: Room, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run's folder."""
    out = tmp_path_factory.mktemp("finished")
    train_lora(room.task(), out, command="dubflow train lora")
    return out


def test_it_leaves_an_adapter_that_says_how_to_run_it(room: Room, finished: Path) -> None:
    adapter = read_adapter(finished / "model" / "adapter.safetensors")
    assert adapter.metadata is not None
    told = adapter.metadata
    assert (told.base_version, told.mask_scheme, told.audio_positions) == ("2.0", "isolated", "same")
    assert (told.reference_order, told.sigma_sharing, told.frame_rate) == ("ref_first", "shared", 25)
    assert told.world == "embedded"
    assert adapter.tensors == 2 * 28 * 2
    card = (finished / "model" / "card.md").read_text()
    assert "embedded world" in card
    assert "| without a face mask | 3 of these" in card
    lineage = json.loads((finished / "model" / "lineage.json").read_text())
    assert lineage["command"] == "dubflow train lora"
    assert set(lineage["pairs"]["unmasked"]) == {f"pair/{number}" for number in range(1, 5)}


def test_every_trained_weight_has_its_group_written_down(finished: Path) -> None:
    with (finished / "groups.csv").open() as stream:
        rows = list(csv.DictReader(stream))
    assert len(rows) == 112
    assert {row["rate"] for row in rows if "audio" in row["weight"]} == {"0.005"}
    assert {row["rate"] for row in rows if "audio" not in row["weight"]} == {"0.01"}


def test_checkpoints_hold_the_lora_alone(finished: Path) -> None:
    files = checkpoints(finished / "checkpoints")
    assert [step_of(path) for path in files] == [6, 8]
    # Two numbers of the optimiser for each of the LoRA's; the base alone is a hundred times as much.
    lora = sum(value.numel() * 4 for value in weights(finished).values())
    assert files[-1].stat().st_size < 4 * lora + 100_000
    assert {path.suffix for path in finished.rglob("*") if path.is_file()} <= {
        ".json", ".jsonl", ".safetensors", ".md", ".csv", "", ".mp4",
    }  # fmt: skip


def test_one_that_was_stopped_goes_on_to_the_same_weights(room: Room, finished: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    shutil.copytree(finished, out)
    shutil.rmtree(out / "model")
    checkpoint_path(out / "checkpoints", 8).unlink()
    report = train_lora(room.task(), out)
    assert (report.resumed_at, report.found) == (6, False)
    assert equal(weights(out), weights(finished))
    again = train_lora(room.task(), out)
    assert again.found


def test_batches_of_one_are_the_run_they_always_were() -> None:
    one, more = (LoraTraining.model_validate(TRAIN | {"batch_items": items}) for items in (1, 2))
    assert "batch_items" not in one.identity()
    assert more.identity() == one.identity() | {"batch_items": 2}
    assert LoraTraining(batch_items=3, accumulate=2, devices=2, nodes=2).step_items == 24


@pytest.mark.slow
def test_another_run_is_refused_and_other_places_are_not(room: Room, finished: Path) -> None:
    for changes in ({"seed": 1}, {"first_frame_p": 0.5}, {"accumulate": 2}, {"batch_items": 2}):
        with pytest.raises(WrongUse) as refused:
            train_lora(room.task(**changes), finished)
        assert refused.value.code == "training.other_run"
    assert train_lora(room.task(log_every=1, checkpoint_every=7), finished).found


@pytest.mark.slow
def test_validation_and_order_of_processes_change_no_weight(room: Room, finished: Path, tmp_path: Path) -> None:
    report = train_lora(room.task(validate_every=3, validate_dubs=1), tmp_path / "validated")
    assert isinstance(report, LoraReport)
    # The settings say how often it validates, so it is another run; its weights are the same.
    assert equal(weights(tmp_path / "validated"), weights(finished))
    curves = read_metrics(tmp_path / "validated" / "logs" / "metrics.jsonl")
    assert list(curves["val/loss"]) == [3, 6, 8]
    dubbed = read_clip(tmp_path / "validated" / "validation" / "step-00000008" / "pair_4.mp4")
    assert dubbed.frames is not None
    assert dubbed.frames.shape == (9, 64, 64, 3)
    assert dubbed.sample_count == 9 * 640
    assert curves["train/without_mask"][8] == pytest.approx(0.75, abs=0.26)


@pytest.mark.slow
def test_a_start_adapter_is_where_it_begins(room: Room, finished: Path, tmp_path: Path) -> None:
    start = finished / "model" / "adapter.safetensors"
    frozen = {"default": 1e-12, "patterns": []}
    train_lora(room.task(start=start, steps=1, rates=frozen), tmp_path)
    before, after = weights(finished), weights(tmp_path)
    assert all(torch.allclose(before[name], after[name], atol=1e-6) for name in before)
    with pytest.raises(BadInput) as refused:
        train_lora(room.task(start=start, lora={"rank": 3}), tmp_path / "other")
    assert refused.value.code == "incontext.lora_disagrees"


def test_latents_of_another_version_are_refused(room: Room, tmp_path: Path) -> None:
    task = room.task()
    with pytest.raises(BadInput) as refused:
        train_lora(
            type(task)(**{**task.__dict__, "backbone": tiny_backbone("2.3")}),
            tmp_path,
        )
    assert refused.value.code == "incontext.other_base"


def test_a_survey_writes_nothing(room: Room, tmp_path: Path) -> None:
    plan = survey(room.task(), tmp_path / "run")
    assert not (tmp_path / "run").exists()
    assert (plan["pairs"], plan["held"], plan["steps_done"]) == (4, 1, 0)
    assert sum(line[3] for line in plan["groups"]) == 112


def test_a_loss_that_is_none_names_its_pair(room: Room, tmp_path: Path) -> None:
    class Spoilt(LatentSet):
        def __getitem__(self, name: str):  # type: ignore[no-untyped-def]
            pair = super().__getitem__(name)
            if name == "pair/2":
                pair.target_video[0, 0, 0, 0] = float("nan")
            return pair

    task = room.task()
    with pytest.raises(OurFault) as ended:
        train_lora(type(task)(**{**task.__dict__, "latents": Spoilt(room.latents)}), tmp_path)
    assert ended.value.code == "training.loss_not_finite"
    assert "pair/2" in ended.value.headline


def test_rates_fall_in_a_line_to_their_share() -> None:
    settings = LoraTraining.model_validate(TRAIN | {"steps": 2000, "final_share": 0.1})
    shares = [rate_share(step, settings) for step in range(2000)]
    assert shares[0] == 1
    assert shares[1000] == pytest.approx(0.55)
    assert shares[-1] == pytest.approx(0.1, abs=1e-3)
    assert all(one > other for one, other in pairwise(shares))
