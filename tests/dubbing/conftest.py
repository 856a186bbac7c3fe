"""What the tests of the dubbing room share."""

from __future__ import annotations

import pytest

from dubbing.room import Room, shared_room
from dubflow.dubbing.diflow_engine import DiflowEngine


@pytest.fixture(scope="session")
def room(tmp_path_factory: pytest.TempPathFactory) -> Room:
    return shared_room(tmp_path_factory)


@pytest.fixture(scope="session")
def engine(room: Room) -> DiflowEngine:
    return DiflowEngine.open(room.model)
