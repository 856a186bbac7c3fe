"""What a run does with its folder: finishes once, goes on, refuses what is not its own."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from diflow.training.room import NETS, STEPS, Clip, Room, clips_of, equal, greatest_difference, weights, write_set
from dubflow.corpora.prepared import PreparedSet
from dubflow.diflow.nets.settings import NetSettings
from dubflow.diflow.stored import load_model
from dubflow.diflow.training.run import TrainReport, survey, train
from dubflow.errors import BadInput, DubflowError, OurFault, WrongUse
from dubflow.locking import alone_in
from dubflow.progress import Silent
from dubflow.tracking import FolderLog, read_metrics
from dubflow.training.checkpoints import checkpoints, step_of
from dubflow.training.claims import RUN


@pytest.fixture(scope="module")
def finished(room: Room, tmp_path_factory: pytest.TempPathFactory) -> TrainReport:
    return train(room.task(), tmp_path_factory.mktemp("run") / "tts", command="dubflow train tts")


class Interrupting(Silent):
    """Somebody presses Ctrl-C after a number of steps."""

    def __init__(self, steps: int) -> None:
        super().__init__()
        self.steps = steps
        self.notes: list[str] = []

    def advance(self, items: int = 1, *, cached: bool = False) -> None:
        super().advance(items, cached=cached)
        if self.estimate.done == self.steps:
            raise KeyboardInterrupt

    def note(self, text: str) -> None:
        self.notes.append(text)


def refused(code: str, kind: type[DubflowError], task: Any, out: Path) -> DubflowError:
    with pytest.raises(kind) as error:
        train(task, out)
    assert error.value.code == code
    return error.value


def test_a_finished_run_is_found_and_its_model_says_what_it_is(room: Room, finished: TrainReport) -> None:
    before = (finished.model / "model.safetensors").stat().st_mtime_ns
    again = train(room.task(), finished.model.parent)
    assert again.found
    assert (again.resumed_at, again.clips, again.held) == (STEPS, 6, 3)
    assert (finished.model / "model.safetensors").stat().st_mtime_ns == before
    model = load_model(finished.model)
    assert (model.facts.stage, model.facts.steps, model.facts.codec) == ("tts", STEPS, room.codec_id)
    assert (model.facts.settings.lip_features, model.facts.settings.speaker) == (12, room.speaker)
    assert json.loads((finished.model / "lineage.json").read_text())["command"] == "dubflow train tts"
    assert "embedded world" in (finished.model / "card.md").read_text()


def test_ctrl_c_leaves_as_itself_and_going_on_reads_no_pickle(
    room: Room, finished: TrainReport, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def pickled(*args: Any, **kwargs: Any) -> None:
        raise AssertionError("a pickle")

    monkeypatch.setattr("torch.load", pickled)
    monkeypatch.setattr("torch.save", pickled)
    with pytest.raises(KeyboardInterrupt):
        train(room.task(), tmp_path, progress=Interrupting(8))
    with pytest.raises(KeyboardInterrupt):  # as often as one likes
        train(room.task(), tmp_path, progress=Interrupting(9))
    newest = checkpoints(tmp_path / "checkpoints")[-1]
    assert step_of(newest) == 6
    newest.write_bytes(newest.read_bytes()[:-9])
    progress = Interrupting(10**9)
    report = train(room.task(), tmp_path, progress=progress)
    assert report.resumed_at == 3
    assert any("does not read" in note for note in progress.notes)
    assert any("Going on after step 3 of 12" in note for note in progress.notes)
    assert (progress.estimate.done, progress.estimate.cached) == (STEPS, 3)
    assert equal(weights(report.model), weights(finished.model))
    shutil.rmtree(report.model)  # killed after its last checkpoint, before the result was stored
    assert survey(room.task(), tmp_path)["steps_done"] == STEPS
    assert train(room.task(), tmp_path).resumed_at == STEPS
    assert equal(weights(report.model), weights(finished.model))


def test_validation_changes_no_weight_and_says_clips_aloud(room: Room, finished: TrainReport, tmp_path: Path) -> None:
    log = FolderLog(tmp_path / "log")

    @contextmanager
    def record(tags: Mapping[str, str]) -> Iterator[FolderLog]:
        identity = json.loads((tmp_path / "run" / RUN).read_text())
        assert tags["data"] == identity["data"]
        assert (tags["codec"], tags["teacher"], tags["stage"]) == (room.codec_id, "none", "tts")
        yield log

    often = room.task(validate_every=6, validate_aloud=1, log_every=5, checkpoint_every=5)
    report = train(often, tmp_path / "run", record=record)
    assert equal(weights(report.model), weights(finished.model))
    for root in (tmp_path / "run", tmp_path / "log"):
        names = {path.name for path in (root / "validation" / "step-00000006").iterdir()}
        assert names == {"c_6.wav", "c_6.png"}
    numbers = read_metrics(tmp_path / "log" / "metrics.jsonl")
    assert list(numbers["val/flow"]) == [6, 12]
    assert list(numbers["train/loss"]) == [5, 10, 12]
    total = 0.5 * numbers["train/duration"][12] + numbers["train/content"][12] + numbers["train/flow"][12]
    assert numbers["train/loss"][12] == pytest.approx(total)


def test_stage_two_starts_from_stage_one_and_draws_its_alignment(
    room: Room, finished: TrainReport, tmp_path: Path
) -> None:
    task = room.task("dubber", teacher=finished.model, steps=2, validate_aloud=1)
    model = load_model(train(task, tmp_path).model).dubber
    teacher = load_model(finished.model).tts
    for part in ("projection", "head"):
        kept, given = (getattr(each, part).state_dict() for each in (model.adaptation.content, teacher.content))
        assert equal(kept, given)
    assert not equal(model.denoiser.state_dict(), teacher.denoiser.state_dict())
    names = {path.name for path in (tmp_path / "validation" / "step-00000002").iterdir()}
    assert names == {"c_6.wav", "c_6.png", "c_6.alignment.png"}


def test_stage_two_alone_trains_what_nobody_taught(room: Room, tmp_path: Path) -> None:
    task = room.task("dubber", adopt=False, weights={"distill": 0.0}, steps=1)
    report = train(task, tmp_path)
    assert report.trained == report.parameters
    assert refused("diflow.no_teacher", WrongUse, room.task("dubber"), tmp_path / "b").hint
    assert not (tmp_path / "b" / RUN).exists(), "the folder is still free"
    refused("diflow.no_teacher", WrongUse, room.task("dubber", adopt=False), tmp_path / "c")


def test_stage_two_is_prompted_with_the_reference_where_the_network_is(
    room: Room, finished: TrainReport, tmp_path: Path
) -> None:
    nets = NetSettings.model_validate(NETS | {"acoustic_prompt": True})
    task = replace(room.task("dubber", teacher=finished.model, steps=1, validate_aloud=1), nets=nets)
    assert load_model(train(task, tmp_path).model).facts.settings.acoustic_prompt


def test_a_training_goes_on_from_a_stored_model_of_its_stage(room: Room, finished: TrainReport, tmp_path: Path) -> None:
    """With next to no rate the result is the model that it began with; other stages and sizes are refused."""
    still = replace(room.task(steps=1, rates={"default": 1e-12}, ema=None), start=finished.model)
    report = train(still, tmp_path / "still")
    assert greatest_difference(weights(report.model), weights(finished.model)) < 1e-6
    moved = train(replace(room.task(steps=1), start=finished.model), tmp_path / "moved")
    assert greatest_difference(weights(moved.model), weights(finished.model)) > 1e-4
    assert "start" in json.loads((tmp_path / "moved" / RUN).read_text())
    refused("training.other_run", WrongUse, room.task(steps=1), tmp_path / "moved")
    dubber = replace(room.task("dubber", teacher=finished.model), start=finished.model)
    refused("diflow.wrong_stage", WrongUse, dubber, tmp_path / "dubber")
    other = NetSettings.model_validate(NETS | {"width": 2 * int(NETS["width"])})
    refused("diflow.start_disagrees", BadInput, replace(still, nets=other), tmp_path / "other")


def test_another_run_is_refused_with_what_differs(room: Room, finished: TrainReport, tmp_path: Path) -> None:
    out = finished.model.parent
    told = refused("training.other_run", WrongUse, room.task(steps=13, seed=5), out).headline
    assert "settings.steps (12 there, 13 here)" in told
    assert "settings.seed (0 there, 5 here)" in told
    assert "batch_items" not in told
    data = write_set(tmp_path / "data", room.codec_id, clips_of(room.speaker, 8))
    assert "data (" in refused("training.other_run", WrongUse, room.task(data=data), out).headline
    assert "stage (tts there, dubber here)" in refused(
        "training.other_run", WrongUse, room.task("dubber", teacher=finished.model), out
    ).headline  # fmt: skip
    with pytest.raises(WrongUse, match="these differ"):
        survey(room.task(seed=5), out)
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / RUN).write_text("{")
    refused("training.other_run", WrongUse, room.task(), tmp_path / "broken")


def test_where_it_runs_may_change(room: Room, finished: TrainReport) -> None:
    prepared = PreparedSet(room.data)
    run = json.loads((finished.model.parent / RUN).read_text())
    assert room.task(checkpoint_every=1, log_every=1, loader_workers=2, strategy="fsdp").identity(prepared) == run
    two = room.task(devices=2, accumulate=3).identity(prepared)
    assert two == room.task(accumulate=6).identity(prepared)
    assert two != run


def test_a_busy_folder_is_refused(room: Room, tmp_path: Path) -> None:
    with alone_in(tmp_path, WrongUse("test.busy", "never")):
        refused("training.run_is_busy", WrongUse, room.task(), tmp_path)


def test_clips_that_cannot_be_learnt_from_are_counted_by_reason(room: Room, tmp_path: Path) -> None:
    clips = clips_of(room.speaker)

    def without(clip: Clip, *names: str) -> Clip:
        return replace(clip, arrays={name: value for name, value in clip.arrays.items() if name not in names})

    clips["c/0"] = without(clips["c/0"], "phones", "stress", "frame_durations", "token_durations")
    clips["c/1"] = without(clips["c/1"], "face")
    clips["c/2"] = without(clips["c/2"], "prosody", "content", "acoustic", "speaker")
    data = write_set(tmp_path / "data", room.codec_id, clips)
    plan = survey(room.task(data=data), tmp_path / "out")
    assert plan["clips"] == 4
    assert sorted(plan["left_out"].values()) == [1, 1]
    assert any("phones" in why for why in plan["left_out"])
    short = room.task(data=data, longest_s=0.1)
    told = refused("diflow.nothing_to_train_on", BadInput, short, tmp_path / "out").headline
    assert "longer than 0.1 s" in told
    pictures = survey(room.task("dubber", data=data, adopt=False, weights={"distill": 0.0}), tmp_path / "out")
    assert (pictures["clips"], pictures["left_out"]["no face"]) == (3, 1)
    assert not (tmp_path / "out" / "model").exists()


def test_codec_and_teacher_must_belong_to_the_data(room: Room, finished: TrainReport, tmp_path: Path) -> None:
    data = write_set(tmp_path / "data", "world-of-others", clips_of(room.speaker))
    refused("diflow.codec_disagrees", BadInput, room.task(data=data), tmp_path / "a")
    teacher = room.task("dubber", teacher=finished.model)
    dubber = train(replace(teacher, settings=teacher.settings.model_copy(update={"steps": 1})), tmp_path / "d").model
    refused("diflow.wrong_stage", WrongUse, room.task("dubber", teacher=dubber), tmp_path / "b")
    refused("diflow.not_a_model", BadInput, room.task("dubber", teacher=tmp_path / "data"), tmp_path / "c")
    wide = NetSettings.model_validate(NETS | {"width": 12})
    refused("diflow.teacher_disagrees", BadInput, replace(teacher, nets=wide), tmp_path / "e")
    other = tmp_path / "other"
    shutil.copytree(finished.model, other)
    facts = json.loads((other / "model.json").read_text())
    (other / "model.json").write_text(json.dumps(facts | {"codec": "world-of-others"}))
    refused("diflow.codec_disagrees", BadInput, room.task("dubber", teacher=other), tmp_path / "f")


@pytest.mark.parametrize("what", ["loss", "gradient"])
def test_numbers_that_are_none_end_the_run_and_name_the_clips(
    room: Room, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    clips = clips_of(room.speaker)
    out = tmp_path / "run"
    if what == "loss":
        clips["c/2"].arrays["speaker"][3] = float("nan")
    data = write_set(tmp_path / "data", room.codec_id, clips)
    task = room.task(data=data, checkpoint_every=1)
    if what == "gradient":
        calls: list[float] = []

        def poisoned(parameters: Any, norm: float) -> torch.Tensor:
            calls.append(norm)
            return original(parameters, norm) * (float("inf") if len(calls) == 3 else 1)

        original = torch.nn.utils.clip_grad_norm_
        monkeypatch.setattr("torch.nn.utils.clip_grad_norm_", poisoned)
    error = refused("training.loss_not_finite", OurFault, task, out)
    step = error.details["step"]
    assert f"of step {step}" in error.headline
    assert ("The gradient" in error.headline) == (what == "gradient")
    named = error.details["clips"]
    assert 1 <= len(named) <= 2, "those of one batch"
    assert what == "gradient" or "c/2" in named
    assert [step_of(path) for path in checkpoints(out / "checkpoints")] == [s for s in (step - 2, step - 1) if s > 0]
    assert not (out / "model").exists()
    again = refused("training.loss_not_finite", OurFault, task, out) if what == "loss" else None
    assert again is None or again.details == error.details, "the same batch, once more"


def test_a_training_leaves_the_process_as_it_found_it(room: Room, tmp_path: Path) -> None:
    torch.use_deterministic_algorithms(False)
    before = torch.utils.deterministic.fill_uninitialized_memory  # type: ignore[attr-defined]
    train(room.task(steps=1), tmp_path / "one")
    assert not torch.are_deterministic_algorithms_enabled()
    assert torch.utils.deterministic.fill_uninitialized_memory == before  # type: ignore[attr-defined]
