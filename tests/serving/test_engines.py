"""Which engine a worker gets."""

from __future__ import annotations

from pathlib import Path

import pytest

from dubflow.diflow.stored import STARTER, find_model
from dubflow.dubbing.diflow_engine import DiflowEngine
from dubflow.errors import BadInput, OurFault
from dubflow.serving.engines import open_engine
from dubflow.serving.launcher import KEY_FILE
from dubflow.serving.repository import look_at
from dubflow.serving.state import Served, ServingState, write_state
from dubflow.serving.triton_engine import TritonEngine


def served(version: int) -> Served:
    found = look_at(find_model(STARTER), version)
    return Served(
        version=version,
        package=None,
        engine=found.engine,
        world=found.world,
        languages=found.languages,
        folder=found.folder,
        since="2026-01-01T00:00:00+00:00",
    )


def test_in_process_the_engine_is_loaded_once_and_is_the_one_of_the_state(tmp_path: Path) -> None:
    write_state(tmp_path, ServingState(mode="in_process", why="for the test", model="starter", current=served(0)))
    engine = open_engine(tmp_path)
    assert isinstance(engine, DiflowEngine)
    assert engine.id == served(0).engine  # what a result is named by does not hang on who computes it
    assert open_engine(tmp_path) is engine


def test_through_triton_the_state_is_read_anew_for_every_job(tmp_path: Path) -> None:
    state = ServingState(mode="triton", model="starter", grpc="127.0.0.1:1", current=served(4))
    (tmp_path / KEY_FILE).write_text("key", encoding="utf-8")
    write_state(tmp_path, state)
    engine = open_engine(tmp_path)
    assert isinstance(engine, TritonEngine)
    assert (engine.version, engine.id, engine.world) == (4, served(4).engine, "embedded")
    write_state(tmp_path, state.with_changes(current=served(5), previous=served(4)))
    again = open_engine(tmp_path)
    assert isinstance(again, TritonEngine)
    assert (again.version, engine.version) == (5, 4)  # a job that has begun keeps its version


def test_where_nothing_is_served_that_is_said(tmp_path: Path) -> None:
    with pytest.raises(BadInput) as caught:
        open_engine(tmp_path)
    assert caught.value.code == "serving.no_state"
    write_state(tmp_path, ServingState(mode="triton", model="starter"))
    with pytest.raises(OurFault) as nothing:
        open_engine(tmp_path)
    assert nothing.value.code == "serving.nothing_served"
    write_state(tmp_path, ServingState(mode="triton", model="starter", grpc="127.0.0.1:1", current=served(4)))
    with pytest.raises(OurFault) as keyless:
        open_engine(tmp_path)
    assert keyless.value.code == "serving.no_key"
