"""One prepared set and one codec for all tests of training."""

from __future__ import annotations

import pytest

from diflow.training.room import Room, shared_room


@pytest.fixture(scope="session")
def room(tmp_path_factory: pytest.TempPathFactory) -> Room:
    return shared_room(tmp_path_factory)
