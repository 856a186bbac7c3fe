"""One prepared set and one codec for all tests of training."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch

from diflow.training.room import Room, shared_room


@pytest.fixture(scope="session")
def room(tmp_path_factory: pytest.TempPathFactory) -> Room:
    return shared_room(tmp_path_factory)


@pytest.fixture(autouse=True)
def as_it_was() -> Iterator[None]:
    """A trainer on its own makes the whole process deterministic, which other rooms' tests do not want."""
    yield
    torch.use_deterministic_algorithms(False)
