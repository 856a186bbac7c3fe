"""What the tests of the gateway share."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.api import Api, make_clip, running


@pytest.fixture
def api(tmp_path: Path) -> Iterator[Api]:
    """An app of this test's own."""
    with running(tmp_path / "state") as made:
        yield made


@pytest.fixture(scope="session")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A clip of one second."""
    return make_clip(tmp_path_factory.mktemp("clips") / "clip.mp4")
