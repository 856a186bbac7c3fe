"""``dubflow train``: what it answers, what it refuses, and that MLflow gets the whole record."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from diflow.training.room import STEPS, Room, equal, shared_room, weights
from dubflow.config import load_preset, preset_names
from dubflow.corpora.settings import PrepareSettings
from dubflow.diflow.nets.settings import NetSettings
from dubflow.diflow.stored import read_facts
from dubflow.diflow.training.settings import DubberTraining, TtsTraining
from verbs import Answer


@pytest.fixture(scope="session")
def room(tmp_path_factory: pytest.TempPathFactory) -> Room:
    return shared_room(tmp_path_factory)


@pytest.mark.parametrize("name", preset_names())
def test_every_preset_says_how_both_stages_are_trained(name: str) -> None:
    for section, kind in (("train_tts", TtsTraining), ("train_dubber", DubberTraining)):
        assert load_preset(name, section, kind).steps > 0
    assert load_preset(name, "nets", NetSettings).width > 0


def test_a_dry_run_says_what_would_be_trained_and_writes_nothing(room: Room, tmp_path: Path, answer: Answer) -> None:
    plan = answer(*room.words("tts", tmp_path / "run", room.preset(tmp_path)), "--dry-run", "--steps", "7")
    assert (plan["clips"], plan["held"], plan["left_out"]) == (6, 3, {})
    assert (plan["steps"], plan["steps_done"]) == (7, 0)
    assert {group[1] for group in plan["groups"]} == {"rest"}
    assert not (tmp_path / "run").exists()


def test_it_trains_answers_and_is_found_finished(room: Room, tmp_path: Path, answer: Answer) -> None:
    words = room.words("tts", tmp_path / "run", room.preset(tmp_path))
    report = answer(*words, "--seed", "3")
    assert (report["stage"], report["steps"], report["resumed_at"], report["found"]) == ("tts", STEPS, 0, False)
    assert report["model"] == str(tmp_path / "run" / "model")
    lineage = json.loads((tmp_path / "run" / "model" / "lineage.json").read_text())
    assert lineage["run"]["settings"]["seed"] == 3
    assert lineage["command"].startswith("dubflow train tts --data")
    used = tmp_path / "run" / "preset.yaml"  # a preset that trains the same again
    assert load_preset(str(used), "train_tts", TtsTraining).seed == 3
    assert load_preset(str(used), "nets", NetSettings) == read_facts(tmp_path / "run" / "model").settings
    assert load_preset(str(used), "prepare", PrepareSettings).precision == "float32"
    steps = [line.partition(",")[0] for line in (tmp_path / "run" / "curves" / "train.csv").read_text().splitlines()]
    assert (steps[0], steps[-1]) == ("step", str(STEPS))
    assert answer(*words, "--seed", "3")["found"]
    refused = answer(*words, "--seed", "4", exit_code=2)
    assert refused["error"]["code"] == "training.other_run"


def test_what_is_put_wrongly_is_refused(room: Room, tmp_path: Path, answer: Answer) -> None:
    preset = room.preset(tmp_path)
    words = room.words("dubber", tmp_path / "run", preset)
    assert answer(*words, exit_code=2)["error"]["code"] == "diflow.no_teacher"
    assert answer(*words, "--teacher", tmp_path, exit_code=3)["error"]["code"] == "diflow.not_a_model"
    missing = ["train", "tts", "--data", tmp_path, "--codec", room.codec, "--out", tmp_path / "run"]
    assert answer(*missing, exit_code=3)["error"]["code"] == "corpora.not_prepared"
    wrong = [*room.words("tts", tmp_path / "run", preset), "--preset", tmp_path / "bad.yaml"]
    (tmp_path / "bad.yaml").write_text("train_tts: {stpes: 3}")
    error = answer(*wrong, exit_code=3)["error"]
    assert error["code"] == "config.bad_preset"
    assert "stpes" in error["headline"]


@pytest.mark.slow
def test_mlflow_has_numbers_parameters_tags_and_what_was_said(
    room: Room, tmp_path: Path, answer: Answer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("DUBFLOW_MLFLOW_URI", raising=False)
    preset = room.preset(tmp_path, steps=4, checkpoint_every=2, validate_every=2, validate_aloud=1, log_every=1)
    words = [*room.words("tts", tmp_path / "runs" / "first", preset)]
    at = words.index("--track")
    del words[at : at + 2]  # by default a database beside the run
    answer(*words)

    from mlflow import MlflowClient

    from dubflow.registry.tracking_store import store_of

    client = MlflowClient(tracking_uri=store_of(None, tmp_path / "runs" / "first").uri)
    experiment = client.get_experiment_by_name("diflow-tts")
    assert experiment is not None
    (run,) = client.search_runs([experiment.experiment_id])
    identity = json.loads((tmp_path / "runs" / "first" / "run.json").read_text())
    assert run.info.status == "FINISHED"
    assert run.info.run_name == "first"
    assert run.data.tags["data"] == identity["data"]
    assert (run.data.tags["codec"], run.data.tags["teacher"]) == (room.codec_id, "none")
    assert run.data.tags["start"] == "none"
    kept = client.download_artifacts(run.info.run_id, "preset.yaml", str(tmp_path))
    assert load_preset(kept, "train_tts", TtsTraining).steps == 4
    assert run.data.params["settings.steps"] == "4"
    assert [each.step for each in client.get_metric_history(run.info.run_id, "train/loss")] == [1, 2, 3, 4]
    assert [each.step for each in client.get_metric_history(run.info.run_id, "val/loss")] == [2, 4]
    listed = {each.path for each in client.list_artifacts(run.info.run_id, "validation/step-00000004")}
    assert {Path(path).name for path in listed} == {"c_6.wav", "c_6.png"}
    again = answer(*words)
    assert again["found"]
    assert len(client.search_runs([experiment.experiment_id])) == 1
    assert equal(weights(Path(again["model"])), weights(tmp_path / "runs" / "first" / "model"))
