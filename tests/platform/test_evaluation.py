"""Evaluations from a stored model to a card: failures have their reasons, a killed one ends with the same card."""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from dubbing.room import Hummer, Room, shared_room
from dubflow.dubbing.request import DubOptions
from dubflow.errors import BadInput, OurFault, WrongUse
from dubflow.judging.card.files import read_card
from dubflow.judging.card.items import Benchmark, read_benchmark, write_benchmark
from dubflow.judging.card.media_list import read_media
from dubflow.judging.card.rows import ScoreCard
from dubflow.judging.judges import JudgeSettings
from dubflow.platform import evaluation_dubs
from dubflow.platform.evaluation import CLIPS, Evaluation, evaluate_clips, evaluate_model
from dubflow.platform.evaluation_dubs import dub_benchmark, request_of
from dubflow.progress import Silent
from evaluations import SAID, small_benchmark

QUICK = DubOptions(steps=1)
FEW = JudgeSettings(only=("time", "success", "fid"))


@pytest.fixture(scope="module")
def room(tmp_path_factory: pytest.TempPathFactory) -> Room:
    return shared_room(tmp_path_factory)


@pytest.fixture(scope="module")
def asked(room: Room, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The benchmark's file."""
    return small_benchmark(room, tmp_path_factory.mktemp("benchmark"))


def run(asked: Path, out: Path, model: str | Path = "starter", **options: Any) -> Evaluation:
    settings = {"settings": FEW, "options": QUICK, "workers": 1} | options
    return evaluate_model(model, read_benchmark(asked), asked.parent, out, **settings)


@pytest.fixture(scope="module")
def made(asked: Path, tmp_path_factory: pytest.TempPathFactory) -> Evaluation:
    """The starter on the benchmark."""
    return run(asked, tmp_path_factory.mktemp("made") / "card")


def row(card: ScoreCard, clip: str) -> Any:
    (found,) = [one for one in card.rows if one.clip == clip]
    return found


@pytest.mark.slow
def test_a_model_is_dubbed_and_judged(made: Evaluation, asked: Path) -> None:
    card = made.card
    assert (made.dubbed, made.found, card.success_rate) == (3, 0, 0.5)
    assert read_card(made.folder) == card
    for clip in SAID:
        assert abs(row(card, clip).values["duration_error"]) < 0.05
        assert (made.folder / CLIPS / f"{clip}.mp4").is_file()
    assert row(card, "a/0").values["speech_start_error"] is not None  # it alone has a reference
    assert row(card, "a/1").blamed("speech_start_error") == "item"
    assert "full.inception" in card.gaps["fid"]
    assert (card.world, card.system, card.benchmark) == ("embedded", "starter", "small")


def test_what_the_engine_refuses_failed_with_its_reason(made: Evaluation) -> None:
    reasons = {clip: row(made.card, f"c/{clip}") for clip in ("language", "silent", "long")}
    assert {one.status for one in reasons.values()} == {"failed"}
    assert "speech.unknown_language" in reasons["language"].reason
    assert "platform.nothing_asked" in reasons["silent"].reason
    assert "dubbing.text_too_long" in reasons["long"].reason
    media = read_media(made.folder)
    assert media["c/long"].clip is None
    assert (media["c/long"].source or Path()).is_file()


def test_the_card_says_what_the_model_is(made: Evaluation) -> None:
    card = made.card
    assert card.package is not None
    assert card.licences == ("Apache-2.0",)
    assert {"run", "data", "code", "parent", "command"} <= set(card.lineage)
    assert (card.lineage["nfe"], card.lineage["parameters"]) == ("1", "5.6M")
    assert card.costs["device_s_per_minute"] > 0


def test_the_media_are_listed(made: Evaluation, asked: Path) -> None:
    media = read_media(made.folder)
    assert {clip: media[clip].text for clip in SAID} == SAID
    assert media["a/0"].clip == made.folder / CLIPS / "a/0.mp4"
    assert media["a/0"].reference == media["a/0"].source == asked.parent / "media/0.mp4"


def test_a_second_call_finds_everything_and_gives_the_same_card(made: Evaluation, asked: Path) -> None:
    again = run(asked, made.folder)
    assert (again.dubbed, again.found) == (0, 3)
    assert again.card.digest == made.card.digest  # costs included: the seconds are those of the run that dubbed


def test_other_dubs_are_never_written_over(made: Evaluation, asked: Path, room: Room) -> None:
    for other in ({"options": DubOptions(steps=2)}, {"model": room.model}):
        with pytest.raises(WrongUse) as refused:
            run(asked, made.folder, **other)
        assert refused.value.code == "platform.other_evaluation"
    assert read_card(made.folder) == made.card


def test_other_judges_look_at_the_same_dubs(asked: Path, made: Evaluation, tmp_path: Path) -> None:
    shutil.copytree(made.folder, tmp_path / "card")
    other = run(asked, tmp_path / "card", settings=JudgeSettings(only=("success",)))
    assert (other.dubbed, [metric.name for metric in other.card.metrics]) == (0, ["success_rate"])
    assert other.card.protocol.id != made.card.protocol.id


def test_a_model_that_changed_is_another_package(asked: Path, room: Room, tmp_path: Path) -> None:
    (tmp_path / "small").mkdir()
    items = read_benchmark(asked).items[:1]
    one = write_benchmark(Benchmark(name="one", world="embedded", items=items), asked.with_name("one.json"))
    shutil.copytree(room.model, tmp_path / "run" / "model")
    first = run(one, tmp_path / "first", tmp_path / "run" / "model")
    (tmp_path / "run" / "model" / "card.md").write_text("# Another\n")
    second = run(one, tmp_path / "second", tmp_path / "run" / "model")
    assert first.card.package != second.card.package
    assert first.card.rows_digest == second.card.rows_digest
    assert first.card.system == "run"
    assert "run" not in first.card.lineage  # of a model that says nothing of itself
    (tmp_path / "run" / "model" / "link").symlink_to("card.md")
    with pytest.raises(BadInput) as refused:
        run(one, tmp_path / "third", tmp_path / "run" / "model")
    assert refused.value.code == "platform.link_in_model"


def test_clips_of_others_are_judged_alike(made: Evaluation, asked: Path, tmp_path: Path) -> None:
    theirs = tmp_path / "HeyGen"
    shutil.copytree(made.folder / CLIPS, theirs)
    (theirs / "b" / "2.mp4").unlink()
    found = evaluate_clips(theirs, read_benchmark(asked), asked.parent, tmp_path / "card", FEW, workers=1)
    card = found.card
    assert (card.system, card.package, card.licences, card.costs) == ("HeyGen", None, (), {})
    assert card.protocol.id == made.card.protocol.id
    assert row(card, "a/0") == row(made.card, "a/0")
    assert row(card, "b/2").status == "missing"
    assert read_media(tmp_path / "card")["a/1"].clip == theirs / "a/1.mp4"


def test_a_folder_of_other_names_is_refused(asked: Path, tmp_path: Path) -> None:
    (tmp_path / "clips").mkdir()
    (tmp_path / "clips" / "dub_of_0.mp4").write_bytes(b"")
    with pytest.raises(BadInput) as refused:
        evaluate_clips(tmp_path / "clips", read_benchmark(asked), asked.parent, tmp_path / "card", FEW)
    assert refused.value.code == "platform.no_clip_of_any_item"
    assert "dub_of_0.mp4" in refused.value.headline
    assert "a/0" in refused.value.hint
    assert not (tmp_path / "card").exists()


def test_an_item_s_own_voice_is_heard_as_such(asked: Path) -> None:
    items = {item.id: item for item in read_benchmark(asked).items}
    assert request_of(items["b/2"], asked.parent, QUICK).reference == "self"
    assert request_of(items["a/0"], asked.parent, QUICK).reference == "self"  # its voice is the very clip
    assert request_of(items["a/1"], asked.parent, QUICK).reference == str(asked.parent / "media/0.mp4")


def test_costs_are_kept_when_a_run_goes_on(asked: Path, tmp_path: Path) -> None:
    benchmark = read_benchmark(asked)
    first = dub_benchmark(Hummer(), benchmark, asked.parent, tmp_path, QUICK, Silent())
    (tmp_path / "a" / "1.mp4").unlink()
    second = dub_benchmark(Hummer(), benchmark, asked.parent, tmp_path, QUICK, Silent())
    assert (first.found, second.found) == (0, 2)
    assert second.results["a/0"].seconds == first.results["a/0"].seconds
    seconds, minutes = sum(one.seconds for one in second.results.values()), 3 * 1.2 / 60
    assert second.costs["device_s_per_minute"] == pytest.approx(seconds / minutes)
    assert dub_benchmark(Hummer(), benchmark, asked.parent, tmp_path, QUICK, Silent()).costs == second.costs


def test_what_is_wrong_for_every_item_stops_it(asked: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "0.mp4").write_bytes(b"somebody's")
    with pytest.raises(WrongUse) as refused:
        dub_benchmark(Hummer(), read_benchmark(asked), asked.parent, tmp_path, QUICK, Silent())
    assert refused.value.code == "dubbing.out_exists"
    assert (tmp_path / "a" / "0.mp4").read_bytes() == b"somebody's"

    def broken(*_: object) -> None:
        raise OurFault("diflow.not_finite", "The network says nothing.")

    monkeypatch.setattr(evaluation_dubs, "dub_all", broken)  # ours, and of one clip: it failed, the others go on
    report = dub_benchmark(Hummer(), read_benchmark(asked), asked.parent, tmp_path / "x", QUICK, Silent())
    assert report.failures["a/0"] == "The network says nothing. [diflow.not_finite]"
    assert report.costs == {}


_CHILD = """
import sys
from pathlib import Path
sys.path[:0] = {path!r}
sys.path.insert(0, {here!r})
from test_evaluation import run
run(Path({asked!r}), Path({out!r}))
"""


@pytest.mark.slow
@pytest.mark.parametrize("stage", ["dubbing", "judging"])
def test_a_killed_evaluation_ends_with_the_same_card(made: Evaluation, asked: Path, tmp_path: Path, stage: str) -> None:
    out = tmp_path / "card"
    program = _CHILD.format(path=sys.path, here=str(Path(__file__).parent), asked=str(asked), out=str(out))
    child = subprocess.Popen([sys.executable, "-c", program], stderr=subprocess.DEVNULL)

    def reached() -> bool:
        dubbed = len(list((out / CLIPS).rglob("[!.]*.mp4")))
        return dubbed > 0 if stage == "dubbing" else any((out / "cache").rglob("[!.]*.json"))

    try:
        deadline = time.monotonic() + 300
        while not reached():
            assert time.monotonic() < deadline, "the evaluation did not get going"
            assert child.poll() is None, "the evaluation ended before it could be killed"
            time.sleep(0.005)
    finally:
        child.send_signal(signal.SIGKILL)
        child.wait()
    assert not (out / "card.json").exists()
    after = run(asked, out)
    assert after.found >= 1
    plain = [one.model_dump(exclude={"costs"}) for one in (after.card, made.card)]
    assert plain[0] == plain[1]
    assert run(asked, out).card.digest == after.card.digest
