"""The room of these tests."""

from __future__ import annotations

import pytest

from incontext.training.room import Room, shared_room


@pytest.fixture(scope="session")
def room(tmp_path_factory: pytest.TempPathFactory) -> Room:
    return shared_room(tmp_path_factory)
