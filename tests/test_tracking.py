"""A run's record survives kills, takes any number, and stays inside its folder."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dubflow.errors import BadInput, WrongUse
from dubflow.tracking import METRICS, PARAMETERS, FolderLog, Logs, RunLog, read_metrics, write_curves


@given(st.lists(st.tuples(st.integers(0, 50), st.floats()), max_size=30))
@settings(deadline=None, max_examples=40)
def test_what_was_logged_is_read_back_by_step_the_later_of_two(
    tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[int, float]]
) -> None:
    log = FolderLog(tmp_path_factory.mktemp("run"))
    for step, value in rows:
        log.metrics({"a/loss": value}, step)
    (log.root / METRICS).touch()
    found = read_metrics(log.root / METRICS).get("a/loss", {})
    wanted = dict(rows)
    assert list(found) == sorted(wanted)
    assert all(found[s] == wanted[s] or (math.isnan(found[s]) and math.isnan(wanted[s])) for s in wanted)


def test_every_line_is_json_that_any_reader_takes(tmp_path: Path) -> None:
    FolderLog(tmp_path).metrics({"a": math.nan, "b": math.inf, "c": -math.inf, "d": 1.5}, 7)

    def refuse(constant: str) -> None:
        raise AssertionError(f"{constant} is no JSON")

    (line,) = (tmp_path / METRICS).read_text().splitlines()
    assert json.loads(line, parse_constant=refuse) == {"step": 7, "a": "nan", "b": "inf", "c": "-inf", "d": 1.5}


@pytest.mark.parametrize("cut", range(1, 30))
def test_half_a_line_of_a_killed_run_spoils_nothing(tmp_path: Path, cut: int) -> None:
    log = FolderLog(tmp_path)
    log.metrics({"loss": 1.0}, 1)
    log.metrics({"loss": 2.125}, 2)
    path = tmp_path / METRICS
    whole = path.read_bytes()
    path.write_bytes(whole[: -min(cut, len(whole) // 2)])
    FolderLog(tmp_path).metrics({"loss": 3.0}, 3)
    found = read_metrics(path)["loss"]
    assert found[1] == 1.0
    assert found[3] == 3.0
    assert found.get(2, 2.125) == 2.125


def test_parameters_of_a_resumption_stand_in_place_of_the_earlier(tmp_path: Path) -> None:
    for steps in (10, 20):
        FolderLog(tmp_path).parameters({"steps": steps, "net.width": 64, "ema": None})
    assert json.loads((tmp_path / PARAMETERS).read_text()) == {"steps": 20, "net.width": 64, "ema": None}


def test_files_are_kept_as_they_were(tmp_path: Path) -> None:
    log, source = FolderLog(tmp_path / "run"), tmp_path / "a.png"
    source.write_bytes(b"one")
    log.artifact(source, "validation/step 5")
    source.write_bytes(b"two")
    kept = tmp_path / "run" / "validation" / "step 5" / "a.png"
    assert kept.read_bytes() == b"one"
    log.artifact(source, "validation/step 5")
    assert kept.read_bytes() == b"two"
    log.artifact(kept, "validation/step 5")  # lies there already
    assert kept.read_bytes() == b"two"
    assert [path.name for path in kept.parent.iterdir()] == ["a.png"]


@pytest.mark.parametrize("folder", ["..", "a/../../b", "/etc", "a\\b"])
def test_no_file_leaves_the_run(tmp_path: Path, folder: str) -> None:
    source = tmp_path / "a.png"
    source.write_bytes(b"one")
    with pytest.raises(WrongUse) as caught:
        FolderLog(tmp_path / "run").artifact(source, folder)
    assert caught.value.code == "tracking.bad_folder"


def test_several_records_are_told_the_same(tmp_path: Path) -> None:
    source = tmp_path / "a.png"
    source.write_bytes(b"one")
    logs: RunLog = Logs([FolderLog(tmp_path / "a"), FolderLog(tmp_path / "b")])
    logs.parameters({"x": 1})
    logs.metrics({"loss": 0.5}, 3)
    logs.artifact(source, "f")
    for name in (PARAMETERS, METRICS, "f/a.png"):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes() != b""


def test_what_is_no_record_is_bad_input(tmp_path: Path) -> None:
    other = tmp_path / "other.txt"
    other.write_text("one\ntwo\n")
    for path in (other, tmp_path / "none"):
        with pytest.raises(BadInput) as caught:
            read_metrics(path)
        assert caught.value.code == "tracking.no_metrics"


def test_curves_are_tables_of_what_was_logged(tmp_path: Path) -> None:
    log = FolderLog(tmp_path / "logs")
    for step in (1, 2):
        log.metrics({"train/loss": step / 3, "train/a,b": math.inf if step == 2 else 1.0}, step)
    log.metrics({"val/loss": 0.5, "speed": 2.0}, 2)
    made = write_curves(tmp_path / "logs" / METRICS, tmp_path / "curves")
    assert [path.name for path in made] == ["run.csv", "train.csv", "val.csv"]
    assert made[0].read_text() == "step,speed\n2,2.0\n"
    assert made[1].read_text() == f'step,loss,"a,b"\n1,{1 / 3!r},1.0\n2,{2 / 3!r},\n'
    before = [path.read_bytes() for path in made]
    assert [path.read_bytes() for path in write_curves(tmp_path / "logs" / METRICS, tmp_path / "curves")] == before
    with pytest.raises(BadInput):
        write_curves(tmp_path / METRICS, tmp_path / "curves")
