"""A tiny LTX-2 of each version, built once; whoever changes one builds his own."""

from __future__ import annotations

import pytest
import torch

from dubflow.incontext.backbone.parts import Backbone
from dubflow.incontext.backbone.settings import Version
from dubflow.incontext.backbone.tiny import tiny_backbone

VERSIONS: tuple[Version, ...] = ("2.0", "2.3", "2.5")


@pytest.fixture(scope="session", params=VERSIONS)
def backbone(request: pytest.FixtureRequest) -> Backbone:
    return tiny_backbone(request.param)


@pytest.fixture(scope="session")
def oldest() -> Backbone:
    return tiny_backbone("2.0")


@pytest.fixture(autouse=True)
def _no_gradients() -> None:
    torch.manual_seed(0)
